"""`make bench`: every promise about speed beside what could be used instead, on your machine, in one run.

`python -m bench [names …] [--short] [--write-docs]`. Results go to `.local/bench.json` as they come, so that Ctrl-C loses nothing
that was measured; `--write-docs` puts the tables of the last run into `docs/benchmarks.md`.
"""

import argparse
import contextlib
import gc
import json
import pstats
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.contest import Report, Scale, say
from bench.ground import Ground
from bench.machine import durability, machine

ROOT = Path(__file__).parent.parent
RESULTS, PROFILES = ROOT / ".local" / "bench.json", ROOT / ".local" / "profiles"
NAMES = ("append", "rest", "refill", "projection", "loading", "visible", "takeover", "memory")
Bench = Callable[[Ground, Scale], Iterator[Report]]
"""Yields its report before it measures, and fills it while it does."""


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure rates and latencies on this machine.")
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="name", help=f"of {', '.join(NAMES)}; all without one")
    parser.add_argument("--short", action="store_true", help="two minutes that prove only that everything runs")
    parser.add_argument("--no-million", action="store_true", help="leave out what needs a million events")
    parser.add_argument("--profile", action="store_true", help="run the API processes under cProfile and print where the time goes")
    given = parser.parse_args()
    about = machine()
    if about["busy"]:
        say(f"this machine is busy ({about['cores_at_work_before']} of its cores): trust nothing but ratios, and those little")
    reports: list[Report] = []
    home = tempfile.TemporaryDirectory(prefix="hotline-bench-", ignore_cleanup_errors=True)
    with home as folder, contextlib.suppress(KeyboardInterrupt), ground_of(Path(folder), given) as ground:
        about |= durability(ground.postgres) | {"short": given.short}
        print("\n".join(f"{name:<32}{value}" for name, value in about.items()), flush=True)
        for name in given.names or NAMES:
            measure(name, ground, Scale(given.short), reports, about)
    if given.profile:
        print_profiles()
    missed = [target for report in reports for target in report.targets if not target.held]
    say(f"{sum(len(report.targets) for report in reports)} targets, {len(missed)} missed; {RESULTS.relative_to(ROOT)}")
    for target in missed:
        print(f"  {target}")


def ground_of(folder: Path, given: argparse.Namespace) -> Ground:
    """A short run has no time for a million events."""
    return Ground(folder, profiles(given.profile), million=not given.short and not given.no_million)


def profiles(wanted: bool) -> Path | None:
    """An empty folder for them."""
    if wanted:
        shutil.rmtree(PROFILES, ignore_errors=True)
        PROFILES.mkdir(parents=True)
    return PROFILES if wanted else None


def print_profiles() -> None:
    """The functions in which each process spent most of its own time."""
    for file in sorted(PROFILES.iterdir()):
        say(f"profile of {file.name}; python -m pstats {file.relative_to(ROOT)} shows more")
        pstats.Stats(str(file)).strip_dirs().sort_stats("tottime").print_stats(30)


def measure(name: str, ground: Ground, scale: Scale, reports: list[Report], about: dict[str, Any]) -> None:
    """One bench; what it found so far is written, however it ends."""
    begin = time.perf_counter()
    bench: Bench = import_module(f"bench.{name}").run
    gc.collect()
    gc.freeze()  # as every service does after its start
    try:
        for report in bench(ground, scale):
            say(report.title)
            reports.append(report)
    finally:
        RESULTS.parent.mkdir(exist_ok=True)
        found = {"about": about, "reports": [report.as_json() for report in reports]}
        RESULTS.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        say(f"{name} took {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()

"""`make bench`: every promise about speed beside what could be used instead, on your machine, in one run.

`python -m bench [names …] [--short]` measures. Results go to `.local/bench.json` as they come, so that Ctrl-C loses nothing that
was measured; `python -m bench --write-docs` puts their tables into `docs/benchmarks.md`.
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from bench import results
from bench.contest import Report, Scale, say
from bench.ground import Ground
from bench.machine import durability, machine
from chassis.loop import collect_seldom

PROFILES = results.ROOT / ".local" / "profiles"
NAMES = ("append", "rest", "refill", "projection", "loading", "visible", "takeover", "memory", "search")
Bench = Callable[[Ground, Scale], Iterator[Report]]
"""Yields its report before it measures, and fills it while it does."""


def main() -> int:
    """Measure, print, write; 1 where a bench did not come to its end. A target that was missed is a result like any other."""
    given = _parser().parse_args()
    if given.write_docs:
        results.write_docs()
        return 0
    about = machine() | {"short": given.short}
    if about["busy"]:
        say(f"this machine is busy ({about['cores_at_work_before']} of its cores): trust nothing but ratios, and those little")
    home = tempfile.TemporaryDirectory(prefix="hotline-bench-", ignore_cleanup_errors=True)
    whole: list[Report] = []
    failed: list[str] = []
    with home as folder, contextlib.suppress(KeyboardInterrupt), _ground(Path(folder), given) as ground:
        about |= durability(ground.postgres)
        print("\n".join(f"{name:<32}{value}" for name, value in about.items()), flush=True)
        for name in given.names or NAMES:
            failed += [] if _measure(name, ground, Scale(given.short), whole, about) else [name]
    if given.profile:
        _print_profiles()
    targets = [target for report in whole for target in report.targets]
    say(f"{len(targets)} targets, {sum(not target.held for target in targets)} missed; {results.FILE.relative_to(results.ROOT)}")
    print("\n".join(f"  {target}" for target in targets))
    for name in failed:
        say(f"{name} did not come to its end, see above")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure rates and latencies on this machine.")
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="name", help=f"of {', '.join(NAMES)}; all without one")
    parser.add_argument("--short", action="store_true", help="two minutes that prove only that everything runs")
    parser.add_argument("--no-million", action="store_true", help="leave out what needs a million events")
    parser.add_argument("--profile", action="store_true", help="print where the processor time of API processes goes")
    parser.add_argument("--write-docs", action="store_true", help="measure nothing: quote the last results in docs/benchmarks.md")
    return parser


def _ground(folder: Path, given: argparse.Namespace) -> Ground:
    """A short run has no time for a million events."""
    if given.profile:
        shutil.rmtree(PROFILES, ignore_errors=True)
        PROFILES.mkdir(parents=True)
    return Ground(folder, PROFILES if given.profile else None, million=not given.short and not given.no_million)


def _measure(name: str, ground: Ground, scale: Scale, whole: list[Report], about: dict[str, Any]) -> bool:
    """One bench; whether it came to its end. What it found so far is kept in any case."""
    begin = time.perf_counter()
    bench: Bench = import_module(f"bench.{name}").run
    collect_seldom()  # as every service does after its start
    try:
        for report in bench(ground, scale):
            say(report.title)
            whole.append(report)
    except Exception:  # noqa: BLE001 - the others shall still be measured
        traceback.print_exc()
        return False
    finally:
        results.keep(about, whole, NAMES)
        say(f"{name} took {time.perf_counter() - begin:.0f} s")
    return True


def _print_profiles() -> None:
    """Where the processor time of each process went."""
    for file in sorted(PROFILES.iterdir()):
        say(f"profile of {file.name}, {file.relative_to(results.ROOT)}")
        print(file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())

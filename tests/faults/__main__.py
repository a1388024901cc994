"""`make chaos`: every fault under load, with a seed; exits 0 only if every invariant held after every one of them."""

import argparse
import os
import platform
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from random import Random

import psycopg

from deploy.local.process import NotStartedError
from deploy.local.stack import Stack
from tests.faults.chaos import FAULTS, HEADER, Grounds, Row, leaks, run
from tests.line import Line, register_agencies

MODULES = ("processes", "database", "broker", "network", "mail", "views", "erasing", "poison", "clock")
ENOUGH = 15_000  # events in one stack; then the next fault gets a new one, so that checking stays quick
SETTINGS = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method")


def say(line: str) -> None:
    """Print a line with the time of day."""
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


@contextmanager
def new_line(home: Path) -> Iterator[Line]:
    """A stack of its own for as many faults as it holds."""
    with Stack(home, environment="test", rules="demo", fresh=True, say=lambda _: None, longest_pause=0.2) as stack:
        line = Line(stack)
        register_agencies(line)
        yield line


def about(stack: Stack, seed: int) -> None:
    """What the run depends on."""
    with psycopg.connect(stack.postgres.uri("postgres")) as db:
        settings = {name: db.execute(f"SHOW {name}").fetchone()[0] for name in SETTINGS}
    names = ("aiokafka", "faststream", "psycopg", "eventsourcing", "fastapi")
    machine = {"seed": seed, "machine": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()}
    for name, value in (machine | {name: version(name) for name in names} | settings).items():
        print(f"{name:<20} {value}", flush=True)
    print(f"{'kafka':<20} 4.3.1, one broker, acks=all, idempotent producer", flush=True)


def chosen(only: Sequence[str] = ()) -> list[str]:
    """The faults whose name holds one of these; without any, all."""
    for module in MODULES:
        import_module(f"tests.faults.{module}")
    return [name for name in FAULTS if not only or any(word in name for word in only)]


def main() -> int:
    """Run them and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a little of each: nine minutes on two cores")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--only", action="append", default=[], help="faults whose name holds this; may be given again")
    parser.add_argument("--list", action="store_true", help="say what would be done, and what is expected")
    given = parser.parse_args()
    names, rows = chosen(given.only), list[Row]()
    if given.list:
        print("\n".join(f"{name}\n    {FAULTS[name].done}\n    → {FAULTS[name].expected}" for name in names))
        return 0
    names = [name for name in names for _ in range(1 if given.short else FAULTS[name].rounds)]
    seed = secrets.randbelow(2**32) if given.seed is None else given.seed
    try:
        with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as home:
            play(names, Path(home), seed, given.short, rows)
    except KeyboardInterrupt:
        say("interrupted: the table so far")
    except (NotStartedError, AssertionError) as problem:
        say(f"a stack did not come up: {problem}")
    return told(rows, seed, complete=len(rows) == len(names) + 1)


def play(names: list[str], home: Path, seed: int, short: bool, rows: list[Row]) -> None:
    """Each fault in turn; what came of it is added to `rows`."""
    left, began = list(names), time.monotonic()
    while left:
        say("starting a stack")
        with new_line(home) as line, Grounds(line) as grounds:
            if not rows:
                about(line.stack, seed)
            healthy = True  # a stack on which something did not hold is not used again
            while left and healthy and sum(line.heads().values()) < ENOUGH:
                name = left.pop(0)
                say(f"{len(rows) + 1}/{len(names)}  {name} …")
                random = Random(f"{seed} {len(rows)} {name}")
                rows.append(run(FAULTS[name], line, random, short=short, say=say, grounds=grounds))
                healthy = rows[-1].held or bool(rows[-1].not_run)
                say(str(rows[-1]))
                print("".join(f"    {sentence}\n" for sentence in rows[-1].sentences[:20]), end="", flush=True)
            if not left and healthy:
                rows.append(leaks(line))
                say(f"after {(time.monotonic() - began) / 60:.1f} minutes")


def told(rows: list[Row], seed: int, *, complete: bool) -> int:
    """The table, and 0 if everything held."""
    print(f"\n{HEADER}")
    for row in rows:
        print(row)
    bad = [row.fault for row in rows if not row.held and not row.not_run]
    held = complete and not bad
    outcome = "every invariant held after every fault" if held else f"NOT everything held: {bad}" if bad else "not complete"
    print(f"\n{outcome}; again with: make chaos SEED={seed}", flush=True)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())

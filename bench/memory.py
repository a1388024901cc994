"""What each process of a stack holds in memory: when nothing has happened yet, and after a long history went through it."""

import time
from collections.abc import Iterator
from uuid import uuid4

from bench import history
from bench.contest import Report, Scale, say
from bench.ground import Ground
from bench.machine import held
from tests.line import Line

PATIENCE = {True: 20.0, False: 120.0}  # seconds for the history to go through, by whether the run is short


def run(ground: Ground, scale: Scale) -> Iterator[Report]:
    """A history of contacts is put into intake's log by COPY; the relay tells it, every service hears it, the views fold it."""
    events = 1_000_000 if ground.million else scale.of(100_000, 6_000)
    events -= events % 3
    report = Report(
        "memory",
        "Memory",
        f"Resident MB of each process, at rest after its start, and at rest after {events:,} events of contacts (put into intake's"
        " log by COPY, told by the relay, heard by every service, folded into the views). PostgreSQL: its share of all its"
        " processes, shared pages counted once.",
    )
    yield report
    line, before = ground.line, ground.at_rest
    ground.fill("intake", history.contacts([uuid4() for _ in range(events // 3)]), line.stack.postgres)
    reached = _wait(line, PATIENCE[scale.short])
    time.sleep(2)
    after = held(line.stack)
    for name, start in before.items():
        if name in after:
            report.row(process=name, at_rest_mb=start, after_mb=after[name], heard=reached.get(name, ""))
    slowest = min(reached.values())
    if slowest < events:
        report.note(
            f"Not every process had come to the end: the figures after are from this point on the way ({slowest:,} the least)."
        )


def _wait(line: Line, seconds: float) -> dict[str, int]:
    """Until everybody has heard it, or the time is over: position of intake reached by worker."""
    head, until = line.heads()["intake"], time.monotonic() + seconds
    said = 0.0
    while True:
        reached = {f"{service}.worker": at for (service, log), at in line.heard().items() if log == "intake"}
        if min(reached.values()) >= head or time.monotonic() > until:
            return reached
        if time.monotonic() - said > 10:
            said = time.monotonic()
            say(f"of {head:,}: " + ", ".join(f"{name} {at:,}" for name, at in reached.items()))
        time.sleep(0.5)

"""What a case's past costs: loading and folding it cold, and deciding upon it, in process and without HTTP."""

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

from bench import history
from bench.contest import Measured, Report, Scale, contest, measured
from bench.ground import Ground
from chassis.commands import Call
from chassis.loop import on_its_loop
from chassis.service import Parts
from chassis.wiring import commands_of
from contracts.shapes import Addressee
from services.cases.domain import decide, evolve
from services.cases.domain.emergency import ApplyEmergencyMeasure

LENGTHS = (10, 100, 1000)
BY = Addressee(role="police", place=history.COMMUNE)


def run(ground: Ground, scale: Scale) -> Iterator[Report]:
    """One after the other, each time another case, so that nothing of it is known."""
    report = Report(
        "loading",
        "Loading and folding a case",
        "One at a time, each time another case. `load`: `Log.load` with the fold of the cases service. `command`:"
        " `Commands.execute` of a measure with a sealed note under a new key: load, decide, seal, append durably, and what the"
        " answer needs.",
    )
    yield report
    times = scale.of(200, 30)
    database = ground.database("cases")
    streams = {length: [uuid4() for _ in range(2 * times * scale.rounds)] for length in LENGTHS}
    for length, cases in streams.items():
        ground.fill(database, history.cases(cases, length))
    unused = {length: iter(cases) for length, cases in streams.items()}

    def contestant(length: int, work: Callable[[Parts, UUID], Awaitable[object]]) -> Callable[[], Measured]:
        return lambda: on_its_loop(_each(ground, database, [next(unused[length]) for _ in range(times)], work))

    contestants = {
        (name, length): contestant(length, work) for name, work in (("load", _load), ("command", _command)) for length in LENGTHS
    }
    names = {f"{name} {length}": each for (name, length), each in contestants.items()}
    found = contest(names, scale.rounds)
    for name, length in contestants:
        each = found[f"{name} {length}"]
        report.row(what=name, events=length, p50_ms=each.p50_ms, p99_ms=each.p99_ms, us_an_event=(each.p50_ms or 0) * 1000 / length)


async def _each(
    ground: Ground, database: str, streams: Sequence[UUID], work: Callable[[Parts, UUID], Awaitable[object]]
) -> Measured:
    async with ground.parts("cases", database) as parts:
        await work(parts, streams[0])  # connections and plans
        times: list[float] = []
        for stream in streams[1:]:
            begin = time.perf_counter()
            await work(parts, stream)
            times.append(time.perf_counter() - begin)
        return measured(times, sum(times))


async def _load(parts: Parts, stream: UUID) -> None:
    await parts.log.load(stream, evolve)


async def _command(parts: Parts, stream: UUID) -> None:
    command = ApplyEmergencyMeasure(measure="removal", by=BY, applied_at=datetime.now(UTC), note=history.NOTE)
    await commands_of(parts, decide, evolve).execute(stream, command, Call(f"rest:{uuid4()}", "TVV-01"))

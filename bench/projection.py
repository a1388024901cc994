"""Views: folding a full topic, and building one anew, against the library's runner and against read all, fold, write once."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import astuple
from uuid import uuid4

import psycopg
from psycopg.types.json import Jsonb

from bench import history, stock_runner
from bench.contest import Measured, Report, Scale, contest, figures, say
from bench.ground import Ground
from bench.refill import LENGTH, told
from chassis.log import Row, recorded
from chassis.mapper import FactMapper, Recorded
from chassis.view import positions
from services.projections.bootstrap import build
from services.projections.views import work
from services.projections.views.shown import clocks_of

LOG = "cases"
STOCK_TARGET, LIMIT_TARGET, GROWTH_TARGET = 50.0, 0.5, 11.0


def run(ground: Ground, scale: Scale) -> Iterator[Report]:
    """Events a second, each contestant from an empty database to the last event."""
    events, fewer = scale.of(100_000, 10_000), scale.of(5_000, 400)
    report = Report(
        "projection",
        "Views: applying and rebuilding",
        f"Events a second, from an empty view to the last of {events:,} events (cases of {LENGTH} events, a hundred at a time in"
        " turns). `view`: the worker's own loop over its real topic: every byte kept, boards and clocks folded, place and rows"
        f" in one transaction. `ProjectionRunner`: the library's, over its own recorder, one work row an event, {fewer:,} events"
        " only. `read, fold, COPY`: the log's table read once, folded in memory by the same functions, written by COPY; neither"
        " live nor resumable.",
    )
    yield report
    database = ground.database(LOG)
    ground.fill(database, _rows(events))
    say(f"telling {events:,} events")
    asyncio.run(told(ground, database, LOG))
    env = stock_runner.prepare(ground, _rows(fewer))
    found = contest(
        {
            "view": lambda: asyncio.run(_view(ground, events)),
            "ProjectionRunner": lambda: stock_runner.rebuild(ground, env, fewer),
            "read, fold, COPY": lambda: _once(ground, database),
        },
        scale.rounds,
    )
    for name, each in found.items():
        told_of = events if name != "ProjectionRunner" else fewer
        row = {k: v for k, v in figures(each, found["ProjectionRunner"]).items() if v is not None}
        report.row(contestant=name, events=told_of, seconds=told_of / each.rate, **row)
    report.target("view ÷ ProjectionRunner", found["view"].rate / found["ProjectionRunner"].rate, STOCK_TARGET)
    report.target("view ÷ read, fold, COPY", found["view"].rate / found["read, fold, COPY"].rate, LIMIT_TARGET)
    if ground.million:
        _grow(report, ground, database, events, found["view"])


def _grow(report: Report, ground: Ground, database: str, events: int, before: Measured) -> None:
    """The same view over ten times the history."""
    many = events * 10
    say(f"telling {many - events:,} more events")
    ground.fill(database, _rows(many - events))
    refilled = asyncio.run(told(ground, database, LOG))
    report.note(f"The relay told the other {many - events:,} events at {refilled.rate:,.0f} records/s.")
    say(f"a view of {many:,} events")
    after = asyncio.run(_view(ground, many))
    report.row(contestant="view", events=many, seconds=many / after.rate, per_s=after.rate)
    report.target(f"rebuild of {many:,} ÷ of {events:,}", (many / after.rate) / (events / before.rate), GROWTH_TARGET, at_most=True)


def _rows(events: int) -> Iterator[tuple]:
    return history.cases([uuid4() for _ in range(events // LENGTH)], LENGTH)


async def _view(ground: Ground, events: int) -> Measured:
    """The loop that the worker of projections runs for this log, alone."""
    database = ground.database("projections")
    async with ground.parts("projections", database, "worker", kafka=ground.kafka.bootstrap) as parts:
        loop = build(parts).loops[f"view of {LOG}"]
        begin = time.perf_counter()
        folding = asyncio.create_task(loop(lambda: None))
        try:
            while (await positions(parts.pool)).get(LOG, 0) < events:
                if folding.done():
                    folding.result()
                await asyncio.sleep(0.02)
            seconds = time.perf_counter() - begin
        finally:
            folding.cancel()
            await asyncio.gather(folding, return_exceptions=True)
    ((kept, parked),) = ground.rows(database, "SELECT (SELECT count(*) FROM history), (SELECT count(*) FROM parked)")
    if (kept, parked) != (events, 0):
        raise RuntimeError(f"kept {kept}, parked {parked} of {events}")
    return Measured(events / seconds)


def _once(ground: Ground, source: str) -> Measured:
    """Everything read, folded and written once."""
    target = ground.postgres.uri(ground.database("projections"))
    query = "SELECT originator_id, originator_version, topic, state, position, recorded_at FROM event ORDER BY position"
    begin = time.perf_counter()
    events: list[Recorded] = []
    with psycopg.connect(ground.postgres.uri(source)) as db, db.cursor("all") as cursor:
        cursor.itersize = 10_000
        mapper = FactMapper()
        events += [recorded(LOG, Row(*row), mapper) for row in cursor.execute(query)]
    streams: dict[object, list[Recorded]] = {}
    for event in events:
        streams.setdefault(event.stream, []).append(event)
    rows, clocks = _folded(streams.values())
    kept = (
        (LOG, each.position, each.recorded_at, each.stream, each.version, each.fact.TOPIC, each.state, Jsonb({})) for each in events
    )
    with psycopg.connect(target) as db, db.cursor() as cursor:
        for table, lines in (("history", kept), (f"work ({work.COLUMNS})", rows), ("clock", clocks)):
            with cursor.copy(f"COPY {table} FROM STDIN") as out:  # pyrefly: ignore
                for line in lines:
                    out.write_row(line)
    return Measured(len(events) / (time.perf_counter() - begin))


def _folded(streams) -> tuple[list[tuple], list[tuple]]:  # noqa: ANN001
    """The rows of `work` and `clock`."""
    rows, clocks = [], []
    for facts in streams:
        shown = clocks_of(facts)
        if row := work.work_of(facts, shown):
            rows.append(tuple(list(value) if isinstance(value, tuple) else value for value in astuple(row)))
        for name, chain in work.owed_under(shown).items():
            last, breached = chain[-1], [clock.due_at for clock in chain if clock.breached]
            body = f"{last.responsible.role.code}@{last.responsible.place.code}"
            place = (facts[0].stream, LOG, name, last.rule, last.due_at, body)
            clocks.append((*place, min(breached, default=None), len(breached), not last.owed, work.about(facts)))
    return rows, clocks

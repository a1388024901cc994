"""Views: folding a full topic, and building one anew, against the library's runner and against read all, fold, write once."""

import asyncio
import time
from collections.abc import Iterator
from uuid import uuid4

from psycopg import sql

from bench import history, once, stock_runner
from bench.contest import Measured, Report, Scale, contest, figures, say
from bench.ground import Ground
from bench.refill import LENGTH, told
from chassis.view import positions
from services.projections.bootstrap import build

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
        " only. `read, fold, COPY`: the log's table read once, plain JSON folded in memory, the same rows and indexes written by"
        " COPY in one transaction: nothing checked, nothing parked, neither live nor resumable.",
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
            "read, fold, COPY": lambda: once.rebuild(ground, database),
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
    if (kept := _kept(ground, database)) != events:
        raise RuntimeError(f"{kept} of {events} events were kept")
    return Measured(events / seconds)


def _kept(ground: Ground, database: str) -> int:
    """Rows of history, in whatever schema: what was parked is not among them."""
    found = ground.rows(database, "SELECT schemaname FROM pg_tables WHERE tablename = 'history'")
    tables = [sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, "history")) for (schema,) in found]
    return sum(ground.rows(database, query)[0][0] for query in tables)

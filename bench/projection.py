"""Views: folding a full topic, and building one anew, against the library's runner and against read all, fold, write once."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from uuid import uuid4

from psycopg import sql

from bench import history, once, stock_runner
from bench.contest import Measured, Report, Scale, contest, figures, say
from bench.ground import Ground, create_topic
from bench.refill import LENGTH, told
from chassis.kafka import topic_of
from chassis.loop import on_its_loop
from chassis.view import positions
from services.projections.bootstrap import HEARS, build
from tools.views_commands import Where, rebuild

LOG = "cases"
STOCK_TARGET, LIMIT_TARGET, GROWTH_TARGET = 50.0, 0.5, 11.0


def run(ground: Ground, scale: Scale) -> Iterator[Report]:
    """Events a second, each contestant from an empty database to the last event."""
    events, fewer = scale.of(100_000, 10_000), scale.of(5_000, 400)
    report = Report(
        "projection",
        "Views: applying and rebuilding",
        f"Events a second, from an empty view to the last of {events:,} events (cases of {LENGTH} events, a hundred at a time in"
        " turns). `apply`: the worker's own loop over its real topic, every byte kept, boards and clocks folded, rows and place"
        " in one transaction. `rebuild`: as `hotline views rebuild` does it, beside the live build: read from the topic, folded,"
        " indexed, compared with the live one and swapped. `ProjectionRunner`: the library's, over its own recorder, one work"
        f" row an event, {fewer:,} events only. `read, fold, COPY`: the log's table read once, plain JSON folded in memory, the"
        " same rows and indexes written by COPY in one transaction: nothing checked, nothing parked, neither live nor resumable.",
    )
    yield report
    database = ground.database(LOG)
    ground.fill(database, _rows(events))
    for other in {*HEARS} - {LOG}:
        on_its_loop(create_topic(ground.kafka.bootstrap, topic_of(other)))
    say(f"telling {events:,} events")
    on_its_loop(told(ground, database, LOG))
    env = stock_runner.prepare(ground, _rows(fewer))
    found = contest(
        {
            "apply": lambda: _applied(ground, events)[1],
            "rebuild": lambda: _rebuilt(ground, _applied(ground, events)[0], events),
            "ProjectionRunner": lambda: stock_runner.rebuild(ground, env, fewer),
            "read, fold, COPY": lambda: once.rebuild(ground, database),
        },
        scale.rounds,
    )
    for name, each in found.items():
        told_of = events if name != "ProjectionRunner" else fewer
        row = {k: v for k, v in figures(each, found["ProjectionRunner"]).items() if v is not None}
        report.row(contestant=name, events=told_of, seconds=told_of / each.rate, **row)
    for ours in ("apply", "rebuild"):
        report.target(f"{ours} ÷ ProjectionRunner", found[ours].rate / found["ProjectionRunner"].rate, STOCK_TARGET)
        report.target(f"{ours} ÷ read, fold, COPY", found[ours].rate / found["read, fold, COPY"].rate, LIMIT_TARGET)
    if ground.million:
        _grow(report, ground, database, events, found["rebuild"])


def _grow(report: Report, ground: Ground, database: str, events: int, before: Measured) -> None:
    """The same views over ten times the history."""
    many = events * 10
    say(f"telling {many - events:,} more events")
    ground.fill(database, _rows(many - events))
    refilled = on_its_loop(told(ground, database, LOG))
    report.note(f"The relay told the other {many - events:,} events at {refilled.rate:,.0f} records/s.")
    say(f"views of {many:,} events")
    live, applied = _applied(ground, many)
    rebuilt = _rebuilt(ground, live, many)
    for name, each in (("apply", applied), ("rebuild", rebuilt)):
        report.row(contestant=name, events=many, seconds=many / each.rate, per_s=each.rate)
    grown = (many / rebuilt.rate) / (events / before.rate)
    report.target(f"rebuild of {many:,} ÷ of {events:,}", grown, GROWTH_TARGET, at_most=True)


def _rows(events: int) -> Iterator[tuple]:
    return history.cases([uuid4() for _ in range(events // LENGTH)], LENGTH)


def _applied(ground: Ground, events: int) -> tuple[str, Measured]:
    """The loops of views that the worker of projections runs, the other logs empty; and the database that they filled."""
    database = ground.renewed("projections")
    seconds = on_its_loop(_apply(ground, database, events))
    if (kept := _kept(ground, database)) != events:
        raise RuntimeError(f"{kept} of {events} events were kept")
    return database, Measured(events / seconds)


async def _apply(ground: Ground, database: str, events: int) -> float:
    async with ground.parts("projections", database, "worker", kafka=ground.kafka.bootstrap) as parts:
        loops = [loop for name, loop in build(parts).loops.items() if name.startswith("view of ")]
        begin = time.perf_counter()
        folding = [asyncio.create_task(loop(lambda: None)) for loop in loops]
        try:
            while (await positions(parts.pool)).get(LOG, 0) < events:
                for task in folding:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.02)
            return time.perf_counter() - begin
        finally:
            for task in folding:
                task.cancel()
            await asyncio.gather(*folding, return_exceptions=True)


def _rebuilt(ground: Ground, database: str, events: int) -> Measured:
    """What `hotline views rebuild` does once Python has started."""
    place = Where(ground.postgres.uri(database, "projections_worker"), ground.kafka.bootstrap, None)
    begin = time.perf_counter()
    with contextlib.redirect_stdout(None):
        on_its_loop(rebuild(place, None))
    seconds = time.perf_counter() - begin
    if (kept := _kept(ground, database)) != 2 * events:
        raise RuntimeError(f"{kept} events are kept in both builds together, not twice {events}")
    return Measured(events / seconds)


def _kept(ground: Ground, database: str) -> int:
    """Rows of history, in whatever schema: what was parked is not among them."""
    found = ground.rows(database, "SELECT schemaname FROM pg_tables WHERE tablename = 'history'")
    tables = [sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, "history")) for (schema,) in found]
    return sum(ground.rows(database, query)[0][0] for query in tables)

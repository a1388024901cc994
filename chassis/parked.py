"""What a service could not digest, kept with its bytes and the reason, and what operators decide about it.

While a fact is parked, the later ones of its stream are parked behind it. A decision is an entry of the service's own log, folded
into the table by the worker; a loop then digests again what is wanted, in order, until one fails again.

Whoever lets a stream flow again holds the lock on the place heard of that log, and so does whoever parks: a fact is never parked
behind one that is gone, nor acted upon before one that is still here. Each function below works inside its caller's transaction.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

from eventsourcing.utils import resolve_topic
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from chassis.follow import Db, Handler
from chassis.kafka import row_of, topic_of
from chassis.log import Row
from chassis.mapper import Recorded
from contracts.kernel import Fact
from contracts.system import Discarded, Retried

BEHIND = "an earlier event of this stream is parked"
LOOK_EVERY = 0.5  # seconds
Again = Callable[[str, UUID], Awaitable[None]]
"""Digest what is parked of a log's stream, in order, until one fails again. Raises only what is transient."""


async def hold(db: Db, source: str) -> None:
    """Nobody else parks, digests or advances anything of this log before the transaction ends."""
    await db.execute("SELECT FROM heard WHERE topic = %s AND partition = 0 FOR UPDATE", (topic_of(source),))


async def is_parked(db: Db, source: str, stream: UUID) -> bool:
    """Must a new fact of this stream wait?"""
    query = "SELECT FROM parked WHERE topic = %s AND stream = %s AND discarded_at IS NULL LIMIT 1"
    return await (await db.execute(query, (topic_of(source), stream))).fetchone() is not None


async def park(db: Db, source: str, row: Row, headers: Mapping[str, str], reason: str) -> None:
    """Keep a fact that cannot be digested."""
    kept = {name: value.replace("\0", "\ufffd") for name, value in headers.items()}  # no text of PostgreSQL's holds a NUL
    await db.execute(
        "INSERT INTO parked (topic, partition, position, stream, headers, body, reason) VALUES (%s, 0, %s, %s, %s, %s, %s)",
        (topic_of(source), row.position, row.stream, Jsonb(kept), row.state, reason),
    )


async def first_parked(db: Db, source: str, stream: UUID) -> tuple[Row, dict[str, str]] | None:
    """The first fact of a stream that waits, with the headers it came with."""
    query = "SELECT headers, body FROM parked WHERE topic = %s AND stream = %s AND discarded_at IS NULL ORDER BY position LIMIT 1"
    found = await (await db.execute(query, (topic_of(source), stream))).fetchone()
    row = row_of(found[0], bytes(found[1])) if found else None
    return (row, found[0]) if row and found else None


async def digested(db: Db, source: str, row: Row) -> bool:
    """Its effect is durable: it is parked no longer, and the next of its stream is wanted. False if another worker was faster."""
    await hold(db, source)
    gone = "DELETE FROM parked WHERE topic = %s AND position = %s AND discarded_at IS NULL RETURNING retry_by"
    found = await (await db.execute(gone, (topic_of(source), row.position))).fetchone()
    if found:
        await _want(db, source, row.stream, found[0])
    return found is not None


async def parked_again(db: Db, source: str, row: Row, reason: str) -> None:
    """It failed again: a person must look once more."""
    await db.execute(
        "UPDATE parked SET reason = %s, parked_at = clock_timestamp(), retry_by = NULL"
        " WHERE topic = %s AND position = %s AND discarded_at IS NULL",
        (reason, topic_of(source), row.position),
    )


async def _want(db: Db, source: str, stream: UUID, by: int | None, behind: int = 0) -> None:
    """The first of a stream, if it stands behind that position, is to be digested again."""
    await db.execute(
        "UPDATE parked SET retry_by = %s WHERE discarded_at IS NULL AND position > %s AND (topic, position) ="
        " (SELECT topic, min(position) FROM parked WHERE topic = %s AND stream = %s AND discarded_at IS NULL GROUP BY topic)",
        (by, behind, topic_of(source), stream),
    )


# -- what operators decide -------------------------------------------------------------------------------------------------------


def parked_handlers(log: str) -> dict[type[Fact], Handler]:
    """How the decisions in the service's own log move the table `parked`."""
    return {resolve_topic(f"{log}.ParkedRetried"): _retried, resolve_topic(f"{log}.ParkedDiscarded"): _discarded}


def parked_in_a_view(
    log: str, again: Callable[[str, UUID], Awaitable[object]], drop: Callable[[str, int], Awaitable[object]]
) -> dict[type[Fact], Handler]:
    """The same for a service whose view parks and digests by itself: log and stream again, or drop log and position.

    Both are done before the place in the own log moves, so a worker that dies repeats them; that must change nothing.
    """

    async def retried(_: Db, event: Recorded) -> None:
        if isinstance(event.fact, Retried):
            await again(event.fact.source, event.fact.stream)

    async def discarded(_: Db, event: Recorded) -> None:
        if isinstance(event.fact, Discarded):
            await drop(event.fact.source, event.fact.position)

    return {resolve_topic(f"{log}.ParkedRetried"): retried, resolve_topic(f"{log}.ParkedDiscarded"): discarded}


async def _retried(db: Db, event: Recorded) -> None:
    if isinstance(event.fact, Retried):
        await hold(db, event.fact.source)
        await _want(db, event.fact.source, event.fact.stream, event.position)


async def _discarded(db: Db, event: Recorded) -> None:
    if isinstance(event.fact, Discarded):
        await hold(db, event.fact.source)
        moved = await db.execute(
            "UPDATE parked SET discarded_by = %s, discarded_at = %s, retry_by = NULL"
            " WHERE topic = %s AND position = %s AND discarded_at IS NULL",
            (event.position, event.recorded_at, topic_of(event.fact.source), event.fact.position),
        )
        if moved.rowcount:
            await _want(db, event.fact.source, event.fact.stream, event.position, behind=event.fact.position)


async def retries(pool: AsyncConnectionPool, again: Again, up: Callable[[], None]) -> None:
    """Digest again what is wanted, until cancelled. Killed anywhere it begins again where it was; two of it do no harm."""
    while True:
        async with pool.connection() as db:
            wanted = await (await db.execute("SELECT topic, stream FROM parked WHERE retry_by IS NOT NULL")).fetchall()
        up()
        for topic, stream in wanted:
            await again(topic.split(".")[1], stream)
        await asyncio.sleep(LOOK_EVERY)

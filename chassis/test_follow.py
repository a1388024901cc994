"""Following one's own log: rows and place move in one transaction, and what cannot be folded is put aside with its stream."""

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

import pytest
from eventsourcing.persistence import StoredEvent
from psycopg_pool import AsyncConnectionPool

from chassis import follow
from chassis.follow import Follower
from chassis.log import Log
from contracts.cases import ClockMet

pytestmark = pytest.mark.anyio
T0 = datetime(2026, 3, 3, 2, 41, tzinfo=UTC)


@dataclass(frozen=True)
class Store:
    """A log, and the database it lies in."""

    log: Log
    pool: AsyncConnectionPool


@pytest.fixture
async def store(templates, database):
    uri = templates.uri(database("cases"), "cases_worker")
    async with AsyncConnectionPool(uri, min_size=2, max_size=8, open=False, kwargs={"autocommit": True}) as pool:
        yield Store(Log("cases", pool), pool)


@pytest.fixture
async def seen(store):
    """A follower that writes down what it saw, one row an event; it dies at position `fails`, and cannot digest `stumbles`."""

    async def write(db, event):
        await db.execute("INSERT INTO clock_due VALUES (%s, %s, %s, %s)", (event.stream, f"{event.position}", event.version, T0))
        if event.position == seen.fails:
            raise ConnectionError("killed")
        if event.position == seen.stumbles:
            raise ArithmeticError

    async def positions():
        async with store.pool.connection() as db:
            rows = await (await db.execute("SELECT clock::int FROM clock_due ORDER BY 1")).fetchall()
            place = await (await db.execute("SELECT coalesce(max(position), 0) FROM follower")).fetchone()
        return [position for (position,) in rows], place[0]

    seen = SimpleNamespace(
        fails=None, stumbles=None, positions=positions, follower=Follower("seen", store.log, store.pool, {ClockMet: write})
    )
    met = ClockMet(clock="plan", met_at=T0, late=False)
    await store.log.record(uuid4(), 0, [met] * 7, uuid4(), {"cause": "rest:1"})
    return seen


async def test_rows_and_place_move_together_or_not_at_all(seen):
    seen.fails = 5
    with pytest.raises(ConnectionError):
        await seen.follower.step()
    assert ([], 0) == await seen.positions()

    seen.fails = None
    assert 7 == await seen.follower.step()
    assert (list(range(1, 8)), 7) == await seen.positions()


async def test_a_follower_goes_on_where_its_table_stands(seen, store):
    await seen.follower.step()
    assert 0 == await seen.follower.step()
    await store.log.record(uuid4(), 0, [ClockMet(clock="plan", met_at=T0, late=False)], uuid4(), {"cause": "rest:2"})
    assert 1 == await seen.follower.step()
    assert (list(range(1, 9)), 8) == await seen.positions()


async def test_two_followers_at_once_write_everything_once(seen):
    await asyncio.gather(*(seen.follower.step() for _ in range(4)))
    assert (list(range(1, 8)), 7) == await seen.positions()


async def test_what_nobody_handles_is_passed_over_and_the_place_moves_all_the_same(seen, store):
    assert 7 == await replace(seen.follower, handlers={}).step()
    assert ([], 7) == await seen.positions()


# -- what cannot be folded ---------------------------------------------------------------------------------------------------------


async def put_aside(store):
    async with store.pool.connection() as db:
        query = "SELECT follower, position, reason FROM put_aside ORDER BY position"
        return await (await db.execute(query)).fetchall()


async def damaged(store, stream, version):
    """A fact of which fields are missing, told by this very log."""
    command = uuid4()
    state = json.dumps({"v": 1, "meta": {"cause": "rest:1", "command": str(command)}, "fact": {}}).encode()
    await store.log.append([StoredEvent(stream, version, ClockMet.TOPIC, state)], command)


async def met(store, stream, version):
    await store.log.record(stream, version - 1, [ClockMet(clock="plan", met_at=T0, late=False)], uuid4(), {"cause": "rest:1"})


async def test_what_cannot_be_read_is_put_aside_with_its_stream_and_everything_else_goes_on(seen, store):
    one, other = uuid4(), uuid4()
    await damaged(store, one, 1)
    await met(store, other, 1)
    await met(store, one, 2)
    assert 10 == await seen.follower.step()
    assert ([*range(1, 8), 9], 10) == await seen.positions()
    shape = f"{ClockMet.TOPIC} has an unexpected shape"
    assert [("seen", 8, shape), ("seen", 10, follow.BEHIND)] == await put_aside(store)
    await met(store, one, 3)
    assert 1 == await seen.follower.step()
    assert [8, 10, 11] == [position for _, position, _ in await put_aside(store)]


async def test_what_a_handler_cannot_digest_is_put_aside_and_leaves_nothing_half_done(seen, store):
    seen.stumbles = 3
    assert 7 == await seen.follower.step()
    assert ([1, 2], 7) == await seen.positions()
    assert ("seen", 3, "ArithmeticError") == (await put_aside(store))[0]


async def test_code_that_can_fold_it_does_so_in_order_when_it_starts(seen, store):
    seen.stumbles = 3
    await seen.follower.step()
    seen.stumbles = 5
    assert 3 == await seen.follower.again()
    assert ([1, 2, 3, 4], 7) == await seen.positions()
    assert [("seen", 5, "ArithmeticError"), ("seen", 6, follow.BEHIND), ("seen", 7, follow.BEHIND)] == await put_aside(store)
    seen.stumbles = None
    worked = asyncio.Event()
    running = asyncio.create_task(seen.follower.run(worked.set))
    await worked.wait()
    running.cancel()
    assert (list(range(1, 8)), 7) == await seen.positions()
    assert [] == await put_aside(store)


async def test_what_is_transient_is_no_reason_to_put_a_fact_aside(seen, store):
    await met(store, uuid4(), 1)
    seen.stumbles, seen.fails = 3, 8
    with pytest.raises(ConnectionError):
        await seen.follower.step()
    assert ([], 0) == await seen.positions()
    assert [] == await put_aside(store)


async def test_one_follower_puts_aside_what_another_has_folded(seen, store):
    seen.stumbles = 1
    await replace(seen.follower, name="other", handlers={}).step()
    await seen.follower.step()
    assert {"seen"} == {name for name, _, _ in await put_aside(store)}

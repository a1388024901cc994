"""Keeping the time of one's own log: each clock is breached once, when it is due."""

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import ClassVar
from uuid import uuid4

import pytest
from psycopg_pool import AsyncConnectionPool

from chassis.clocks import clock_handlers, timer
from chassis.commands import Call, Commands
from chassis.follow import Follower
from chassis.log import Log
from contracts import clocks
from contracts.clocks import NO_CLOCKS, BreachClock, Clocks
from contracts.kernel import Command, Fact, Refused
from contracts.rules import LAW
from contracts.shapes import Addressee

pytestmark = pytest.mark.anyio
DESK = Addressee(role="supervisor_desk", place="hanoi@2025-07-01")
T0 = datetime(2026, 3, 3, 2, 41, tzinfo=UTC)


class OwedFact(Fact):
    log: ClassVar[str] = "owed"


class ClockStarted(OwedFact, clocks.Started):
    pass


class ClockMet(OwedFact, clocks.Met):
    pass


class ClockBreached(OwedFact, clocks.Breached):
    pass


class ClockWaived(OwedFact, clocks.Waived):
    pass


class ClockRecomputed(OwedFact, clocks.Recomputed):
    pass


FACTS = SimpleNamespace(**{kind.__name__: kind for kind in (ClockStarted, ClockMet, ClockBreached, ClockWaived, ClockRecomputed)})


@dataclass(frozen=True)
class Owed:
    clocks: Clocks = field(default_factory=lambda: NO_CLOCKS)


def evolve(fact: Fact, state: Owed | None) -> Owed:
    state = state or Owed()
    return replace(state, clocks=clocks.fold(state.clocks, fact))


def decide(command: Command, state: Owed) -> Iterator[Fact]:
    assert isinstance(command, BreachClock)
    if command.clock == "stubborn":
        raise Refused("still-open")
    yield from clocks.breach(ClockBreached, state.clocks, command)


@dataclass
class StoppedTime:
    """Time that only the test moves."""

    at: datetime = T0

    def now(self):
        return self.at

    def shift(self):
        return self.at - datetime.now(UTC)


@dataclass
class Keeper:
    """One worker's clocks: its log, and the two loops that watch it."""

    pool: AsyncConnectionPool
    time: StoppedTime
    log: Log
    commands: Commands

    @property
    def follower(self):
        return Follower("clocks", self.log, self.pool, clock_handlers(FACTS))

    async def tell(self, *facts, stream):
        version = len(await self.log.events(stream))
        await self.log.record(stream, version, facts, uuid4(), {"cause": "rest:1"})
        while await self.follower.step():
            pass

    async def start(self, *, due, clock="plan", stream=None):
        started = ClockStarted(clock=clock, rule="plan@2025-07-01", counted_from=T0, due_at=T0 + due, responsible=DESK, tell=[DESK])
        await self.tell(started, stream=(stream := stream or uuid4()))
        return stream

    async def breached(self):
        """(stream, clock) of every breach, in the order of the log."""
        rows = await self.log.after(0, 1000)
        events = await self.log.open([row for row in rows if row.type == "owed.ClockBreached"])
        return [(event.stream, event.fact.clock) for event in events]

    async def watched(self):
        async with self.pool.connection() as db:
            return await (await db.execute("SELECT stream, clock, due_at FROM clock_due ORDER BY due_at")).fetchall()

    @asynccontextmanager
    async def timers(self, number=1):
        """Timers at work; leaving waits until each has looked twice more, and everything they told is folded."""
        looks = [0] * number

        def look(n):
            looks[n] += 1

        tasks = [asyncio.create_task(timer(self.pool, self.commands, lambda n=n: look(n))) for n in range(number)]
        try:
            yield
            goal = [seen + 2 for seen in looks]
            async with asyncio.timeout(10):
                while any(seen < wanted for seen, wanted in zip(looks, goal, strict=True)):
                    await asyncio.sleep(0.005)
                    for task in tasks:
                        if task.done():
                            task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            while await self.follower.step():
                pass


@pytest.fixture
async def keeper(templates, database):
    uri = templates.uri(database("cases"), "cases_worker")
    async with AsyncConnectionPool(uri, min_size=2, max_size=8, open=False, kwargs={"autocommit": True}) as pool:
        time = StoppedTime()
        log = Log("owed", pool, time=time)
        yield Keeper(pool, time, log, Commands(log, decide, evolve, LAW))


async def test_what_is_due_is_breached_once_and_what_is_not_is_left_alone(keeper):
    late, early = await keeper.start(due=timedelta(hours=1)), await keeper.start(due=timedelta(hours=3))
    keeper.time.at = T0 + timedelta(hours=2)
    async with keeper.timers():
        pass
    async with keeper.timers():
        pass
    assert [(late, "plan")] == await keeper.breached()
    assert [(early, "plan", T0 + timedelta(hours=3))] == await keeper.watched()


async def test_a_clock_is_breached_in_the_instant_it_is_due_and_not_before(keeper):
    stream = await keeper.start(due=timedelta(hours=1))
    keeper.time.at = T0 + timedelta(minutes=59, seconds=59)
    async with keeper.timers():
        pass
    assert [] == await keeper.breached()
    keeper.time.at = T0 + timedelta(hours=1)
    async with keeper.timers():
        pass
    assert [(stream, "plan")] == await keeper.breached()


async def test_what_was_due_first_is_breached_first(keeper):
    streams = {hours: await keeper.start(due=timedelta(hours=hours)) for hours in (3, 1, 2)}
    keeper.time.at = T0 + timedelta(hours=4)
    async with keeper.timers():
        pass
    assert [(streams[hours], "plan") for hours in (1, 2, 3)] == await keeper.breached()


async def test_a_clock_that_is_due_already_when_it_starts_is_breached_at_once(keeper):
    stream = await keeper.start(due=-timedelta(days=1))
    async with keeper.timers():
        pass
    assert [(stream, "plan")] == await keeper.breached()


async def test_two_timers_at_once_breach_each_clock_once(keeper):
    streams = [await keeper.start(due=timedelta(minutes=n)) for n in range(10)]
    keeper.time.at = T0 + timedelta(hours=1)
    async with keeper.timers(2):
        pass
    assert sorted((stream, "plan") for stream in streams) == sorted(await keeper.breached())


async def test_a_timer_that_died_after_telling_and_before_its_table_moved_tells_it_only_once(keeper):
    """The breach is in the log, the table does not know it yet: the same clock comes up again under the same command id."""
    stream = await keeper.start(due=timedelta(hours=1))
    keeper.time.at = T0 + timedelta(hours=2)
    call = Call(cause="clock:plan@1", actor="policy:timer")
    await keeper.commands.execute(stream, BreachClock(clock="plan"), call)
    assert [(stream, "plan", T0 + timedelta(hours=1))] == await keeper.watched()
    async with keeper.timers():
        pass
    assert [(stream, "plan")] == await keeper.breached()
    assert [] == await keeper.watched()


@pytest.mark.parametrize(
    "end", [ClockMet(clock="plan", met_at=T0, late=False), ClockWaived(clock="plan", reason="settled", approved_by="GS-01")]
)
async def test_what_is_no_longer_owed_is_never_breached(keeper, end):
    stream = await keeper.start(due=timedelta(hours=1))
    await keeper.tell(end, stream=stream)
    keeper.time.at = T0 + timedelta(hours=2)
    async with keeper.timers():
        pass
    assert [] == await keeper.breached()


async def test_a_recomputed_clock_is_breached_at_its_new_time(keeper):
    stream = await keeper.start(due=timedelta(hours=1))
    was, due = T0 + timedelta(hours=1), T0 + timedelta(hours=3)
    moved = ClockRecomputed(clock="plan", was_due_at=was, due_at=due, because="calendar", rule="plan@2025-07-01")
    await keeper.tell(moved, stream=stream)
    keeper.time.at = T0 + timedelta(hours=2)
    async with keeper.timers():
        pass
    assert [] == await keeper.breached()
    keeper.time.at = due
    async with keeper.timers():
        pass
    assert [(stream, "plan")] == await keeper.breached()


async def test_a_clock_started_again_under_its_name_is_breached_again(keeper):
    stream = await keeper.start(due=timedelta(hours=1))
    keeper.time.at = T0 + timedelta(hours=2)
    async with keeper.timers():
        pass
    await keeper.start(due=timedelta(hours=3), stream=stream)
    keeper.time.at = T0 + timedelta(hours=4)
    async with keeper.timers():
        pass
    assert [(stream, "plan")] * 2 == await keeper.breached()


async def test_a_clock_that_somebody_refuses_to_breach_does_not_hold_up_the_others(keeper):
    await keeper.start(due=timedelta(minutes=1), clock="stubborn")
    other = await keeper.start(due=timedelta(minutes=2))
    keeper.time.at = T0 + timedelta(hours=1)
    async with keeper.timers():
        pass
    assert [(other, "plan")] == await keeper.breached()


async def test_a_breach_happened_when_the_time_passed_however_late_the_timer_is(keeper):
    await keeper.start(due=timedelta(hours=1))
    keeper.time.at = T0 + timedelta(days=30)
    async with keeper.timers():
        pass
    (row,) = [row for row in await keeper.log.after(0, 10) if row.type == "owed.ClockBreached"]
    (event,) = await keeper.log.open([row])
    assert (T0 + timedelta(hours=1)).isoformat() == event.meta["occurred_at"]
    assert ("policy:timer", "clock:plan@1") == (event.meta["actor"], event.meta["cause"])
    assert row.recorded_at >= T0 + timedelta(days=30)

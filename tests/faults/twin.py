"""Somebody who reads the same logs from position 1 and is never interrupted: the tables of every consumer, folded a second time.

Each service gets a second database beside its own, which only this program writes, with the service's own handlers. It reads the
logs, not the topics, and goes on where it was when it is asked again.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool
from structlog.testing import capture_logs

from chassis.clocks import clock_handlers
from chassis.follow import Follower, Handlers
from chassis.log import LAST_POSITION, Log, Row, recorded
from chassis.mapper import FactMapper, Recorded
from chassis.migrate import migrate
from chassis.view import View
from contracts.rules import Rules
from deploy.local.stack import ROOT, SERVICES, Stack
from services.intake.adapters.erasing import ERASURES
from services.intake.adapters.undecided import UNDECIDED
from services.notifications.adapters.directory import agency_heard, referral_heard
from services.notifications.adapters.sender import WAKES
from services.notifications.domain import evolve
from services.notifications.domain.sending import next_attempt
from services.notifications.domain.state import Thread
from services.projections.bootstrap import HEARS
from services.projections.views.work import fold
from services.referrals.adapters.directory import registered
from tests.faults.snapshot import Tables, streams

KEPT = {
    "intake": ["clock_due", "follower", "erasure", "undecided"],
    "cases": ["clock_due", "follower"],
    "referrals": ["clock_due", "follower", "agency"],
    "notifications": ["clock_due", "follower", "agency", "hand_off"],
    "projections": ["clock_due", "follower", "work", "clock", "belongs", "history"],
}
"""Database → what a consumer keeps there. `outgoing` loses its rows when a mail has left, and is compared by what is owed."""
FOLLOWS: Mapping[str, Handlers] = {
    "intake": {**ERASURES, **UNDECIDED},
    "referrals": {import_module("contracts.referrals").AgencyRegistered: registered},
    "notifications": WAKES,
}
COPIES = {"AgencyRegistered": agency_heard, "ReferralSent": referral_heard}
BATCH = 1000


class Until(Log):
    """A log that ends where it ended at the instant of the snapshot."""

    def __init__(self, name: str, pool: AsyncConnectionPool, stop: int) -> None:
        super().__init__(name, pool)
        self._stop = stop

    async def after(self, position: int, limit: int, stop: int = LAST_POSITION) -> list[Row]:
        return await super().after(position, limit, min(stop, self._stop))


def twin_of(service: str) -> str:
    return f"{service}_twin"


def folded(stack: Stack, heads: Mapping[str, int], parked: set[tuple[str, str, int]]) -> Tables:
    """The tables of whoever was never interrupted, up to these positions, without what the services have parked."""
    for service in SERVICES:
        twin = twin_of(service)
        stack.postgres.create_database(twin, f"{twin}_owner", [f"{twin}_api", f"{twin}_worker"])
        own = ROOT / "services" / service / "sql"
        folders = [ROOT / "chassis" / "sql" / "log", *([own] if own.is_dir() else [])]
        migrate(stack.postgres.uri(twin, f"{twin}_owner"), folders)
    with capture_logs():  # it parks what the service has parked, and says so: that is known
        asyncio.run(_follow(stack, heads, parked))
    return {(service, name): rows for service in SERVICES for name, rows in rows_of(stack, service, twin_of(service)).items()}


def rows_of(stack: Stack, service: str, database: str) -> dict[str, set[str]]:
    """The rows of what a consumer keeps. A row of the history counts by its digest: it holds a whole fact."""
    with psycopg.connect(stack.postgres.uri(database), autocommit=True) as db:
        shown = {
            name: "log || ':' || position || ' ' || md5(t::text)" if name == "history" else "t::text" for name in KEPT[service]
        }
        return {name: {row for (row,) in db.execute(f"SELECT {what} FROM {name} t")} for name, what in shown.items()}


def owed(threads: list[Recorded], at: Any, rules: Rules) -> set[str]:
    """Streams of notifications in which an attempt at a mail is still to be made."""
    found: set[str] = set()
    for stream, events in streams(threads).items():
        thread = None
        for event in events:
            thread = evolve(event.fact, thread)
        if isinstance(thread, Thread) and any(next_attempt(message, at, rules) for message in thread.open):
            found.add(str(stream))
    return found


async def _follow(stack: Stack, heads: Mapping[str, int], parked: set[tuple[str, str, int]]) -> None:
    async with AsyncExitStack() as opened:

        async def pool(database: str) -> AsyncConnectionPool:
            made = AsyncConnectionPool(
                stack.postgres.uri(database), min_size=1, max_size=4, open=False, kwargs={"autocommit": True}
            )
            return await opened.enter_async_context(made)

        logs = {service: Until(service, await pool(service), heads[service]) for service in SERVICES}
        twins = {service: await pool(twin_of(service)) for service in SERVICES}
        for service, log in logs.items():
            handlers = clock_handlers(import_module(f"contracts.{service}"))
            await _to_the_end(Follower("clocks", log, twins[service], handlers))
        for service, follows in FOLLOWS.items():
            await _to_the_end(Follower("tables", logs[service], twins[service], follows))
        await _copies(logs["referrals"], twins["notifications"], parked)
        await _views(logs, twins["projections"])


async def _to_the_end(follower: Follower) -> None:
    while await follower.step():
        pass


async def _copies(log: Log, twin: AsyncConnectionPool, parked: set[tuple[str, str, int]]) -> None:
    """What notifications copies from what it hears of referrals."""
    async with twin.connection() as db, db.transaction():
        await db.execute("INSERT INTO heard VALUES ('copies', 0, 0) ON CONFLICT DO NOTHING")
        ((place,),) = await (await db.execute("SELECT position FROM heard WHERE topic = 'copies'")).fetchall()
        while rows := await log.after(place, BATCH):
            for row in rows:
                handler = COPIES.get(row.type.partition(".")[2])
                if handler and ("notifications", log.name, row.position) not in parked:
                    await handler(db, recorded(log.name, row, FactMapper()))
            place = rows[-1].position
        await db.execute("UPDATE heard SET position = %s WHERE topic = 'copies'", (place,))


async def _views(logs: Mapping[str, Log], twin: AsyncConnectionPool) -> None:
    """The boards, in an order of its own: as much of each log in turn as its causes in the others allow."""
    view = View(twin, "", logs["projections"], HEARS, fold, _unheard)
    places = {log: await view.begin(log) for log in logs}
    moved = True
    while moved:
        moved = False
        for name, log in logs.items():
            rows = await log.after(places[name], BATCH)
            done = await view.take(name, rows) if rows else 0
            places[name] += done
            moved |= done > 0


async def _unheard(log: str, at: Any) -> None:
    """Nobody waits for the end of a log here."""

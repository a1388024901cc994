"""Instants: a vector of positions, one a log, and a time of day that is resolved to one once and quoted from then on."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg_pool import AsyncConnectionPool

from chassis.problems import Problem
from chassis.view import Vector, positions, wait_for
from chassis.view_builds import folding, reading
from services.projections.views.history import LOGS

TOLD_WITHIN = timedelta(seconds=1)
"""How long a relay may take to tell a row: the end of a topic speaks for the log up to so long before."""
PATIENCE, AGAIN = 2.0, 0.05  # seconds
LONGEST = 18  # digits of a position


def text(vector: Vector) -> str:
    """`intake:812,cases:18421,referrals:903,notifications:77,projections:51`."""
    return ",".join(f"{log}:{vector.get(log, 0)}" for log in LOGS)


def parse(asked: str) -> Vector:
    """A vector as quoted; a log not named stands before its first entry. Raises Problem 400."""
    vector: dict[str, int] = {}
    for part in asked.split(","):
        log, _, position = part.strip().partition(":")
        if log not in LOGS or log in vector or not (position.isascii() and position.isdigit() and len(position) <= LONGEST):
            raise Problem(400, "bad-request", pointer="", parameter="an instant", logs=list(LOGS))
        vector[log] = int(position)
    return {log: vector.get(log, 0) for log in LOGS}


def moment(asked: str) -> datetime:
    """An RFC 3339 time; a `+` that a URL turned into a blank is put back. Raises Problem 400."""
    try:
        at = datetime.fromisoformat(asked.strip().replace(" ", "+"))
        if at.tzinfo is None:
            raise ValueError("a time needs its offset")
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Problem(400, "bad-request", pointer="", parameter="a time, as 2026-11-23T03:00:00Z") from None


async def instant(pool: AsyncConnectionPool, asked: str | None) -> Vector:
    """The instant that `as_of` names; without it, now. Raises Problem 400 or 503, never answers an older state."""
    if asked is None:
        return await now(pool)
    if asked[:1].isdecimal():
        return await resolved(pool, moment(asked))
    vector = parse(asked)
    await folded(pool, vector)
    await closed(pool, vector)
    return vector


async def now(pool: AsyncConnectionPool) -> Vector:
    """How far each log is folded."""
    found = await positions(pool)
    return {log: found.get(log, 0) for log in LOGS}


async def folded(pool: AsyncConnectionPool, vector: Vector) -> None:
    """Wait until these positions are folded. Raises Problem 503 after two seconds."""
    if not await wait_for(pool, vector, PATIENCE):
        raise not_caught_up(await now(pool))


def not_caught_up(at: Vector, until: datetime | None = None) -> Problem:
    """The answer while a position or time is not folded yet: what is there, and the last time that is known."""
    known = {"until": until} if until else {}
    return Problem(503, "not-caught-up", headers={"Retry-After": "2"}, position=text(at), **known)


async def closed(pool: AsyncConnectionPool, vector: Vector) -> None:
    """Does every fact of this instant find its cause in it? Raises Problem 400 that names the first missing one."""
    query = (
        "SELECT v.log, r.rests_on FROM unnest(%s::text[], %s::bigint[]) AS v(log, upto) CROSS JOIN LATERAL"
        " (SELECT rests_on FROM history h WHERE h.log = v.log AND h.position <= v.upto ORDER BY h.position DESC LIMIT 1) r"
    )
    async with reading(pool) as db:
        rows = await (await db.execute(query, (list(vector), list(vector.values())))).fetchall()
    missing = _missing(vector, dict(rows))
    if missing:
        raise Problem(400, "bad-request", pointer="", parameter="as_of", missing=missing)


def _missing(vector: Vector, rests_on: Mapping[str, Mapping[str, int]]) -> str | None:
    """The cause that lies behind the vector, as `intake:812`."""
    needed = ((cause, position) for log in LOGS for cause, position in rests_on.get(log, {}).items())
    return next((f"{cause}:{position}" for cause, position in needed if position > vector.get(cause, 0)), None)


async def resolved(pool: AsyncConnectionPool, at: datetime) -> Vector:
    """Per log the last position recorded at or before `at`: causally closed, since nothing is stamped before its cause.

    Raises Problem 503 if a log is not known up to `at` within two seconds.
    """
    until = time.monotonic() + PATIENCE
    while True:
        vector, known = await _resolved(pool, at)
        if known:
            return vector
        if time.monotonic() > until:
            raise not_caught_up(await now(pool), await _known_until(pool))
        await asyncio.sleep(AGAIN)


async def _resolved(pool: AsyncConnectionPool, at: datetime) -> tuple[Vector, bool]:
    """A log is known up to `at` if something later is folded, or if its end was folded after `at`."""
    query = """
        SELECT l.log,
            greatest((SELECT position FROM history h WHERE h.log = l.log AND h.recorded_at <= %(at)s
                      ORDER BY h.recorded_at DESC, h.position DESC LIMIT 1),
                     (SELECT max(p.position) FROM parked p WHERE p.topic = 'hotline.' || l.log || '.events.v1'
                      AND (p.headers ->> 'ce_time')::timestamptz <= %(at)s), 0),
            coalesce((SELECT h.recorded_at FROM history h WHERE h.log = l.log
                      ORDER BY h.recorded_at DESC, h.position DESC LIMIT 1) > %(at)s, false)
            OR EXISTS (SELECT FROM reached r WHERE r.log = l.log AND r.at >= %(end)s)
        FROM unnest(%(logs)s::text[]) AS l(log)"""
    asked: dict[str, Any] = {"at": at, "end": _later(at), "logs": list(LOGS)}
    async with reading(pool) as db:
        rows = await (await db.execute(query, asked)).fetchall()
    return {log: position for log, position, _ in rows}, all(known for *_, known in rows)


async def _known_until(pool: AsyncConnectionPool) -> datetime | None:
    """The last time that can be resolved; None if a log has not been looked at yet."""
    query = """
        SELECT l.log, greatest((SELECT at FROM reached r WHERE r.log = l.log) - %(told)s,
            (SELECT h.recorded_at - interval '1 microsecond' FROM history h WHERE h.log = l.log
             ORDER BY h.recorded_at DESC, h.position DESC LIMIT 1))
        FROM unnest(%(logs)s::text[]) AS l(log)"""
    async with reading(pool) as db:
        rows = await (await db.execute(query, {"told": TOLD_WITHIN, "logs": list(LOGS)})).fetchall()
    found = [at for _, at in rows if at]
    return min(found) if len(found) == len(LOGS) else None


def _later(at: datetime) -> datetime:
    try:
        return at + TOLD_WITHIN
    except OverflowError:
        return at


async def note_end(pool: AsyncConnectionPool, log: str, at: datetime) -> None:
    """The worker has folded a log to its end, as it was at that time; a clock that was set back changes nothing."""
    query = "INSERT INTO reached AS r VALUES (%s, %s) ON CONFLICT (log) DO UPDATE SET at = greatest(r.at, excluded.at)"
    async with folding(pool, None) as (db, _):
        await db.execute(query, (log, at))

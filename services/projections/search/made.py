"""Who has searched, and who was refused: what auditors and data officers ask. Never what was searched for."""

from datetime import datetime
from typing import LiteralString
from uuid import uuid5

from psycopg_pool import AsyncConnectionPool

from chassis.kafka import topic_of
from chassis.mapper import Recorded
from chassis.view import Vector
from chassis.view_builds import reading
from contracts.kernel import NS
from contracts.projections import ReadRefused, SearchMade
from services.projections.views.history import recorded_rows
from services.projections.views.instants import text
from services.projections.views.read_log import LOG, Refusal, refusal_of
from services.projections.views.shown import Label, Shown, label, stamp

SEARCHES = uuid5(NS, "searches")
"""The stream of reads of the searches: they are one list, and who looks into it is recorded like everybody else."""
ROUTE = "/projections/v1/searches"
SHOWN = 500
"""Entries of the log in an answer."""
_MADE: LiteralString = (
    "SELECT stream, version, type, state, position, recorded_at FROM history"
    " WHERE log = %s AND position > %s AND position <= %s AND type = ANY(%s) ORDER BY position LIMIT %s"
)
_PARKED: LiteralString = "SELECT EXISTS (SELECT FROM parked WHERE topic = %s AND position > %s AND position <= %s)"


class Search(Shown):
    """Somebody was about to be shown so many hits. shown: the instant of the answer. position: in the log of projections."""

    position: int
    at: datetime
    actor: str
    capacity: str
    hits: int
    looked_in: list[Label]
    purpose: Label
    reason: Label | None
    shown: str


class Searches(Shown):
    """Every search in a stretch of the log of projections, oldest first, and every one that was refused.

    It is complete after position `after`, up to and with `upto`; if `more`, it goes on with `from` = `projections:<upto>`.
    incomplete: something in this stretch cannot be read.
    """

    searches: list[Search]
    refusals: list[Refusal]
    after: int
    upto: int
    more: bool
    since: str | None
    until: str
    incomplete: bool


async def searches(pool: AsyncConnectionPool, stretch: tuple[Vector | None, Vector]) -> Searches:
    """Who searched after the one instant, and up to the other."""
    since, until = stretch
    after, upto = since.get(LOG, 0) if since else 0, until.get(LOG, 0)
    types = [SearchMade.TOPIC, ReadRefused.TOPIC]
    async with reading(pool) as db:
        rows = await (await db.execute(_MADE, (LOG, after, upto, types, SHOWN + 1))).fetchall()
        more = len(rows) > SHOWN
        events = list(recorded_rows(LOG, rows[:SHOWN]))
        upto = events[-1].position if more else upto
        ((incomplete,),) = await (await db.execute(_PARKED, (topic_of(LOG), after, upto))).fetchall()
    return Searches(
        searches=[_search(event, event.fact) for event in events if isinstance(event.fact, SearchMade)],
        refusals=[
            refusal_of(event, event.fact) for event in events if isinstance(event.fact, ReadRefused) and event.fact.route == ROUTE
        ],
        after=after,
        upto=upto,
        more=more,
        since=text(since) if since else None,
        until=text(until),
        incomplete=incomplete,
    )


def _search(event: Recorded, fact: SearchMade) -> Search:
    return Search(
        position=event.position,
        at=stamp(event),
        actor=event.meta.get("actor", ""),
        capacity=event.meta.get("as", ""),
        hits=fact.hits,
        looked_in=[label("search_field", field) for field in fact.looked_in],
        purpose=label("purpose", fact.purpose),
        reason=label("read_reason", fact.reason) if fact.reason else None,
        shown=fact.shown,
    )

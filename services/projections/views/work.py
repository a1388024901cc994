"""What stands on boards: a row a contact, record, case or hand-off, and a row a clock, each a pure fold of one stream."""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from chassis.mapper import Recorded
from contracts.cases import CaseClosed, CaseOpened
from contracts.intake import ContactAnswered, ContactReceived, ReportReceived, ReportScreened
from contracts.notifications import MessageQueued, MessageUndeliverable
from contracts.places import province_of
from contracts.referrals import ReferralSent
from services.projections.views.history import keep, links, streams_of
from services.projections.views.labels import case_label, contact_label, facts_of, hand_off_label, last, record_label
from services.projections.views.shown import ClockShown, clocks_of, next_due

SETTLED = {"ACKNOWLEDGED", "COMPLETED", "REVOKED"}


@dataclass(frozen=True, slots=True)
class Work:
    """A row of the table `work`. done: nothing is expected of anybody any more."""

    id: UUID
    kind: str
    log: str
    position: int
    version: int
    label: str
    done: bool
    emergency: bool = False
    risk: str | None = None
    owner: str | None = None
    record_id: UUID | None = None
    lead: str | None = None
    incident: str | None = None
    residence: str | None = None
    centre: str | None = None
    addressee: str | None = None
    provinces: tuple[str, ...] = ()
    due_at: datetime | None = None
    due_clock: str | None = None


COLUMNS = ", ".join(field.name for field in fields(Work))


async def fold(db: AsyncConnection[Any], events: Sequence[Recorded]) -> None:
    """Store consecutive facts of one log and bring the boards up to them."""
    await keep(db, events)
    log = events[0].log
    touched = {event.stream for event in events} | {
        link.stream for event in events for link in links(event) if link.kind == "contact"
    }
    if log == "projections":
        return  # reads are no work, and the boards of one's own clocks come with the review of a broken glass
    streams = await streams_of(db, log, touched)
    linked = await _linked(db, streams)
    for stream, facts in streams.items():
        clocks = clocks_of(facts)
        if work := work_of(facts, clocks, stream in linked):
            await _put_work(db, work)
        if clocks:
            await _put_clocks(db, log, stream, about(facts), clocks)


def work_of(events: Sequence[Recorded], clocks: Sequence[ClockShown], linked: bool = False) -> Work | None:
    """The row of a stream; None for one that is no work of anybody: an agency, the log itself."""
    for event in events:
        if make := _MAKERS.get(type(event.fact)):
            due = next_due(clocks)
            clear = make(event.fact, events, clocks, linked)
            provinces = dict.fromkeys(province_of(place) for place in (clear.get("lead"), clear.get("incident")) if place)
            return Work(
                id=event.stream,
                log=event.log,
                position=events[0].position,
                version=events[-1].version,
                provinces=tuple(place for place in provinces if place),
                due_at=due.due_at if due else None,
                due_clock=due.clock if due else None,
                **clear,
            )
    return None


def about(events: Sequence[Recorded]) -> UUID:
    """What the clocks of a stream stand for on the board: a message for its matter, everything else for itself."""
    queued = last(events, MessageQueued)
    return queued.about.id if queued else events[0].stream


def _contact(fact: ContactReceived, events: Sequence[Recorded], _: Sequence[ClockShown], linked: bool) -> dict[str, Any]:
    label, answered = contact_label(events, linked), last(events, ContactAnswered)
    return {
        "kind": "contact",
        "label": label,
        "done": label in {"CLASSIFIED", "LINKED"},
        "owner": answered.agent if answered else None,
        "centre": fact.centre,
    }


def _record(fact: ReportReceived, events: Sequence[Recorded], clocks: Sequence[ClockShown], _: bool) -> dict[str, Any]:
    screened = last(events, ReportScreened)
    return {
        "kind": "record",
        "label": record_label(events),
        "done": screened is not None and not any(clock.owed for clock in clocks),
        "emergency": fact.emergency or (screened is not None and screened.emergency),
        "risk": screened.risk if screened else None,
        "owner": fact.owner,
        "lead": screened.incident_commune if screened and screened.incident_commune else fact.incident_commune,
        "incident": screened.incident_commune if screened and screened.incident_commune else fact.incident_commune,
        "residence": screened.residence_commune if screened and screened.residence_commune else fact.residence_commune,
        "centre": fact.centre,
    }


def _case(fact: CaseOpened, events: Sequence[Recorded], clocks: Sequence[ClockShown], _: bool) -> dict[str, Any]:
    return {
        "kind": "case",
        "label": case_label(events, clocks),
        "done": last(events, CaseClosed) is not None,
        "emergency": fact.emergency,
        "risk": fact.risk,
        "record_id": fact.record_id,
        "lead": fact.lead,
        "incident": fact.incident_commune,
        "residence": fact.residence_commune,
        "centre": fact.centre,
    }


def _hand_off(fact: ReferralSent, events: Sequence[Recorded], clocks: Sequence[ClockShown], _: bool) -> dict[str, Any]:
    label = hand_off_label(events, clocks)
    return {
        "kind": "hand_off",
        "label": label,
        "done": label in SETTLED and not any(clock.owed for clock in clocks),
        "emergency": fact.of.emergency,
        "record_id": fact.of.record_id,
        "lead": fact.of.lead,
        "centre": fact.of.centre,
        "addressee": str(fact.of.addressee),
    }


def _message(fact: MessageQueued, events: Sequence[Recorded], _: Sequence[ClockShown], __: bool) -> dict[str, Any]:
    """A thread whose last message reached nobody, and was not sent again, is work: somebody has to find another way."""
    queued = max(fact.number for fact in facts_of(events, MessageQueued))
    lost = any(fact.number == queued for fact in facts_of(events, MessageUndeliverable))
    return {
        "kind": "message",
        "label": "UNDELIVERABLE" if lost else "UNDER_WAY",
        "done": not lost,
        "emergency": fact.letter.emergency,
        "addressee": str(fact.recipient),
    }


_Maker = Callable[[Any, Sequence[Recorded], Sequence[ClockShown], bool], dict[str, Any]]
_MAKERS: dict[type, _Maker] = {
    ContactReceived: _contact,
    ReportReceived: _record,
    CaseOpened: _case,
    ReferralSent: _hand_off,
    MessageQueued: _message,
}


async def _linked(db: AsyncConnection[Any], streams: dict[UUID, list[Recorded]]) -> set[UUID]:
    query = "SELECT DISTINCT stream FROM belongs WHERE kind = 'contact' AND stream = ANY(%s)"
    return {stream for (stream,) in await (await db.execute(query, (list(streams),))).fetchall()}


async def _put_work(db: AsyncConnection[Any], work: Work) -> None:
    row = [list(value) if isinstance(value, tuple) else value for value in astuple(work)]
    await db.execute("DELETE FROM work WHERE id = %s", (work.id,))
    await db.execute(f"INSERT INTO work ({COLUMNS}) VALUES ({', '.join(['%s'] * len(row))})", row)  # noqa: S608  # pyrefly: ignore


def owed_under(clocks: Sequence[ClockShown]) -> dict[str, list[ClockShown]]:
    """By name the last promise, after those that it restarted: a silence is one promise however often the ladder asked again."""
    chains: dict[str, list[ClockShown]] = {}
    for clock in clocks:
        before = chains.get(clock.clock, [])
        chains[clock.clock] = [*before, clock] if before and before[-1].state == "restarted" else [clock]
    return chains


async def _put_clocks(db: AsyncConnection[Any], log: str, stream: UUID, stands_for: UUID, clocks: Sequence[ClockShown]) -> None:
    await db.execute("DELETE FROM clock WHERE log = %s AND stream = %s", (log, stream))
    rows: list[tuple[object, ...]] = []
    for name, chain in owed_under(clocks).items():
        last_, breached = chain[-1], [clock.due_at for clock in chain if clock.breached]
        body = f"{last_.responsible.role.code}@{last_.responsible.place.code}"
        since = min(breached, default=None)
        rows.append((stream, log, name, last_.rule, last_.due_at, body, since, len(breached), not last_.owed, stands_for))
    async with db.cursor() as cursor:
        await cursor.executemany("INSERT INTO clock VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", rows)

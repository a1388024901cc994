"""What stands on boards: a row a contact, record, case, hand-off or thread, and a row a clock, each a pure fold of one stream."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from psycopg import AsyncConnection

from chassis.mapper import Recorded
from chassis.view import Memory
from contracts.places import province_of
from services.projections.views.history import RESTS_ON, keep, links, recorded_rows
from services.projections.views.standing import Promise, Standing, new

AT_ONCE = 5000  # rows
ROW: LiteralString = "stream, version, type, state, position, recorded_at"


class Work(NamedTuple):
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
    provinces: str = ""
    """In order of the places, by comma."""
    due_at: datetime | None = None
    due_clock: str | None = None


async def fold(db: AsyncConnection[Any], events: Sequence[Recorded], memory: Memory) -> dict[UUID, Any]:
    """Store consecutive facts of one log and bring the boards up to them. Answers where the streams stand that they touch."""
    log = events[0].log
    if log == "projections":  # reads are no work, and the boards of one's own clocks come with the review of a broken glass
        return {RESTS_ON: await keep(db, events, memory)}
    contacts = [link.stream for event in events for link in links(event) if link.kind == "contact"]
    before = await _before(db, events, contacts, memory)
    after = {stream: at.copy() for stream, at in before.items()}
    for event in events:
        after[event.stream].take(event)
    for contact in contacts:
        after[contact].linked = True
    rests_on = await keep(db, events, memory)
    await _put_work(db, after.values())
    await _put_clocks(db, [at for stream, at in after.items() if at.promises and _moved(at, before[stream])])
    return {**after, RESTS_ON: rests_on}


async def recall(db: AsyncConnection[Any], log: str) -> dict[UUID, Any]:
    """Where every stream of a log stands, from what the tables hold: as `fold` left it."""
    found: dict[UUID, Any] = {}
    query: LiteralString = f"SELECT {ROW} FROM history WHERE log = %s ORDER BY position"  # noqa: S608 - constants of this module
    async with db.cursor(name="recall") as cursor:
        await cursor.execute(query, (log,))
        while rows := await cursor.fetchmany(AT_ONCE):
            for event in recorded_rows(log, rows):
                if event.stream not in found:
                    found[event.stream] = new(log, event.stream)
                found[event.stream].take(event)
    query = "SELECT stream FROM belongs WHERE kind = 'contact' AND log = %s"
    for (contact,) in await (await db.execute(query, (log,))).fetchall():
        found.setdefault(contact, new(log, contact)).linked = True
    return found


async def _before(
    db: AsyncConnection[Any], events: Sequence[Recorded], contacts: Iterable[UUID], memory: Memory
) -> dict[UUID, Standing]:
    """Where the touched streams stood before these events. A stream that begins with them has nothing to be read."""
    log, known = events[0].log, memory.streams
    first: dict[UUID, int] = dict.fromkeys(contacts, 0)
    for event in reversed(events):
        first[event.stream] = event.version
    before = {stream: known[stream] for stream in first if stream in known}
    missing = [stream for stream in first if stream not in before]
    before |= {stream: new(log, stream) for stream in missing}
    if memory.whole or not missing:
        return before
    if old := [stream for stream in missing if first[stream] != 1]:
        query: LiteralString = f"SELECT {ROW} FROM history WHERE stream = ANY(%b) AND log = %s AND position < %s ORDER BY position"  # noqa: S608
        rows = await (await db.execute(query, (old, log, events[0].position))).fetchall()
        for event in recorded_rows(log, rows):
            before[event.stream].take(event)
    if log == "intake":
        query = "SELECT DISTINCT stream FROM belongs WHERE kind = 'contact' AND stream = ANY(%b)"
        for (contact,) in await (await db.execute(query, (missing,))).fetchall():
            before[contact].linked = True
    return before


def _moved(after: Standing, before: Standing) -> bool:
    return after.promises is not before.promises or after.about != before.about


def work_of(at: Standing) -> Work:
    """The row of a stream that is work."""
    row = at.row()
    due_at, due_clock = at.due
    places = (province_of(place) for place in (row.get("lead"), row.get("incident")) if place)
    provinces = ",".join(dict.fromkeys(place for place in places if place))
    shared: Mapping[str, Any] = {"provinces": provinces, "due_at": due_at, "due_clock": due_clock, **row}
    return Work(at.id, at.kind, at.log, at.position, at.version, at.label(), **shared)


_WORK_COLUMNS: LiteralString = (
    "id, kind, log, position, version, label, done, emergency, risk, owner, record_id, lead, incident, residence, centre,"
    " addressee, provinces, due_at, due_clock"
)
_WORK: LiteralString = (
    f"INSERT INTO work AS w ({_WORK_COLUMNS}) SELECT id, kind, log, position, version, label, done, emergency, risk, owner,"  # noqa: S608
    " record_id, lead, incident, residence, centre, addressee, string_to_array(provinces, ','), due_at, due_clock"
    " FROM unnest(%b::uuid[], %b::text[], %b::text[], %b::bigint[], %b::int[], %b::text[], %b::bool[], %b::bool[], %b::text[],"
    " %b::text[], %b::uuid[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::timestamptz[],"
    f" %b::text[]) AS new ({_WORK_COLUMNS})"
    f" ON CONFLICT (id) DO UPDATE SET ({_WORK_COLUMNS}) = ROW (excluded.*)"
)
_CLOCKS: LiteralString = (
    "INSERT INTO clock SELECT * FROM unnest(%b::uuid[], %b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::text[],"
    " %b::timestamptz[], %b::int[], %b::bool[], %b::uuid[]) ON CONFLICT (log, stream, clock) DO UPDATE SET"
    " (rule, due_at, responsible, breached_since, breaches, ended, about) = ROW (excluded.rule, excluded.due_at,"
    " excluded.responsible, excluded.breached_since, excluded.breaches, excluded.ended, excluded.about)"
)


async def _put_work(db: AsyncConnection[Any], streams: Iterable[Standing]) -> None:
    if rows := [work_of(at) for at in streams if at.kind]:
        await db.execute(_WORK, [list(column) for column in zip(*rows, strict=True)])


async def _put_clocks(db: AsyncConnection[Any], streams: Iterable[Standing]) -> None:
    if rows := [_clock(at, name, promise) for at in streams for name, promise in at.promises.items()]:
        await db.execute(_CLOCKS, [list(column) for column in zip(*rows, strict=True)])


def _clock(at: Standing, name: str, of: Promise) -> tuple[object, ...]:
    shown = (name, of.rule, of.due_at, of.responsible, of.breached_since, of.broken, not of.owed)
    return (at.id, at.log, *shown, at.about)

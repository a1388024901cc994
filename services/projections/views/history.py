"""What was heard, kept byte for byte, and which stream belongs to which: the tables `history` and `belongs`."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Literal, LiteralString, NamedTuple, Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from eventsourcing.persistence import JSONTranscoder
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from chassis.keys import KeyStore
from chassis.log import Row, recorded
from chassis.mapper import FactMapper, Recorded, clear_fact, people_in
from chassis.view import Memory, Vector
from chassis.view_builds import reading
from contracts.cases import CaseOpened
from contracts.intake import ContactReceived, PersonForgotten, PersonRestricted, ReportReceived, RestrictionLifted
from contracts.kernel import Fact
from contracts.notifications import MessageQueued
from contracts.referrals import ReferralAcknowledged, ReferralSent

LOGS = ("intake", "cases", "referrals", "notifications", "projections")


RESTS_ON = UUID(int=0)
"""Under which a fold remembers, beside the streams of a log, on what its last row rests."""
_HISTORY: LiteralString = (
    "INSERT INTO history SELECT %s, position, recorded_at, stream, version, type, state, rests_on::jsonb"
    " FROM unnest(%b::bigint[], %b::timestamptz[], %b::uuid[], %b::int[], %b::bytea[], %b::text[], %b::text[])"
    " AS new(position, recorded_at, stream, version, state, type, rests_on)"
)
_BELONGS: LiteralString = (
    "INSERT INTO belongs SELECT * FROM unnest(%b::uuid[], %b::uuid[], %b::text[], %b::text[], %b::bigint[]) ON CONFLICT DO NOTHING"
)
_RESTS_ON: LiteralString = """
    UPDATE history h SET rests_on = rests_on || more.of FROM (
        SELECT l.position, jsonb_object_agg(c.log, c.position) AS of
        FROM history l, unnest(%(logs)s::text[], %(positions)s::bigint[]) AS c(log, position)
        WHERE l.log = %(log)s AND l.position > %(after)s AND c.position > coalesce((l.rests_on ->> c.log)::bigint, 0)
        GROUP BY l.position
    ) more WHERE h.log = %(log)s AND h.position = more.position"""


_SAID_LAST: LiteralString = """
    SELECT stream, type FROM (
        SELECT DISTINCT ON (stream) stream, type FROM history WHERE stream = ANY(%(persons)s) AND log = 'intake'
        AND type = ANY(%(says)s) ORDER BY stream, position DESC
    ) last WHERE type <> %(lifted)s
    UNION ALL SELECT stream, %(restricted)s FROM parked WHERE stream = ANY(%(persons)s) AND discarded_at IS NULL"""
_SAYS = {
    "says": [kind.TOPIC for kind in (PersonRestricted, RestrictionLifted, PersonForgotten)],
    "lifted": RestrictionLifted.TOPIC,
    "restricted": PersonRestricted.TOPIC,
}
Sees = Literal["unrestricted", "restricted", "everybody"]
"""Of whom sealed parts are opened: of those who are not restricted, of those who are, or of both; of the forgotten never."""


class Link(NamedTuple):
    """`stream`, of this kind, belongs to `to`. Kind `record:alleged`: the stream is a record and names person `to` as that."""

    stream: UUID
    to: UUID
    kind: str


class Heard(NamedTuple):
    """A row of a log."""

    log: str
    row: Row


def _of_report(stream: UUID, fact: ReportReceived) -> list[Link]:
    informant = [fact.informant] if fact.informant else []
    contacts = [Link(contact, stream, "contact") for contact in fact.contacts]
    children = [Link(stream, child.child_id, "record:child") for child in fact.children]
    alleged = [Link(stream, each.person_id, "record:alleged") for each in fact.alleged]
    return [*contacts, *children, *alleged, *(Link(stream, each.person_id, "record:informant") for each in informant)]


def _of_case(stream: UUID, fact: CaseOpened) -> list[Link]:
    return [Link(stream, fact.record_id, "case"), Link(stream, fact.child_id, "case:child")]


def _of_hand_off(stream: UUID, fact: ReferralSent) -> list[Link]:
    carried = [Link(stream, to, "hand_off") for to in (fact.of.record_id, *fact.of.cases)]
    return carried + [Link(stream, child, "hand_off:child") for child in fact.of.children]


_LINKS: dict[type[Fact], Callable[[UUID, Any], list[Link]]] = {
    ContactReceived: lambda stream, fact: [Link(stream, fact.caller_id, "contact:caller")],
    ReportReceived: _of_report,
    CaseOpened: _of_case,
    ReferralSent: _of_hand_off,
    ReferralAcknowledged: lambda stream, fact: [Link(stream, fact.taker_id, "hand_off:taker")],
    MessageQueued: lambda stream, fact: [Link(stream, fact.about.id, "message")],
}
LINKING = frozenset(kind.TOPIC for kind in _LINKS)
"""The types of facts that say what belongs to what."""


def links(event: Recorded) -> list[Link]:
    """What a fact says about which stream belongs to which."""
    found = _LINKS.get(type(event.fact))
    return found(event.stream, event.fact) if found else []


async def keep(db: AsyncConnection[Any], events: Sequence[Recorded], memory: Memory) -> dict[str, int]:
    """Store consecutive facts of one log. Answers other log → greatest position that a cause in this log names by now."""
    log = events[0].log
    rests_on: dict[str, int] = memory.streams[RESTS_ON] if RESTS_ON in memory.streams else await _rests_on(db, events[0])
    said, text = list[str](), json.dumps(rests_on)
    for event in events:
        cause, _, position = event.meta.get("cause", "").partition(":")
        if cause in LOGS and cause != log and position.isdecimal() and int(position) > rests_on.get(cause, 0):
            rests_on = {**rests_on, cause: int(position)}
            text = json.dumps(rests_on)
        said.append(text)
    columns = ("position", "recorded_at", "originator_id", "originator_version", "state")
    position_to_state = [list(map(attrgetter(name), events)) for name in columns]
    await db.execute(_HISTORY, (log, *position_to_state, [event.fact.TOPIC for event in events], said))
    if memory.late:
        rests = {"logs": list(rests_on), "positions": list(rests_on.values())}
        await db.execute(_RESTS_ON, {"log": log, "after": events[-1].position, **rests})
    if found := [(*link, event.log, event.position) for event in events for link in links(event)]:
        await db.execute(_BELONGS, list(map(list, zip(*found, strict=True))))
    return rests_on


async def _rests_on(db: AsyncConnection[Any], before: Recorded) -> dict[str, int]:
    query: LiteralString = "SELECT rests_on FROM history WHERE log = %s AND position < %s ORDER BY position DESC LIMIT 1"
    row = await (await db.execute(query, (before.log, before.position))).fetchone()
    return row[0] if row else {}


def recorded_rows(log: str, rows: Iterable[tuple[Any, ...]]) -> Iterator[Recorded]:
    """Facts out of the table, sealed fields left None."""
    for stream, version, type_, state, position, recorded_at in rows:
        fact, meta = clear_fact(type_, state)
        yield Recorded(stream, version, fact, meta, log, position, recorded_at, state)


class Records(Protocol):
    """The logs at one instant, wherever they are read from; each method as `Reader` has it."""

    at: Vector

    async def rows(self, streams: Iterable[UUID]) -> list[Heard]: ...

    async def belonging_to(self, streams: Iterable[UUID]) -> list[Link]: ...

    async def owners_of(self, streams: Iterable[UUID]) -> list[Link]: ...

    async def is_incomplete(self, streams: Iterable[UUID]) -> bool: ...

    async def open(self, heard: Sequence[Heard], persons: Iterable[UUID] = ()) -> list[Recorded]: ...


class Reader:
    """The history at one instant, out of the views, for somebody who sees these persons."""

    def __init__(self, pool: AsyncConnectionPool, keys: KeyStore, at: Vector, sees: Sees = "unrestricted") -> None:
        self._pool, self._keys, self.at, self._sees = pool, keys, at, sees

    async def rows(self, streams: Iterable[UUID]) -> list[Heard]:
        """The rows of these streams up to the instant, in the order in which they were recorded."""
        query: LiteralString = (
            "SELECT h.log, h.stream, h.version, h.type, h.state, h.position, h.recorded_at"
            " FROM history h JOIN unnest(%s::text[], %s::bigint[]) AS v(log, upto) ON h.log = v.log AND h.position <= v.upto"
            " WHERE h.stream = ANY(%s) ORDER BY h.recorded_at, array_position(%s::text[], h.log), h.position"
        )
        found = await self.fetch(query, *self._vector(), list(streams), list(LOGS))
        return [Heard(log, Row(*row)) for log, *row in found]

    async def belonging_to(self, streams: Iterable[UUID]) -> list[Link]:
        """What belongs to any of these, first said first."""
        return await self._links(down=streams)

    async def owners_of(self, streams: Iterable[UUID]) -> list[Link]:
        """What any of these belong to."""
        return await self._links(up=streams)

    async def is_incomplete(self, streams: Iterable[UUID]) -> bool:
        """Is something that concerns one of these parked? A parked fact that began a stream is known by the ids in its bytes."""
        ids = list(streams)
        query: LiteralString = (
            "SELECT FROM parked p JOIN unnest(%s::text[], %s::bigint[]) AS v(log, upto)"
            " ON p.topic = 'hotline.' || v.log || '.events.v1' AND p.position <= v.upto"
            " WHERE p.stream = ANY(%s) OR EXISTS (SELECT FROM unnest(%s::bytea[]) AS i(id) WHERE position(i.id IN p.body) > 0)"
            " LIMIT 1"
        )
        return bool(await self.fetch(query, *self._vector(), ids, [str(each).encode() for each in ids]))

    async def open(self, heard: Sequence[Heard], persons: Iterable[UUID] = ()) -> list[Recorded]:
        """The facts, with the sealed fields of these persons and of nobody else, as far as their keys exist.

        Raises StoreGone if the key store does not answer. A box that its key does not open is shown as empty, never guessed.
        """
        wanted = set(persons) & {person for each in heard for person in people_in(each.row.state)} if persons else set[UUID]()
        seen = await self.seen(wanted) if wanted else wanted
        keys: Mapping[UUID, bytes] = await self._keys.get(seen) if seen else {}
        return [opened(each, FactMapper(keys.get)) for each in heard]

    async def seen(self, persons: set[UUID]) -> set[UUID]:
        """Those of these persons who are shown, as they stand today, whatever the instant. In doubt a person is restricted."""
        last: dict[UUID, str] = dict(await self.fetch(_SAID_LAST, _SAYS | {"persons": list(persons)}))
        forgotten = {person for person, said in last.items() if said == PersonForgotten.TOPIC}
        match self._sees:
            case "everybody":
                return persons - forgotten
            case "restricted":
                return last.keys() - forgotten
            case _:
                return persons - last.keys()

    async def story_of(self, stream: UUID) -> str:
        """The correlation of a stream: the contact with which its story began; empty for an unknown stream."""
        query: LiteralString = "SELECT state FROM history WHERE stream = %s ORDER BY recorded_at, position LIMIT 1"
        rows = await self.fetch(query, stream)
        return str(JSONTranscoder().decode(rows[0][0])["meta"].get("correlation", "")) if rows else ""

    async def beginning(self, stream: UUID, log: str) -> Row | None:
        """The first row of a stream, whatever the instant."""
        query: LiteralString = (
            "SELECT stream, version, type, state, position, recorded_at FROM history WHERE stream = %s AND log = %s"
            " ORDER BY position LIMIT 1"
        )
        return next((Row(*row) for row in await self.fetch(query, stream, log)), None)

    async def fetch(self, query: LiteralString, *args: object) -> list[tuple[Any, ...]]:
        """The rows of one statement; args by place, or one mapping of them by name."""
        given = args[0] if args and isinstance(args[0], Mapping) else args
        async with reading(self._pool) as db:
            return await (await db.execute(query, given)).fetchall()

    async def _links(self, *, down: Iterable[UUID] = (), up: Iterable[UUID] = ()) -> list[Link]:
        query: LiteralString = (
            "SELECT b.stream, b.to_stream, b.kind FROM belongs b JOIN unnest(%s::text[], %s::bigint[]) AS v(log, upto)"
            " ON b.log = v.log AND b.position <= v.upto WHERE b.to_stream = ANY(%s) OR b.stream = ANY(%s)"
            " ORDER BY b.log, b.position, b.stream, b.to_stream"
        )
        return [Link(*row) for row in await self.fetch(query, *self._vector(), list(down), list(up))]

    def _vector(self) -> tuple[list[str], list[int]]:
        return list(self.at), list(self.at.values())


def opened(each: Heard, mapper: FactMapper) -> Recorded:
    """The fact, with what the mapper's keys open; if one of its boxes was altered, then nothing of it."""
    try:
        return recorded(each.log, each.row, mapper)
    except InvalidTag:
        return recorded(each.log, each.row, FactMapper())

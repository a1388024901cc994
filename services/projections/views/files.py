"""Reading a file: which streams belong to it at the instant, whose sealed parts it opens, and the fold. Nothing else is opened."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.mapper import Recorded
from chassis.view import Vector
from contracts.cases import CaseOpened
from contracts.intake import ContactReceived, ReportReceived
from contracts.referrals import ReferralAcknowledged, ReferralSent
from services.projections.views.case_file import CaseFile, case_file
from services.projections.views.diff import Diff, changed
from services.projections.views.hand_offs import HandOffFile, HandOffView, disclosed_of, hand_off_file, persons_of
from services.projections.views.history import Heard, Records
from services.projections.views.instants import text
from services.projections.views.labels import facts_of, last
from services.projections.views.read_log import LOG as READ_LOG
from services.projections.views.read_log import Reads, reads
from services.projections.views.record_file import (
    ContactFile,
    InformantFile,
    RecordFile,
    contact_file,
    informant_file,
    record_file,
)
from services.projections.views.shown import referred
from services.projections.views.timeline import By, Timeline, entries_of, timeline

LOG_OF = {"contact": "intake", "record": "intake", "case": "cases", "hand_off": "referrals", "message": "notifications"}
"""Kind of stream → its log. A read of a file is a fact of projections on the stream of the same id: the log tells them apart."""


@dataclass(frozen=True, slots=True)
class Family:
    """The streams of a file: id → kind."""

    kinds: dict[UUID, str]

    def of(self, kind: str) -> list[UUID]:
        return [id_ for id_, own in self.kinds.items() if own == kind]


class Files:
    """The files at one instant. sealed: whether the asker may see personal fields; without it they stay None. since: the instant
    after which changes and reads are told, None for the beginning."""

    def __init__(self, reader: Records, sealed: bool, since: Vector | None = None) -> None:
        self._reader, self._sealed, self._since = reader, sealed, since

    @property
    def stretch(self) -> tuple[Vector | None, Vector]:
        """After which instant it is told, None for the beginning, and up to which."""
        return self._since, self._reader.at

    async def case(self, id_: UUID) -> CaseFile | None:
        """The file of a case; None before it was opened."""
        family = await self._of_case(id_)
        events = await self._opened_of_case(family)
        return self._case(id_, family, events, await self._incomplete(family))

    async def diff(self, id_: UUID) -> Diff | None:
        """What changed in the file of a case; None before it was opened."""
        family, since = await self._of_case(id_), self._since or {}
        events, incomplete = await self._opened_of_case(family), await self._incomplete(family)
        if self._case(id_, family, events, incomplete) is None:
            return None

        def is_new(event: Recorded) -> bool:
            return event.position > since.get(event.log, 0)

        def file_of(known: Sequence[Recorded]) -> CaseFile | None:
            return self._case(id_, family, known, incomplete)

        old, new = [event for event in events if not is_new(event)], [event for event in events if is_new(event)]
        told = entries_of(await self._facts(family), await self._read_log(family), family.kinds)
        return Diff(
            id=id_,
            version=max(event.version for event in events if event.stream == id_),
            since=text(since),
            until=text(self._reader.at),
            changes=await asyncio.to_thread(changed, old, new, file_of),  # a fold a fact: others are not to wait for it
            facts=[entry for entry in told if entry.told.position > since.get(entry.told.log, 0)],
            incomplete=incomplete,
        )

    async def record(self, id_: UUID) -> RecordFile | None:
        """The file of a record; None before the report."""
        family = await self._of_record(id_)
        rows = await self._rows(family, "record", "case", "hand_off")
        facts = await self._reader.open(rows)
        reports = facts_of(facts, ReportReceived)
        persons = {child.child_id for report in reports for child in report.children}
        persons |= {alleged.person_id for report in reports for alleged in report.alleged}
        streams = by_stream(await self._open(rows, persons))
        cases = [events[0] for events in _of(streams, family.of("case"))]
        hand_offs = [events[0] for events in _of(streams, family.of("hand_off"))]
        return record_file(streams.get(id_, []), cases, hand_offs, await self._incomplete(family))

    async def contact(self, id_: UUID) -> ContactFile | None:
        """The file of a contact; None before it arrived."""
        records = [link.to for link in await self._reader.owners_of([id_]) if link.kind == "contact"]
        family = Family({id_: "contact"})
        rows = await self._rows(family, "contact")
        callers = {fact.caller_id for fact in facts_of(await self._reader.open(rows), ContactReceived)}
        return contact_file(await self._open(rows, callers), records, await self._incomplete(family))

    async def hand_off(self, id_: UUID) -> HandOffView | None:
        """What was handed off: the promise, and exactly what it discloses; None before it was sent."""
        family = Family({id_: "hand_off"} | await self._messages([id_]))
        promise = await self._rows(family, "hand_off", "message")
        facts = await self._reader.open(promise)
        sent = last([event for event in facts if event.stream == id_], ReferralSent)
        if sent is None:
            return None
        family = Family(family.kinds | {sent.of.record_id: "record"})
        told_of = await self._rows(family, "record")
        report = await self._reader.open(told_of)
        said = last(report, ReportReceived)
        if said is None:
            return None
        streams = by_stream(await self._open(promise, _takers(facts)))
        opened = last(await self._open(told_of, persons_of(disclosed_of(sent, said))), ReportReceived) or said
        return HandOffView(
            hand_off=self._hand_off(streams, streams[id_]),
            record=referred("record", report[0]),
            disclosed=disclosed_of(sent, opened) if self._sealed else None,
            incomplete=await self._incomplete(family),
        )

    async def informant(self, id_: UUID, kind: str) -> InformantFile | None:
        """Who told us, of a case, a record or a contact."""
        family = await self._family(kind, id_)
        rows = await self._rows(family, kind, "record", "contact")
        facts = await self._reader.open(rows)
        persons = {report.informant.person_id for report in facts_of(facts, ReportReceived) if report.informant}
        persons |= {fact.caller_id for fact in facts_of(facts, ContactReceived)}
        streams = by_stream(await self._open(rows, persons))
        if id_ not in streams:
            return None
        record = [event for events in _of(streams, family.of("record")) for event in events]
        contacts = [event for events in _of(streams, family.of("contact")) for event in events]
        return informant_file(id_, streams[id_][-1].version, record, contacts, await self._incomplete(family))

    async def timeline(self, id_: UUID, by: By) -> Timeline | None:
        """Every fact of a case and of what belongs to it; None before it was opened."""
        family = await self._of_case(id_)
        events = await self._facts(family)
        if not any(event.stream == id_ for event in events):
            return None
        entries = entries_of(events, await self._read_log(family), family.kinds)
        return timeline(id_, entries, by, await self._incomplete(family))

    async def reads(self, id_: UUID) -> Reads:
        """Who has read anything of a case."""
        return await self._reads(id_, await self._of_case(id_))

    async def reads_about(self, person: UUID) -> Reads:
        """Who has read a file that names a person."""
        return await self._reads(person, await self._naming(person))

    # -- parts ---------------------------------------------------------------------------------------------------------------

    async def _family(self, kind: str, id_: UUID) -> Family:
        match kind:
            case "case":
                return await self._of_case(id_)
            case "record":
                return await self._of_record(id_)
            case _:
                return Family({id_: kind})

    async def _of_case(self, id_: UUID) -> Family:
        up = [link.to for link in await self._reader.owners_of([id_]) if link.kind == "case"]
        contacts = [link.stream for link in await self._reader.belonging_to(up) if link.kind == "contact"]
        hand_offs = [link.stream for link in await self._reader.belonging_to([id_]) if link.kind == "hand_off"]
        kinds = dict.fromkeys(contacts, "contact") | dict.fromkeys(up, "record") | {id_: "case"}
        kinds |= dict.fromkeys(hand_offs, "hand_off")
        return Family(kinds | await self._messages(kinds))

    async def _of_record(self, id_: UUID) -> Family:
        down = {link.stream: link.kind for link in await self._reader.belonging_to([id_])}
        return Family({id_: "record"} | down)

    async def _naming(self, person: UUID) -> Family:
        """The files in which a person may be shown. A child stands in its own case and in the hand-offs that carry it; the alleged
        and the informant of a record in all of its cases and hand-offs."""
        named = [(link.stream, *link.kind.split(":")) for link in await self._reader.belonging_to([person]) if ":" in link.kind]
        records = [stream for stream, _, role in named if role in ("alleged", "informant")]
        below = {link.stream: link.kind for link in await self._reader.belonging_to(records) if link.kind in ("case", "hand_off")}
        return Family({person: "person"} | below | {stream: kind for stream, kind, _ in named})

    async def _messages(self, about: Iterable[UUID]) -> dict[UUID, str]:
        return {link.stream: link.kind for link in await self._reader.belonging_to(about) if link.kind == "message"}

    async def _rows(self, family: Family, *kinds: str) -> list[Heard]:
        """The rows of the streams of these kinds, each from its own log."""
        wanted = {id_: LOG_OF[kind] for id_, kind in family.kinds.items() if kind in kinds}
        return [each for each in await self._reader.rows(wanted) if each.log == wanted[each.row.stream]]

    async def _facts(self, family: Family) -> list[Recorded]:
        """Every fact of the family, in the order of recording; nothing is opened."""
        return await self._reader.open(await self._rows(family, *LOG_OF))

    async def _read_log(self, family: Family) -> list[Recorded]:
        """What the read log holds of the files of the family."""
        return await self._reader.open([each for each in await self._reader.rows(family.kinds) if each.log == READ_LOG])

    async def _reads(self, read: UUID, family: Family) -> Reads:
        found, incomplete = await self._read_log(family), await self._incomplete(family)
        return reads(read, found, family.kinds, (self._since, self._reader.at), incomplete)

    async def _opened_of_case(self, family: Family) -> list[Recorded]:
        """The facts that make the file of a case, the parts of those whom it shows opened."""
        rows = await self._rows(family, "case", "record", "hand_off", "message")
        facts = await self._reader.open(rows)
        persons = {fact.child_id for fact in facts_of(facts, CaseOpened)} | _takers(facts)
        persons |= {alleged.person_id for report in facts_of(facts, ReportReceived) for alleged in report.alleged}
        return await self._open(rows, persons)

    def _case(self, id_: UUID, family: Family, events: Sequence[Recorded], incomplete: bool) -> CaseFile | None:
        streams = by_stream(events)
        hand_offs = [self._hand_off(streams, told) for told in _of(streams, family.of("hand_off"))]
        record = next(iter(_of(streams, family.of("record"))), [])
        return case_file(streams.get(id_, []), record, hand_offs, incomplete)

    async def _open(self, rows: Sequence[Heard], persons: set[UUID]) -> list[Recorded]:
        return await self._reader.open(rows, persons if self._sealed else ())

    async def _incomplete(self, family: Family) -> bool:
        return await self._reader.is_incomplete(family.kinds)

    @staticmethod
    def _hand_off(streams: dict[UUID, list[Recorded]], events: Sequence[Recorded]) -> HandOffFile:
        stream = events[0].stream
        messages = [event for told in streams.values() for event in told if _is_about(event, stream)]
        return hand_off_file(events, messages)


def by_stream(events: Iterable[Recorded]) -> dict[UUID, list[Recorded]]:
    """The events of each stream, in order."""
    found: dict[UUID, list[Recorded]] = {}
    for event in events:
        found.setdefault(event.stream, []).append(event)
    return found


def _of(streams: dict[UUID, list[Recorded]], ids: Iterable[UUID]) -> list[list[Recorded]]:
    return [streams[id_] for id_ in ids if id_ in streams]


def _takers(events: Sequence[Recorded]) -> set[UUID]:
    """The officials who took over: named, as the law wants it, to whoever may see the hand-off."""
    return {fact.taker_id for fact in facts_of(events, ReferralAcknowledged)}


def _is_about(event: Recorded, stream: UUID) -> bool:
    return getattr(getattr(event.fact, "about", None), "id", None) == stream

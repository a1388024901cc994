"""Reading a file: which streams belong to it at the instant, whose sealed parts it opens, and the fold. Nothing else is opened."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.mapper import Recorded
from contracts.cases import CaseOpened
from contracts.intake import ContactReceived, ReportReceived
from contracts.referrals import ReferralAcknowledged, ReferralSent
from services.projections.views.case_file import CaseFile, case_file
from services.projections.views.hand_offs import HandOffFile, HandOffView, disclosed_of, hand_off_file, persons_of
from services.projections.views.history import Heard, Reader
from services.projections.views.labels import facts_of, last
from services.projections.views.record_file import (
    ContactFile,
    InformantFile,
    RecordFile,
    contact_file,
    informant_file,
    record_file,
)
from services.projections.views.shown import referred
from services.projections.views.timeline import By, Reads, Timeline, reads, timeline

LOG_OF = {"contact": "intake", "record": "intake", "case": "cases", "hand_off": "referrals", "message": "notifications"}
"""Kind of stream → its log. A read of a file is a fact of projections on the stream of the same id: the log tells them apart."""


@dataclass(frozen=True, slots=True)
class Family:
    """The streams of a file: id → kind."""

    kinds: dict[UUID, str]

    def of(self, kind: str) -> list[UUID]:
        return [id_ for id_, own in self.kinds.items() if own == kind]


class Files:
    """The files at one instant. sealed: whether the asker may see personal fields; without it they stay None."""

    def __init__(self, reader: Reader, sealed: bool) -> None:
        self._reader, self._sealed = reader, sealed

    async def case(self, id_: UUID) -> CaseFile | None:
        """The file of a case; None before it was opened."""
        family = await self._of_case(id_)
        rows = await self._rows(family, "case", "record", "hand_off", "message")
        facts = await self._reader.open(rows)
        persons = {fact.child_id for fact in facts_of(facts, CaseOpened)} | _takers(facts)
        persons |= {alleged.person_id for report in facts_of(facts, ReportReceived) for alleged in report.alleged}
        streams = by_stream(await self._open(rows, persons))
        hand_offs = [self._hand_off(streams, events) for events in _of(streams, family.of("hand_off"))]
        record = next(iter(_of(streams, family.of("record"))), [])
        return case_file(streams.get(id_, []), record, hand_offs, await self._incomplete(family))

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
        records = [link.to for link in await self._reader.owners_of([id_])]
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
        events = await self._reader.open(await self._rows(family, *LOG_OF))
        if not any(event.stream == id_ for event in events):
            return None
        return timeline(id_, events, family.kinds, by, await self._incomplete(family))

    async def reads(self, id_: UUID) -> Reads:
        """Who has read anything of a case."""
        family = await self._of_case(id_)
        rows = [each for each in await self._reader.rows(family.kinds) if each.log == "projections"]
        return reads(id_, await self._reader.open(rows), await self._incomplete(family))

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

    async def _messages(self, about: Iterable[UUID]) -> dict[UUID, str]:
        return {link.stream: link.kind for link in await self._reader.belonging_to(about) if link.kind == "message"}

    async def _rows(self, family: Family, *kinds: str) -> list[Heard]:
        """The rows of the streams of these kinds, each from its own log."""
        wanted = {id_: LOG_OF[kind] for id_, kind in family.kinds.items() if kind in kinds}
        return [each for each in await self._reader.rows(wanted) if each.log == wanted[each.row.stream]]

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

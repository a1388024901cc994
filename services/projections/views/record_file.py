"""The files of a record and of a contact, and the view `informant`: who told us, shown to few and never without a reason."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from chassis.mapper import Recorded
from contracts import intake as i
from contracts.shapes import Alleged, Child, Informant
from services.projections.views.labels import last
from services.projections.views.shown import (
    ClockShown,
    Label,
    Link,
    Shown,
    Told,
    clocks_of,
    label,
    of_kind,
    place,
    referred,
    told,
)
from services.projections.views.standing import standing


class RecordFile(Shown):
    """The line's file on one matter. The informant's identity is another view."""

    id: UUID
    reference: str
    version: int
    label: Label
    source: Label
    owner: str
    centre: Label
    received_at: datetime
    incident_at: datetime | None
    incident_commune: Label | None
    residence_commune: Label | None
    emergency: bool
    procedures: list[Label]
    contacts: list[UUID]
    children: list[Child]
    alleged: list[Alleged]
    informant_id: UUID | None
    informant_agrees_to_be_named: bool | None
    screenings: list[Told]
    cases: list[Link]
    hand_offs: list[Link]
    clocks: list[ClockShown]
    incomplete: bool


class ContactFile(Shown):
    """One call, message or letter. Number or handle of the caller is the view `informant`."""

    id: UUID
    version: int
    label: Label
    channel: Label
    line: Label
    form: Label
    received_at: datetime
    sent_at: datetime | None
    centre: Label
    caller_id: UUID
    text: str | None
    files: list[str] | None
    answered: Told | None
    classified: list[Told]
    records: list[UUID]
    clocks: list[ClockShown]
    incomplete: bool


class Caller(Shown):
    """Who stood at the other end of a contact."""

    contact: UUID
    channel: Label
    caller_id: UUID
    handle: str | None


class InformantFile(Shown):
    """The identity of whoever told us, as given in the report, and the callers of its contacts."""

    id: UUID
    version: int
    informant: Informant | None
    callers: list[Caller]
    incomplete: bool


def record_file(
    events: Sequence[Recorded], cases: Sequence[Recorded], hand_offs: Sequence[Recorded], incomplete: bool
) -> RecordFile | None:
    """events: of the record's stream; cases and hand_offs: the first fact of each. None if nothing was reported yet."""
    report = last(events, i.ReportReceived)
    if report is None:
        return None
    informant = report.informant
    return RecordFile(
        **referred("record", events[0]).model_dump(),
        version=events[-1].version,
        label=label("record_label", standing(events).label()),
        source=label("source", report.source),
        owner=report.owner,
        centre=place(report.centre),
        received_at=report.received_at,
        incident_at=report.incident_at,
        incident_commune=place(report.incident_commune) if report.incident_commune else None,
        residence_commune=place(report.residence_commune) if report.residence_commune else None,
        emergency=report.emergency,
        procedures=[label("procedure", code) for code in report.procedures],
        contacts=report.contacts,
        children=report.children,
        alleged=report.alleged,
        informant_id=informant.person_id if informant else None,
        informant_agrees_to_be_named=informant.agrees_to_be_named if informant else None,
        screenings=[told(event) for event in of_kind(events, i.ReportScreened)],
        cases=[referred("case", event) for event in cases],
        hand_offs=[referred("hand_off", event) for event in hand_offs],
        clocks=clocks_of(events),
        incomplete=incomplete,
    )


def contact_file(events: Sequence[Recorded], records: Sequence[UUID], incomplete: bool) -> ContactFile | None:
    """events: of the contact's stream; records: that name it. None if it had not arrived yet."""
    received = last(events, i.ContactReceived)
    if received is None:
        return None
    return ContactFile(
        id=events[0].stream,
        version=events[-1].version,
        label=label("contact_label", standing(events, linked=bool(records)).label()),
        channel=label("channel", received.channel),
        line=label("line", received.line),
        form=label("form", received.form),
        received_at=received.received_at,
        sent_at=received.sent_at,
        centre=place(received.centre),
        caller_id=received.caller_id,
        text=received.text,
        files=received.files,
        answered=next((told(event) for event in of_kind(events, i.ContactAnswered)), None),
        classified=[told(event) for event in of_kind(events, i.ContactClassified)],
        records=list(records),
        clocks=clocks_of(events),
        incomplete=incomplete,
    )


def informant_file(
    read: UUID, version: int, record: Sequence[Recorded], contacts: Sequence[Recorded], incomplete: bool
) -> InformantFile:
    """read: the file that was asked for, at this version. record and contacts: the facts of both, these persons' parts opened."""
    report = last(record, i.ReportReceived)
    callers = [
        Caller(
            contact=event.stream,
            channel=label("channel", event.fact.channel),
            caller_id=event.fact.caller_id,
            handle=event.fact.handle,
        )
        for event in contacts
        if isinstance(event.fact, i.ContactReceived)
    ]
    return InformantFile(
        id=read, version=version, informant=report.informant if report else None, callers=callers, incomplete=incomplete
    )

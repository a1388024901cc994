"""A hand-off as its stream and its messages tell it: every step and every silence."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from chassis.mapper import Recorded
from contracts import referrals as r
from contracts.intake import ReportReceived
from contracts.notifications import NotificationFact
from contracts.shapes import Shape
from services.projections.views.labels import facts_of, last
from services.projections.views.shown import (
    Body,
    ClockShown,
    Label,
    Link,
    Shown,
    Told,
    body,
    clocks_of,
    label,
    of_kind,
    referred,
    told,
)
from services.projections.views.standing import standing


class Silence(Shown):
    """Nobody took over in time. until: when somebody did at last."""

    since: datetime
    until: datetime | None


class HandOffFile(Shown):
    """One promise: who was asked, when it arrived, who took over, what came of it. A delivery is never an acknowledgement."""

    id: UUID
    kind: Label
    reference: str
    version: int
    label: Label
    record_id: UUID
    cases: list[UUID]
    addressee: Body
    emergency: bool
    item: int | None
    sender: str
    basis: Label
    disclosed: list[str]
    sent_at: datetime
    due_on: date | None
    delivered_at: datetime | None
    delivered_via: str | None
    attempts: list[Told]
    acknowledged: Told | None
    silence: Silence | None
    escalations: list[Told]
    completed: Told | None
    revoked: list[Told]
    clocks: list[ClockShown]
    messages: list[Told]


class Disclosed(Shown):
    """Exactly the fields that the hand-off discloses, by person. Nothing else of these persons is opened."""

    children: dict[UUID, dict[str, Any]]
    alleged: dict[UUID, dict[str, Any]]
    informant: dict[UUID, dict[str, Any]]


class HandOffView(Shown):
    """The view `hand_off`: the promise, and what it discloses; None where only the clear part may be seen."""

    hand_off: HandOffFile
    record: Link
    disclosed: Disclosed | None
    incomplete: bool


def hand_off_file(events: Sequence[Recorded], messages: Sequence[Recorded]) -> HandOffFile:
    """events: of the referral's stream; messages: of the threads about it. LookupError if the first fact is not a sending."""
    clocks = clocks_of(events)
    sent = last(events, r.ReferralSent)
    if sent is None:
        raise LookupError("a hand-off begins with its sending")
    delivered = next(iter(facts_of(events, r.ReferralDelivered)), None)
    told_of = {kind: [told(event) for event in of_kind(events, kind)] for kind in _STEPS}
    return HandOffFile(
        **referred("hand_off", events[0]).model_dump(),
        kind=label("hand_off_kind", sent.of.kind),
        version=events[-1].version,
        label=label("hand_off_label", standing(events).label()),
        record_id=sent.of.record_id,
        cases=sent.of.cases,
        addressee=body(sent.of.addressee),
        emergency=sent.of.emergency,
        item=sent.of.item,
        sender=sent.sender,
        basis=label("basis", sent.basis),
        disclosed=sent.disclosed,
        sent_at=sent.sent_at,
        due_on=sent.due_on,
        delivered_at=delivered.delivered_at if delivered else None,
        delivered_via=delivered.via if delivered else None,
        attempts=told_of[r.AttemptRecorded],
        acknowledged=next(iter(told_of[r.ReferralAcknowledged]), None),
        silence=_silence(events, clocks),
        escalations=told_of[r.ReferralEscalated],
        completed=next(iter(told_of[r.ReferralCompleted]), None),
        revoked=told_of[r.ReferralRevoked],
        clocks=clocks,
        messages=[told(event) for event in messages if _is_about_sending(event)],
    )


_STEPS = (r.AttemptRecorded, r.ReferralAcknowledged, r.ReferralEscalated, r.ReferralCompleted, r.ReferralRevoked)


def _silence(events: Sequence[Recorded], clocks: Sequence[ClockShown]) -> Silence | None:
    """From the first due time that passed unanswered until somebody took over; a later due time does not shorten it."""
    breached = [clock.due_at for clock in clocks if clock.clock == "acknowledgement" and clock.breached]
    taken = last(events, r.ReferralAcknowledged)
    return Silence(since=min(breached), until=taken.acknowledged_at if taken else None) if breached else None


def _is_about_sending(event: Recorded) -> bool:
    return isinstance(event.fact, NotificationFact) and hasattr(event.fact, "about")


def disclosed_of(sent: r.ReferralSent, report: ReportReceived) -> Disclosed:
    """The fields named in `disclosed`, of the children handed over, of the alleged, and of an informant who agrees to be named."""
    fields: dict[str, list[str]] = {"child": [], "alleged": [], "informant": []}
    for name in sent.disclosed:
        of, _, field = name.partition(".")
        fields.setdefault(of, []).append(field)
    informant = report.informant
    return Disclosed(
        children={child.child_id: _only(child, fields["child"]) for child in report.children if child.child_id in sent.of.children},
        alleged={person.person_id: _only(person, fields["alleged"]) for person in report.alleged if fields["alleged"]},
        informant={informant.person_id: _only(informant, fields["informant"])}
        if informant and informant.agrees_to_be_named and fields["informant"]
        else {},
    )


def persons_of(disclosed: Disclosed) -> set[UUID]:
    """Whose sealed parts may be opened to fill it."""
    return {*disclosed.children, *disclosed.alleged, *disclosed.informant}


def _only(shape: Shape, fields: Sequence[str]) -> dict[str, Any]:
    shown = shape.model_dump(mode="json")
    return {field: shown.get(field) for field in fields}

"""The file of one case: folded from its stream, the record it comes from and the hand-offs that carry it."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from chassis.mapper import Recorded
from contracts import cases as c
from contracts.intake import ReportReceived
from contracts.shapes import Alleged, Child, PlanItem
from services.projections.views.hand_offs import HandOffFile
from services.projections.views.labels import facts_of, last, tracks_of
from services.projections.views.shown import (
    Body,
    ClockShown,
    Label,
    Link,
    Shown,
    Told,
    Track,
    body,
    clocks_of,
    label,
    of_kind,
    place,
    referred,
    stamp,
    told,
)
from services.projections.views.standing import standing


class MeasureShown(Shown):
    """An emergency measure of any competent body."""

    number: int
    measure: Label
    by: Body
    applied_at: datetime
    place: str | None
    note: str | None
    ended_at: datetime | None
    because: str | None


class Seen(Shown):
    """What a chair had on the screen: the case at this version, and the text of the plan that counted there."""

    version: int
    plan: int | None
    digest: str | None
    goals: str | None
    activities: str | None


class Approval(Shown):
    """Form 05: who approved which digest, having seen what."""

    decision_no: str
    signatory: str
    digest: str
    seen: Seen | None
    approved: Told


class PlanShown(Shown):
    """One text of a plan (Form 04) with what became of it. counts: the latest text of the case; a later one voids its approval."""

    plan: int
    digest: str
    counts: bool
    author: str
    submitted_at: datetime
    version: int
    review_on: date
    items: list[PlanItem]
    goals: str | None
    activities: str | None
    approval: Approval | None
    reviews: list[Told]
    closed: Told | None


class CaseFile(Shown):
    """Everything this line knows of the protection of one child. Nothing in it depends on who asks when: only on the instant."""

    id: UUID
    reference: str
    version: int
    label: Label
    tracks: list[Track]
    record: Link
    child_id: UUID
    child: Child | None
    alleged: list[Alleged]
    informant_agrees_to_be_named: bool | None
    lead: Label
    centre: Label
    incident_commune: Label
    residence_commune: Label | None
    incident_at: datetime | None
    received_at: datetime
    opened_at: datetime
    risk: Label
    emergency: bool
    procedures: list[Label]
    age_band: Label
    owner: str | None
    clocks: list[ClockShown]
    hand_offs: list[HandOffFile]
    assessments: list[Told]
    measures: list[MeasureShown]
    plans: list[PlanShown]
    closure: Told | None
    incomplete: bool


def case_file(
    events: Sequence[Recorded], record: Sequence[Recorded], hand_offs: Sequence[HandOffFile], incomplete: bool
) -> CaseFile | None:
    """events: of the case's stream, record: of its record's, None if the case was not open yet. incomplete: something is parked."""
    opened, report = last(events, c.CaseOpened), last(record, ReportReceived)
    if opened is None or not record:
        return None
    clocks = clocks_of(events)
    children = report.children if report else []
    return CaseFile(
        **referred("case", events[0]).model_dump(),
        version=events[-1].version,
        label=label("case_label", standing(events).label()),
        tracks=list(tracks_of(events)),
        record=referred("record", record[0]),
        child_id=opened.child_id,
        child=next((child for child in children if child.child_id == opened.child_id), None),
        alleged=report.alleged if report else [],
        informant_agrees_to_be_named=report.informant.agrees_to_be_named if report and report.informant else None,
        lead=place(opened.lead),
        centre=place(opened.centre),
        incident_commune=place(opened.incident_commune),
        residence_commune=place(opened.residence_commune) if opened.residence_commune else None,
        incident_at=opened.incident_at,
        received_at=opened.received_at,
        opened_at=stamp(events[0]),
        risk=label("level", opened.risk),
        emergency=opened.emergency,
        procedures=[label("procedure", code) for code in opened.procedures],
        age_band=label("age_band", opened.age_band),
        owner=report.owner if report else None,
        clocks=clocks,
        hand_offs=list(hand_offs),
        assessments=[told(event) for event in of_kind(events, c.DetailedAssessmentRecorded)],
        measures=list(_measures(events)),
        plans=list(_plans(events)),
        closure=next((told(event) for event in reversed(of_kind(events, c.CaseClosed))), None),
        incomplete=incomplete,
    )


def _measures(events: Sequence[Recorded]) -> Iterator[MeasureShown]:
    ended = {fact.number: fact for fact in facts_of(events, c.EmergencyMeasureEnded)}
    for fact in facts_of(events, c.EmergencyMeasureApplied):
        end = ended.get(fact.number)
        yield MeasureShown(
            number=fact.number,
            measure=label("measure", fact.measure),
            by=body(fact.by),
            applied_at=fact.applied_at,
            place=fact.place,
            note=fact.note,
            ended_at=end.ended_at if end else None,
            because=end.because if end else None,
        )


def _plans(events: Sequence[Recorded]) -> Iterator[PlanShown]:
    texts = of_kind(events, c.PlanSubmitted)
    for event in texts:
        fact: Any = event.fact
        yield PlanShown(
            plan=fact.plan,
            digest=fact.digest,
            counts=event is texts[-1],
            author=fact.author,
            submitted_at=stamp(event),
            version=event.version,
            review_on=fact.review_on,
            items=fact.items,
            goals=fact.goals,
            activities=fact.activities,
            approval=_approval(events, fact.plan),
            reviews=_about(events, c.ReviewRecorded, fact.plan),
            closed=next(iter(_about(events, c.InterventionClosed, fact.plan)), None),
        )


def _about(events: Sequence[Recorded], kind: type[c.ReviewRecorded | c.InterventionClosed], plan: int) -> list[Told]:
    return [told(event) for event in events if isinstance(event.fact, kind) and event.fact.plan == plan]


def _approval(events: Sequence[Recorded], plan: int) -> Approval | None:
    for event in events:
        if isinstance(event.fact, c.PlanApproved) and event.fact.plan == plan:
            seen = event.meta.get("seen")
            return Approval(
                decision_no=event.fact.decision_no,
                signatory=event.fact.signatory,
                digest=event.fact.digest,
                seen=_seen(events, int(seen)) if seen else None,
                approved=told(event),
            )
    return None


def _seen(events: Sequence[Recorded], version: int) -> Seen:
    text = last([event for event in events if event.version <= version], c.PlanSubmitted)
    return Seen(
        version=version,
        plan=text.plan if text else None,
        digest=text.digest if text else None,
        goals=text.goals if text else None,
        activities=text.activities if text else None,
    )

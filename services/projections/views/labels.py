"""Status labels: computed from the facts of one stream, never a guard. First match wins; tracks stand beside."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar
from uuid import UUID

from chassis.mapper import Recorded
from contracts.cases import (
    CaseClosed,
    CaseOpened,
    DetailedAssessmentRecorded,
    EmergencyMeasureApplied,
    EmergencyMeasureEnded,
    HandOffNoted,
    InterventionClosed,
    PlanApproved,
    PlanSubmitted,
    ReviewRecorded,
)
from contracts.intake import CaseLinked, ContactAnswered, ContactClassified, ReportScreened
from contracts.kernel import Fact
from contracts.referrals import (
    ReferralAcknowledged,
    ReferralCompleted,
    ReferralDelivered,
    ReferralEscalated,
    ReferralRevoked,
    ReferralSent,
)
from contracts.shapes import Addressee
from services.projections.views.shown import ClockShown, Track, label

F = TypeVar("F", bound=Fact)
CLOSED = {"moved": "TRANSFERRED_OUT", "not_confirmed": "UNVERIFIABLE", "out_of_scope": "NOT_ABUSE"}
TAKEN = {"acknowledged", "completed"}


def facts_of(events: Sequence[Recorded], kind: type[F]) -> list[F]:
    """The facts of one kind, in order."""
    return [event.fact for event in events if isinstance(event.fact, kind)]


def last(events: Sequence[Recorded], kind: type[F]) -> F | None:
    """The latest fact of a kind."""
    return next(reversed(facts_of(events, kind)), None)


def case_label(events: Sequence[Recorded], clocks: Sequence[ClockShown]) -> str:
    """Where a case stands."""
    if closed := last(events, CaseClosed):
        return CLOSED.get(closed.reason, "CLOSED")
    return _of_plan(events, clocks) or _of_assessment(events) or _of_lead(events)


def _of_plan(events: Sequence[Recorded], clocks: Sequence[ClockShown]) -> str | None:
    ended, plan = last(events, InterventionClosed), last(events, PlanSubmitted)
    if plan is None:
        return None
    if ended and ended.outcome == "risk_remains" and ended.plan == plan.plan:
        return "PLAN_RENEWED"
    since = _since_approval(events, plan)
    if any(isinstance(fact, ReviewRecorded) for fact in since) or any(
        c.clock == "review" and c.owed and c.breached for c in clocks
    ):
        return "UNDER_REVIEW"
    if any(isinstance(fact, HandOffNoted) and fact.kind == "service" and fact.step in TAKEN for fact in since):
        return "IN_SUPPORT"
    return "PLAN_APPROVED" if since else "PLAN_SUBMITTED"


def _since_approval(events: Sequence[Recorded], plan: PlanSubmitted) -> list[Any]:
    """The facts from the approval of this text on; none if it is not approved."""
    facts = [event.fact for event in events]
    approvals = [n for n, fact in enumerate(facts) if isinstance(fact, PlanApproved) and fact.plan == plan.plan]
    return facts[approvals[0] :] if approvals else []


def _of_assessment(events: Sequence[Recorded]) -> str | None:
    cycle = 1 + len(facts_of(events, InterventionClosed))
    assessed = any(form.cycle == cycle for form in facts_of(events, DetailedAssessmentRecorded))
    return "DETAILED_ASSESSED" if assessed else None


def _of_lead(events: Sequence[Recorded]) -> str:
    steps = {step for steps in _steps_to_lead(events) if "revoked" not in steps for step in steps}
    if steps & TAKEN:
        return "ACKNOWLEDGED"
    if "escalated" in steps:
        return "SILENT"
    return "FORWARDED" if steps else "TRIAGED"


def _steps_to_lead(events: Sequence[Recorded]) -> list[set[str]]:
    """Of each hand-over to the leading commune, the steps that the case heard of."""
    opened = last(events, CaseOpened)
    lead = opened and Addressee(role="commune_pc", place=opened.lead)
    found: dict[UUID, set[str]] = {}
    for noted in facts_of(events, HandOffNoted):
        if noted.kind == "handover" and noted.addressee == lead:
            found.setdefault(noted.referral_id, set()).add(noted.step)
    return list(found.values())


def tracks_of(events: Sequence[Recorded]) -> Iterator[Track]:
    """What runs beside the status."""
    applied = len(facts_of(events, EmergencyMeasureApplied))
    opened = last(events, CaseOpened)
    if applied or (opened and opened.emergency):
        active = applied > len(facts_of(events, EmergencyMeasureEnded))
        yield _track("emergency", "active" if active else "ended" if applied else "flagged")
    kinds = {noted.kind for noted in facts_of(events, HandOffNoted)}
    if "crime_report" in kinds:
        yield _track("criminal", "sent")
    if "identification" in kinds:
        yield _track("identification", "open")


def _track(code: str, state: str) -> Track:
    return Track(**label("track", code).model_dump(), state=state)


def record_label(events: Sequence[Recorded]) -> str:
    """Where a record stands."""
    if last(events, CaseLinked):
        return "FOLLOWING"
    return "TRIAGED" if last(events, ReportScreened) else "RECEIVED"


def contact_label(events: Sequence[Recorded], linked: bool) -> str:
    """Where a contact stands. linked: a report names it."""
    if linked:
        return "LINKED"
    if last(events, ContactClassified):
        return "CLASSIFIED"
    return "ANSWERED" if last(events, ContactAnswered) else "RINGING"


def hand_off_label(events: Sequence[Recorded], clocks: Sequence[ClockShown]) -> str:
    """Where a hand-off stands. Escalated without a breach: attempts, or a message that did not arrive."""
    sent, withdrawn = last(events, ReferralSent), {case for fact in facts_of(events, ReferralRevoked) for case in fact.cases}
    silent = any(clock.clock == "acknowledgement" and clock.breached for clock in clocks)
    said = {
        "REVOKED": sent is not None and withdrawn >= set(sent.of.cases),
        "COMPLETED": last(events, ReferralCompleted) is not None,
        "ACKNOWLEDGED": last(events, ReferralAcknowledged) is not None,
        "SILENT": silent,
        "ESCALATED": last(events, ReferralEscalated) is not None,
        "DELIVERED": last(events, ReferralDelivered) is not None,
    }
    return next((code for code, holds in said.items() if holds), "SENT")

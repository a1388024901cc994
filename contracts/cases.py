"""What cases tells: the protection of one child under one lead, from opening to closure (Decree 56/2017 art. 25-32)."""

from datetime import date
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from contracts import clocks, system
from contracts.codes import (
    AgeBand,
    AgeBasis,
    CloseReason,
    HandOffKind,
    HandOffStep,
    InterventionOutcome,
    Level,
    Measure,
    MeasureEnd,
    Procedure,
    ReviewConclusion,
)
from contracts.kernel import Fact, Instant, Personal
from contracts.places import Place
from contracts.shapes import Addressee, Answer, Line, PlanItem, Text


def _numbered_once(items: list[PlanItem]) -> list[PlanItem]:
    if len({item.item for item in items}) != len(items):
        raise PydanticCustomError("item-twice", "every item of a plan has a number of its own")
    return items


PlanItems = Annotated[list[PlanItem], AfterValidator(_numbered_once)]
"""The items of one plan: the number of an item names its hand-off, so no two share one (error `item-twice`)."""


class CaseFact(Fact):
    log: ClassVar[str] = "cases"


class CaseOpened(CaseFact):
    """Protection of one child begins. `lead` is the commune of the incident; legal clocks count from `received_at`."""

    record_id: UUID
    child_id: UUID
    received_at: Instant
    incident_commune: Place
    residence_commune: Place | None = None
    lead: Place
    centre: Place
    incident_at: Instant | None = None
    risk: Level
    emergency: bool
    procedures: list[Procedure]
    age_band: AgeBand
    age_basis: AgeBasis


class HandOffNoted(CaseFact):
    """The case hears what became of a hand-off that carries it; `at` is when it happened at the addressee."""

    referral_id: UUID
    kind: HandOffKind
    addressee: Addressee
    step: HandOffStep
    at: Instant
    item: int | None = None


class DetailedAssessmentRecorded(CaseFact):
    """Form 03 of this cycle. `disagrees` is the reason where the chosen level departs from the counts of the answers."""

    form: Line
    cycle: int
    level: Level
    disagrees: Line | None = None
    minutes: Line | None = None
    child_id: UUID
    answers: Annotated[list[Answer] | None, Personal("child_id")] = None
    child_wishes: Annotated[Text | None, Personal("child_id")] = None
    family_wishes: Annotated[Text | None, Personal("child_id")] = None
    needs: Annotated[Text | None, Personal("child_id")] = None


class EmergencyMeasureApplied(CaseFact):
    """A competent body, any of them, acted for the child (art. 26.3, 31.1): this meets the twelve hours."""

    number: int
    measure: Measure
    by: Addressee
    applied_at: Instant
    child_id: UUID
    place: Annotated[Text | None, Personal("child_id")] = None
    note: Annotated[Text | None, Personal("child_id")] = None


class EmergencyMeasureEnded(CaseFact):
    """An emergency measure is over."""

    number: int
    ended_at: Instant
    because: MeasureEnd


class PlanSubmitted(CaseFact):
    """Form 04. `plan` counts the texts of the case. `digest` binds goals, activities, items and review date; a new text voids the
    approval of the one before."""

    plan: int
    digest: Line
    items: PlanItems
    review_on: date
    author: Line
    child_id: UUID
    goals: Annotated[Text | None, Personal("child_id")] = None
    activities: Annotated[Text | None, Personal("child_id")] = None
    salt: Annotated[str | None, Personal("child_id")] = None


class PlanApproved(CaseFact):
    """Form 05: the chair approves exactly the plan with this digest. Carries what referrals needs to ask for the services."""

    plan: int
    digest: Line
    items: PlanItems
    review_on: date
    decision_no: Line
    signatory: Line
    record_id: UUID
    child_id: UUID
    centre: Place
    emergency: bool
    lead: Place | None = None


class ReviewRecorded(CaseFact):
    """Form 06, after the plan: the child's state and the safety of the home (art. 30)."""

    plan: int
    form: Line
    conclusion: ReviewConclusion
    disagrees: Line | None = None
    author: Line
    child_id: UUID
    answers: Annotated[list[Answer] | None, Personal("child_id")] = None


class InterventionClosed(CaseFact):
    """The intervention is over; `plan` is its last text, `review` the version of the review it rests on. What is in `revoke` is no
    longer owed."""

    plan: int
    outcome: InterventionOutcome
    review: int
    revoke: list[UUID]
    child_id: UUID
    note: Annotated[Text | None, Personal("child_id")] = None


class CaseClosed(CaseFact):
    """The chair's decision that ends the case (art. 30.1)."""

    reason: CloseReason
    decided_by: Line
    lead: Place
    child_id: UUID
    note: Annotated[Text | None, Personal("child_id")] = None


class ClockStarted(CaseFact, clocks.Started):
    """See `contracts.clocks`."""


class ClockMet(CaseFact, clocks.Met):
    """See `contracts.clocks`."""


class ClockBreached(CaseFact, clocks.Breached):
    """See `contracts.clocks`."""


class ClockWaived(CaseFact, clocks.Waived):
    """See `contracts.clocks`."""


class ClockRecomputed(CaseFact, clocks.Recomputed):
    """See `contracts.clocks`."""


class LogCreated(CaseFact, system.Created):
    """See `contracts.system`."""


class HeartbeatRecorded(CaseFact, system.Heartbeat):
    """See `contracts.system`."""


class KeyIntroduced(CaseFact, system.Introduced):
    """See `contracts.system`."""


class KeyRetired(CaseFact, system.Retired):
    """See `contracts.system`."""


class PolicyAdopted(CaseFact, system.Adopted):
    """See `contracts.system`."""


class LogRecovered(CaseFact, system.Recovered):
    """See `contracts.system`."""


class ParkedRetried(CaseFact, system.Retried):
    """See `contracts.system`."""


class ParkedDiscarded(CaseFact, system.Discarded):
    """See `contracts.system`."""

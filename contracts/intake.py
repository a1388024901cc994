"""What intake tells: contacts, reports, screenings, and what becomes of the data of a person.

Personal fields are sealed under the person they are about.
"""

from datetime import date
from typing import Annotated, ClassVar
from uuid import UUID

from contracts import clocks, system
from contracts.codes import (
    Authority,
    Channel,
    ContactKind,
    DataAnswer,
    DataRefusal,
    DataStage,
    ErasureBasis,
    Form,
    Hold,
    HoldEnd,
    Language,
    Level,
    LineCode,
    Procedure,
    ProtectionLevel,
    RestrictionBasis,
    RestrictionEnd,
    Right,
    ScreeningDecision,
    Source,
    Tier,
)
from contracts.kernel import Fact, Instant, Personal
from contracts.places import Place
from contracts.shapes import Addressee, Alleged, Child, Informant, Line, ScreenedChild, Text


class IntakeFact(Fact):
    log: ClassVar[str] = "intake"


class ContactReceived(IntakeFact):
    """A call, message, mail or letter reached the line. `received_at` is the first lawful receiving point's, `sent_at` a claim."""

    channel: Channel
    line: LineCode
    form: Form
    received_at: Instant
    sent_at: Instant | None = None
    centre: Place
    caller_id: UUID
    handle: Annotated[Line | None, Personal("caller_id")] = None
    text: Annotated[Text | None, Personal("caller_id")] = None
    files: Annotated[list[str] | None, Personal("caller_id")] = None


class ContactAnswered(IntakeFact):
    """A counsellor took the contact."""

    answered_at: Instant
    agent: Line
    interpreter_id: UUID | None = None


class ContactClassified(IntakeFact):
    """What kind of contact it was. Told again it is a correction; the old class stays in the history."""

    kind: ContactKind
    tier: Tier
    language: Language | None = None
    caller_id: UUID
    topics: Annotated[list[str] | None, Personal("caller_id")] = None


class ReportReceived(IntakeFact):
    """Information about one or more children (Form 01). Legal clocks count from `received_at`, not from the typing."""

    contacts: list[UUID]
    source: Source
    centre: Place
    owner: Line
    received_at: Instant
    incident_at: Instant | None = None
    incident_commune: Place | None = None
    residence_commune: Place | None = None
    children: list[Child]
    alleged: list[Alleged]
    informant: Informant | None = None
    emergency: bool
    procedures: list[Procedure]


class ReportScreened(IntakeFact):
    """How grave, which procedures, whom to tell: all that cases and referrals need to act without asking back."""

    decision: ScreeningDecision
    reason: Line | None = None
    other: UUID | None = None
    children: list[ScreenedChild]
    received_at: Instant
    incident_at: Instant | None = None
    incident_commune: Place | None = None
    residence_commune: Place | None = None
    centre: Place
    risk: Level
    protection_level: ProtectionLevel
    emergency: bool
    procedures: list[Procedure]
    send_to: list[Addressee]
    quick_report: bool


class CaseLinked(IntakeFact):
    """A case was opened for this child of the record."""

    case_id: UUID
    child_id: UUID


class DataRequestReceived(IntakeFact):
    """Somebody asked what becomes of their data, or a child's: a right of Law 91/2025. Its clocks count from `received_at`."""

    number: int
    right: Right
    received_at: Instant
    authority: Authority
    person_id: UUID
    statement: Annotated[Text | None, Personal("person_id")] = None


class DataRequestAnswered(IntakeFact):
    """The requester was answered, or told that it is done. `reason` says why it was not, or only in part."""

    number: int
    stage: DataStage
    answer: DataAnswer
    reason: DataRefusal | None = None


class HoldPlaced(IntakeFact):
    """The person may not be forgotten while it stands, at most up to and with the day `until_on`. `case_id`: of an open case."""

    hold: Hold
    until_on: date | None = None
    case_id: UUID | None = None


class HoldLifted(IntakeFact):
    """This hold binds no longer."""

    hold: Hold
    reason: HoldEnd
    case_id: UUID | None = None


class PersonRestricted(IntakeFact):
    """What is sealed of this person is shown to the data officer alone. The key is kept."""

    basis: RestrictionBasis


class RestrictionLifted(IntakeFact):
    """What is sealed of this person is shown again to whoever may see it."""

    reason: RestrictionEnd


class ErasureRequested(IntakeFact):
    """One data officer proposes that the person be forgotten. `request`: the number of the data request that asks for it."""

    basis: ErasureBasis
    request: int | None = None
    proposed_by: Line


class ErasureApproved(IntakeFact):
    """Another data officer agrees: from here on nothing stops it. `decision` is the number of the written decision."""

    decision: Line
    approved_by: Line


class ErasureRefused(IntakeFact):
    """The person is not forgotten, for this reason."""

    reason: DataRefusal


class PersonForgotten(IntakeFact):
    """The person's key is destroyed, so nothing sealed under it can be read again. Told after the deed, never before."""

    decision: Line
    destroyed_at: Instant


class ClockStarted(IntakeFact, clocks.Started):
    """See `contracts.clocks`."""


class ClockMet(IntakeFact, clocks.Met):
    """See `contracts.clocks`."""


class ClockBreached(IntakeFact, clocks.Breached):
    """See `contracts.clocks`."""


class ClockWaived(IntakeFact, clocks.Waived):
    """See `contracts.clocks`."""


class ClockRecomputed(IntakeFact, clocks.Recomputed):
    """See `contracts.clocks`."""


class LogCreated(IntakeFact, system.Created):
    """See `contracts.system`."""


class HeartbeatRecorded(IntakeFact, system.Heartbeat):
    """See `contracts.system`."""


class KeyIntroduced(IntakeFact, system.Introduced):
    """See `contracts.system`."""


class KeyRetired(IntakeFact, system.Retired):
    """See `contracts.system`."""


class PolicyAdopted(IntakeFact, system.Adopted):
    """See `contracts.system`."""


class LogRecovered(IntakeFact, system.Recovered):
    """See `contracts.system`."""


class ParkedRetried(IntakeFact, system.Retried):
    """See `contracts.system`."""


class ParkedDiscarded(IntakeFact, system.Discarded):
    """See `contracts.system`."""

"""What intake tells: contacts, reports, screenings. Personal fields are sealed under the person they are about."""

from typing import Annotated, ClassVar
from uuid import UUID

from contracts import clocks, system
from contracts.codes import (
    Channel,
    ContactKind,
    Form,
    Language,
    Level,
    LineCode,
    Procedure,
    ProtectionLevel,
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

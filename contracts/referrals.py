"""What referrals tells: promises that one addressee has one matter, from sending to acknowledgement, silence and result."""

from datetime import date
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from contracts import clocks, system
from contracts.codes import AttemptResult, Basis, CompletionResult, EscalationReason, RevokeReason, RoleCode, Via
from contracts.kernel import Fact, Instant, Personal
from contracts.places import Place
from contracts.shapes import Addressee, AgencyContact, ChildDigest, HandOff, Line, PerChild


class ReferralFact(Fact):
    log: ClassVar[str] = "referrals"


class ReferralSent(ReferralFact):
    """A matter is handed to one addressee. `disclosed` are names of the field register, never values."""

    of: HandOff
    agency_id: UUID | None = None
    sender: Line
    basis: Basis
    disclosed: list[Line]
    digests: list[ChildDigest]
    sent_at: Instant
    due_on: date | None = None


class ReferralDelivered(ReferralFact):
    """It reached the addressee: a mail server's word or the opened link. Never an acknowledgement."""

    of: HandOff
    via: Via
    delivered_at: Instant


class AttemptRecorded(ReferralFact):
    """Somebody tried to reach the addressee; what was said is kept per child."""

    of: HandOff
    number: int
    via: Via
    to: Line
    at: Instant
    result: AttemptResult
    words: list[PerChild]


class ReferralAcknowledged(ReferralFact):
    """A named person of the addressee takes the matter over. `told`: the bodies that the ladder told of its silence."""

    of: HandOff
    via: Via
    acknowledged_at: Instant
    office: Line
    taker_id: UUID
    visit_by: Instant | None = None
    told: list[Addressee] = Field(default_factory=list)
    name: Annotated[Line | None, Personal("taker_id")] = None
    phone: Annotated[Line | None, Personal("taker_id")] = None


class ReferralCompleted(ReferralFact):
    """What was asked for is done, or cannot be."""

    of: HandOff
    result: CompletionResult
    at: Instant
    report: list[PerChild]


class ReferralRevoked(ReferralFact):
    """The matter is withdrawn for these cases; for all of them the hand-off is settled. `told` as in `ReferralAcknowledged`."""

    of: HandOff
    cases: list[UUID]
    reason: RevokeReason
    told: list[Addressee] = Field(default_factory=list)


class ReferralEscalated(ReferralFact):
    """Nobody took over: the next rung of the ladder is told."""

    of: HandOff
    level: int
    to: list[Addressee]
    because: EscalationReason


class AgencyRegistered(ReferralFact):
    """The body that fills a role at a place from a day on, and the ways to reach it, in the order to be tried."""

    agency_id: UUID
    role: RoleCode
    place: Place
    label: Line
    valid_from_on: date
    contacts: Annotated[list[AgencyContact] | None, Personal("agency_id")] = None


class ClockStarted(ReferralFact, clocks.Started):
    """See `contracts.clocks`."""


class ClockMet(ReferralFact, clocks.Met):
    """See `contracts.clocks`."""


class ClockBreached(ReferralFact, clocks.Breached):
    """See `contracts.clocks`."""


class ClockWaived(ReferralFact, clocks.Waived):
    """See `contracts.clocks`."""


class ClockRecomputed(ReferralFact, clocks.Recomputed):
    """See `contracts.clocks`."""


class LogCreated(ReferralFact, system.Created):
    """See `contracts.system`."""


class HeartbeatRecorded(ReferralFact, system.Heartbeat):
    """See `contracts.system`."""


class KeyIntroduced(ReferralFact, system.Introduced):
    """See `contracts.system`."""


class KeyRetired(ReferralFact, system.Retired):
    """See `contracts.system`."""


class PolicyAdopted(ReferralFact, system.Adopted):
    """See `contracts.system`."""


class LogRecovered(ReferralFact, system.Recovered):
    """See `contracts.system`."""


class ParkedRetried(ReferralFact, system.Retried):
    """See `contracts.system`."""


class ParkedDiscarded(ReferralFact, system.Discarded):
    """See `contracts.system`."""

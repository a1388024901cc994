"""What notifications tells: what was said to whom, over which channel, with what result. No case facts stand in a message."""

from typing import ClassVar
from uuid import UUID

from contracts import clocks, system
from contracts.codes import CancelReason, FailureReason, Template, UndeliverableReason, Via
from contracts.kernel import Fact, Instant, Shape
from contracts.places import Place
from contracts.shapes import About, Addressee, Line


class NotificationFact(Fact):
    log: ClassVar[str] = "notifications"


class Letter(Shape):
    """What a message to an official says, in codes: the template renders it, the link is added while sending."""

    template: Template
    emergency: bool
    commune: Place | None = None
    children: int | None = None
    clock: Line | None = None
    due_at: Instant | None = None


class MessageQueued(NotificationFact):
    """Message `number` of a thread (one matter, one recipient). `channels` are tried in order: `email:1` is the first address."""

    about: About
    recipient: Addressee
    agency_id: UUID | None = None
    number: int
    purpose: Line
    letter: Letter
    channels: list[Line]
    not_after: Instant | None = None


class MessageSent(NotificationFact):
    """Accepted by a relay or by the addressee's own server, under `provider_ref` (the Message-ID)."""

    about: About
    recipient: Addressee
    number: int
    channel: Line
    attempt: int
    provider_ref: Line


class MessageFailed(NotificationFact):
    """One attempt on one channel failed at `at`; the pause before the next counts from it. `permanent` failures end the channel."""

    about: About
    recipient: Addressee
    number: int
    channel: Line
    attempt: int
    reason: FailureReason
    permanent: bool
    at: Instant


class MessageDelivered(NotificationFact):
    """The addressee's own server has it. Neither a reading nor an acknowledgement."""

    about: About
    recipient: Addressee
    number: int
    channel: Line
    at: Instant
    via: Via


class MessageUndeliverable(NotificationFact):
    """Every channel is used up, or there is none."""

    about: About
    recipient: Addressee
    number: int
    tried: int
    because: UndeliverableReason


class MessageCancelled(NotificationFact):
    """No longer to be sent: what it spoke of is settled."""

    about: About
    recipient: Addressee
    number: int
    because: CancelReason


class ClockStarted(NotificationFact, clocks.Started):
    """See `contracts.clocks`."""


class ClockMet(NotificationFact, clocks.Met):
    """See `contracts.clocks`."""


class ClockBreached(NotificationFact, clocks.Breached):
    """See `contracts.clocks`."""


class ClockWaived(NotificationFact, clocks.Waived):
    """See `contracts.clocks`."""


class ClockRecomputed(NotificationFact, clocks.Recomputed):
    """See `contracts.clocks`."""


class LogCreated(NotificationFact, system.Created):
    """See `contracts.system`."""


class HeartbeatRecorded(NotificationFact, system.Heartbeat):
    """See `contracts.system`."""


class KeyIntroduced(NotificationFact, system.Introduced):
    """See `contracts.system`."""


class KeyRetired(NotificationFact, system.Retired):
    """See `contracts.system`."""


class PolicyAdopted(NotificationFact, system.Adopted):
    """See `contracts.system`."""


class LogRecovered(NotificationFact, system.Recovered):
    """See `contracts.system`."""


class ParkedRetried(NotificationFact, system.Retried):
    """See `contracts.system`."""


class ParkedDiscarded(NotificationFact, system.Discarded):
    """See `contracts.system`."""

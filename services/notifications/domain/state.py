"""What a stream of notifications knows: one thread of messages about one matter to one recipient."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import singledispatch
from typing import Any, Literal
from uuid import UUID

from contracts.clocks import NO_CLOCKS, Clocks, fold, fold_clocks_of
from contracts.kernel import Command, Fact, Refused, changed
from contracts.notifications import ClockRecomputed, ClockStarted, Letter
from contracts.shapes import About, Addressee

End = Literal["delivered", "undeliverable", "cancelled"]
DELIVERY = "delivery"


@dataclass(frozen=True)
class Message:
    """One message of a thread. Its channels are used one after the other, each inside a `delivery` clock of its own.

    agency_id: whose addresses the channels are. using: index of the channel in use, -1 before the first. began_at, due_at: of that
    channel's clock. failed_at: the last failure on it. accepted: a relay took the message there, so its receipt is awaited.
    tried: attempts made, by channel.
    """

    number: int
    letter: Letter
    channels: tuple[str, ...]
    agency_id: UUID | None = None
    not_after: datetime | None = None
    using: int = -1
    began_at: datetime | None = None
    due_at: datetime | None = None
    failed_at: datetime | None = None
    accepted: bool = False
    tried: Mapping[str, int] = field(default_factory=dict[str, int])
    end: End | None = None

    @property
    def clock(self) -> str:
        """The name of its clock: `delivery/<number>`."""
        return f"{DELIVERY}/{self.number}"

    @property
    def channel(self) -> str | None:
        """The channel in use."""
        return self.channels[self.using] if self.using >= 0 else None


@dataclass(frozen=True)
class Thread:
    """The messages about one matter to one recipient, in the order of their numbers from 1."""

    about: About
    recipient: Addressee
    messages: tuple[Message, ...] = ()
    clocks: Clocks = field(default_factory=lambda: NO_CLOCKS)

    @property
    def open(self) -> list[Message]:
        """The messages still to be delivered."""
        return [message for message in self.messages if message.end is None]

    def message(self, number: int) -> Message:
        """Message `number`. Raises Refused for a number that was never given."""
        if not 1 <= number <= len(self.messages):
            raise Refused("not-found")
        return self.messages[number - 1]

    def timed_by(self, clock: str) -> Message:
        """The message of a clock that was started in this thread."""
        return self.message(int(clock.partition("/")[2]))

    def with_message(self, message: Message) -> "Thread":
        """The thread with this message in its place."""
        messages = (*self.messages[: message.number - 1], message, *self.messages[message.number :])
        return changed(self, messages=messages)


State = Thread | None


@singledispatch
def decide(command: Command, thread: State) -> Iterator[Fact]:
    """The facts that this command leads to in this state; none if it changes nothing. Raises Refused."""
    raise NotImplementedError(type(command).__name__)


@singledispatch
def evolve(_: Fact, thread: Any) -> Any:
    """The thread after a fact. A fact may matter to others and change nothing here."""
    return thread


fold_clocks_of(evolve)


@evolve.register
def _(fact: ClockStarted, thread: Thread) -> Thread:
    """Each start of a delivery clock is the beginning of the next channel."""
    message = thread.timed_by(fact.clock)
    begun = changed(
        message, using=message.using + 1, began_at=fact.counted_from, due_at=fact.due_at, failed_at=None, accepted=False
    )
    return changed(thread.with_message(begun), clocks=fold(thread.clocks, fact))


@evolve.register
def _(fact: ClockRecomputed, thread: Thread) -> Thread:
    message = changed(thread.timed_by(fact.clock), due_at=fact.due_at)
    return changed(thread.with_message(message), clocks=fold(thread.clocks, fact))

"""Saying something to somebody, and no longer wanting to."""

from collections.abc import Iterator
from typing import ClassVar
from uuid import UUID

from contracts import clocks
from contracts.codes import CancelReason
from contracts.kernel import Command, Instant, changed
from contracts.notifications import (
    ClockWaived,
    Letter,
    MessageCancelled,
    MessageQueued,
    MessageUndeliverable,
    NotificationFact,
)
from contracts.shapes import About, Addressee, Line
from services.notifications.domain.channels import begin
from services.notifications.domain.state import Message, State, Thread, decide, evolve


class QueueMessage(Command):
    """Say something to a body, about one matter; the thread's next number. `not_after`: when it is no longer worth saying.

    `agency_id` and `channels` (`email:1` is the first address) are not the caller's to say: the service's wiring fills them from
    its copy of the directory before the decision. Without a channel the message is undeliverable at once.
    """

    creates: ClassVar[bool] = True
    filled: ClassVar[frozenset[str]] = frozenset({"agency_id", "channels"})
    about: About
    recipient: Addressee
    purpose: Line
    letter: Letter
    channels: tuple[Line, ...] = ()
    agency_id: UUID | None = None
    not_after: Instant | None = None


@decide.register
def queue_message(command: QueueMessage, thread: State) -> Iterator[NotificationFact]:
    queued = MessageQueued(
        about=command.about,
        recipient=command.recipient,
        agency_id=command.agency_id,
        number=len(thread.messages) + 1 if thread else 1,
        purpose=command.purpose,
        letter=command.letter,
        channels=list(dict.fromkeys(command.channels)),
        not_after=command.not_after,
    )
    yield queued
    if queued.channels:
        yield begin(command.recipient, in_queue(queued, thread).messages[-1], command)
    else:
        yield MessageUndeliverable(
            about=queued.about, recipient=queued.recipient, number=queued.number, tried=0, because="no_contact"
        )


@evolve.register
def in_queue(fact: MessageQueued, thread: State) -> Thread:
    thread = thread or Thread(fact.about, fact.recipient)
    message = Message(fact.number, fact.letter, tuple(fact.channels), fact.agency_id, fact.not_after)
    return changed(thread, messages=(*thread.messages, message))


class CancelMessage(Command):
    """What the thread speaks of is settled: its messages that are not delivered yet need not be."""

    because: CancelReason


@decide.register
def cancel_message(command: CancelMessage, thread: Thread) -> Iterator[NotificationFact]:
    for message in thread.open:
        yield MessageCancelled(about=thread.about, recipient=thread.recipient, number=message.number, because=command.because)
        reason = "revoked" if command.because == "revoked" else "settled"
        yield from clocks.waive(ClockWaived, thread.clocks, [message.clock], reason, command.actor)


@evolve.register
def cancelled(fact: MessageCancelled, thread: Thread) -> Thread:
    return thread.with_message(changed(thread.message(fact.number), end="cancelled"))

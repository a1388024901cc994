"""Sending: when the next attempt is due, and what became of it. The sender loop asks, tries, and records."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from contracts import clocks
from contracts.codes import FailureReason, Via
from contracts.kernel import Command, Instant, Refused, Shape, changed
from contracts.notifications import (
    ClockBreached,
    ClockMet,
    ClockWaived,
    MessageDelivered,
    MessageFailed,
    MessageSent,
    MessageUndeliverable,
    NotificationFact,
)
from contracts.rules import Rules
from contracts.shapes import Line
from services.notifications.domain.channels import next_channel
from services.notifications.domain.state import Message, Thread, decide, evolve


@dataclass(frozen=True)
class Attempt:
    """One try that is due: attempt `number` over `channel`, not before `at`."""

    channel: str
    number: int
    at: datetime


def next_attempt(message: Message, now: datetime, rules: Rules) -> Attempt | None:
    """The next try of a message. None while a receipt is awaited, when the channel's time or tries are used up, after the end."""
    pauses = rules.attempt_pauses()
    channel, began_at, due_at = message.channel, message.began_at, message.due_at
    if message.end or message.accepted or channel is None or began_at is None or due_at is None:
        return None
    made = message.tried.get(channel, 0)
    if made >= len(pauses):
        return None
    at = max(now, (message.failed_at or began_at) + pauses[made])
    if at >= due_at or (message.not_after and at >= message.not_after):
        return None  # the clock decides how it goes on
    return Attempt(channel, made + 1, at)


class Sent(Shape):
    """A relay took it under this Message-ID: on its way, not delivered."""

    result: Literal["sent"] = "sent"
    provider_ref: Line


class Delivered(Shape):
    """The addressee's own server took it."""

    result: Literal["delivered"] = "delivered"
    provider_ref: Line
    via: Via


class Failed(Shape):
    """Nobody took it. `permanent`: trying this channel again is useless."""

    result: Literal["failed"] = "failed"
    reason: FailureReason
    permanent: bool


class RecordSending(Command):
    """What became of attempt `attempt` over `channel`. The same attempt told again changes nothing.

    What left before the message was cancelled or given up is told all the same: it did leave. Refused: `not-found`.
    """

    number: int
    channel: Line
    attempt: int
    result: Sent | Delivered | Failed


@decide.register
def record_sending(command: RecordSending, thread: Thread) -> Iterator[NotificationFact]:
    message = _addressed(command.number, command.channel, thread)
    if command.attempt != message.tried.get(command.channel, 0) + 1:
        return
    match command.result:
        case Failed() as failed:
            yield from _failed(command, failed, message, thread)
        case taken:
            yield MessageSent(
                about=thread.about,
                recipient=thread.recipient,
                number=message.number,
                channel=command.channel,
                attempt=command.attempt,
                provider_ref=taken.provider_ref,
            )
            if isinstance(taken, Delivered):
                yield from _delivered(thread, message, command.channel, _past(command.happened_at, command), taken.via)


def _failed(command: RecordSending, failed: Failed, message: Message, thread: Thread) -> Iterator[NotificationFact]:
    yield MessageFailed(
        about=thread.about,
        recipient=thread.recipient,
        number=message.number,
        channel=command.channel,
        attempt=command.attempt,
        reason=failed.reason,
        permanent=failed.permanent,
        at=_past(command.happened_at, command),
    )
    used_up = failed.permanent or command.attempt >= len(command.given.rules.attempt_pauses())
    if used_up and message.end is None and message.channel == command.channel:
        for fact in next_channel(thread, message, sum(message.tried.values()) + 1, command):
            yield fact
            if isinstance(fact, MessageUndeliverable):
                yield from clocks.waive(ClockWaived, thread.clocks, [message.clock], "settled", command.actor)


class RecordReceipt(Command):
    """A delivery status notification came: the addressee's own server has the message. `at` by the word of that server.

    Refused: `not-found`, `in-the-future`.
    """

    number: int
    channel: Line
    at: Instant | None = None
    via: Via = "dsn"


@decide.register
def record_receipt(command: RecordReceipt, thread: Thread) -> Iterator[NotificationFact]:
    message = _addressed(command.number, command.channel, thread)
    yield from _delivered(thread, message, command.channel, _past(command.at or command.happened_at, command), command.via)


def _delivered(thread: Thread, message: Message, channel: str, at: datetime, via: str) -> Iterator[NotificationFact]:
    if message.end == "delivered":
        return
    yield MessageDelivered(about=thread.about, recipient=thread.recipient, number=message.number, channel=channel, at=at, via=via)
    yield from clocks.meet(ClockMet, ClockBreached, thread.clocks, message.clock, at)


def _addressed(number: int, channel: str, thread: Thread) -> Message:
    message = thread.message(number)
    if channel not in message.channels:
        raise Refused("not-found")
    return message


def _past(at: datetime, command: Command) -> datetime:
    if at > command.now:
        raise Refused("in-the-future")
    return at


@evolve.register
def sent(fact: MessageSent, thread: Thread) -> Thread:
    message = _tried(fact, thread)
    return thread.with_message(changed(message, accepted=message.accepted or fact.channel == message.channel))


@evolve.register
def failed(fact: MessageFailed, thread: Thread) -> Thread:
    message = _tried(fact, thread)
    is_current = fact.channel == message.channel
    return thread.with_message(changed(message, failed_at=fact.at if is_current else message.failed_at))


def _tried(fact: MessageSent | MessageFailed, thread: Thread) -> Message:
    message = thread.message(fact.number)
    return changed(message, tried={**message.tried, fact.channel: fact.attempt})


@evolve.register
def delivered(fact: MessageDelivered, thread: Thread) -> Thread:
    return thread.with_message(changed(thread.message(fact.number), end="delivered"))

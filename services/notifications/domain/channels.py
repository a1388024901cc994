"""Channels: used in their order, each for the time of one `delivery` clock; after the last one a message is undeliverable."""

from collections.abc import Iterator

from contracts import clocks
from contracts.kernel import Command, changed
from contracts.notifications import ClockStarted, MessageUndeliverable
from contracts.shapes import Addressee
from services.notifications.domain.state import Message, Thread, evolve


def begin(recipient: Addressee, message: Message, command: Command) -> ClockStarted:
    """The next channel begins now."""
    return clocks.start(
        ClockStarted,
        message.clock,
        command.now,
        command.given,
        responsible=recipient,
        parties={},
        emergency=message.letter.emergency,
    )


def next_channel(thread: Thread, message: Message, tried: int, command: Command) -> Iterator[ClockStarted | MessageUndeliverable]:
    """The message goes on over its next channel; without one, or when it is no longer worth saying, it is undeliverable."""
    in_time = message.not_after is None or command.now < message.not_after
    if in_time and message.using + 1 < len(message.channels):
        yield begin(thread.recipient, message, command)
    else:
        yield MessageUndeliverable(
            about=thread.about, recipient=thread.recipient, number=message.number, tried=tried, because="exhausted"
        )


@evolve.register
def given_up(fact: MessageUndeliverable, thread: Thread) -> Thread:
    return thread.with_message(changed(thread.message(fact.number), end="undeliverable"))

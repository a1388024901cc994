"""Clocks of messages: a channel whose time is over gives way to the next."""

from collections.abc import Iterator

from contracts import clocks
from contracts.clocks import BreachClock, WaiveClock
from contracts.kernel import Refused
from contracts.notifications import ClockBreached, ClockWaived, NotificationFact
from services.notifications.domain.channels import next_channel
from services.notifications.domain.state import Thread, decide


@decide.register
def breach_clock(command: BreachClock, thread: Thread) -> Iterator[NotificationFact]:
    for breached in clocks.breach(ClockBreached, thread.clocks, command):
        yield breached
        message = thread.timed_by(command.clock)
        yield from next_channel(thread, message, sum(message.tried.values()), command)


@decide.register
def waive_clock(command: WaiveClock, thread: Thread) -> Iterator[NotificationFact]:
    waived = list(clocks.asked_to_waive(ClockWaived, thread.clocks, command))
    if thread.timed_by(command.clock).end is None:  # a message does not hang: it is delivered, given up, or what it says is settled
        raise Refused("still-open", clock=command.clock)
    yield from waived

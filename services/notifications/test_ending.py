"""Every message comes to an end, on random histories: delivered, undeliverable, cancelled, or its delivery clock runs."""

from functools import reduce
from typing import Any

from hypothesis import given as for_all
from hypothesis import strategies as st

from contracts.clocks import BreachClock, WaiveClock, running
from contracts.kernel import Given, Refused
from contracts.notifications import (
    ClockStarted,
    MessageCancelled,
    MessageDelivered,
    MessageFailed,
    MessageQueued,
    MessageSent,
    MessageUndeliverable,
)
from contracts.rules import DEMO, LAW
from services.notifications.domain import decide, evolve
from services.notifications.domain.queueing import CancelMessage
from services.notifications.domain.sending import RecordReceipt, RecordSending, next_attempt
from services.notifications.test_samples import (
    BOUNCED,
    FIRST,
    HOUR,
    LETTER,
    MINUTE,
    NEXT,
    NO_ANSWER,
    RELAYED,
    SECOND,
    TAKEN,
    URGENT,
    say,
)
from tests.given import NOW, STREAM

ENDS = {MessageDelivered: "delivered", MessageUndeliverable: "undeliverable", MessageCancelled: "cancelled"}
NUMBERS = st.integers(1, 3)
CHANNELS = st.sampled_from([FIRST, NEXT])
RESULTS = st.sampled_from([RELAYED, TAKEN, BOUNCED, NO_ANSWER])
QUEUEINGS = st.builds(
    lambda channels, letter, not_after: say(*channels, letter=letter, not_after=not_after),
    channels=st.sampled_from([(), (FIRST,), (FIRST, NEXT)]),
    letter=st.sampled_from([LETTER, URGENT]),
    not_after=st.sampled_from([None, NOW + HOUR]),
)
SENDINGS = st.builds(RecordSending, number=NUMBERS, channel=CHANNELS, attempt=st.integers(1, 4), result=RESULTS)
WAIVERS = st.builds(
    WaiveClock,
    clock=st.sampled_from(["delivery/1", "delivery/2"]),
    reason=st.just("settled"),
    approved_by=st.sampled_from(["officer-7", "officer-8"]),
)
COMMANDS = (
    QUEUEINGS
    | SENDINGS
    | st.builds(RecordReceipt, number=NUMBERS, channel=CHANNELS)
    | st.builds(CancelMessage, because=st.sampled_from(["acknowledged", "revoked", "delivered"]))
    | st.builds(BreachClock, clock=st.sampled_from(["delivery/1", "delivery/2", "delivery/3"]))
    | WAIVERS
)
PAUSES = st.sampled_from([0 * SECOND, SECOND, MINUTE, 15 * MINUTE, 2 * HOUR])
RULES = st.sampled_from([LAW, DEMO])
HISTORIES = st.tuples(RULES, QUEUEINGS, st.lists(st.tuples(PAUSES, COMMANDS), max_size=30))


def step(command, thread, now, rules):
    """The facts of one append and the thread after it; a refusal is none."""
    try:
        facts: list[Any] = list(decide(command.knowing(Given("officer-7", "supervisor", now, rules, STREAM, bytes(16))), thread))
    except Refused:
        facts = []
    return facts, reduce(lambda so_far, fact: evolve(fact, so_far), facts, thread)


def played(history):
    """After each append: now, what was told by then, by this command, and the thread."""
    rules, queueing, steps = history
    now, thread, told = NOW, None, []
    for pause, command in [(0 * SECOND, queueing), *steps]:
        now += pause
        facts, thread = step(command, thread, now, rules)
        told = told + facts
        yield now, told, facts, thread


@for_all(HISTORIES)
def test_on_every_prefix_each_message_has_ended_or_its_delivery_clock_runs(history):
    for *_, thread in played(history):
        for message in thread.messages:
            assert (message.end is None) == running(thread.clocks, message.clock)


@for_all(HISTORIES)
def test_a_message_that_has_ended_makes_no_further_attempt_and_begins_no_further_channel(history):
    ended: set[int] = set()
    for now, _, facts, thread in played(history):
        begun = {int(fact.clock.partition("/")[2]) for fact in facts if isinstance(fact, ClockStarted)}
        assert set() == begun & ended
        ended |= {message.number for message in thread.messages if message.end}
        assert {None} >= {next_attempt(thread.message(number), now, history[0]) for number in ended}


@for_all(HISTORIES)
def test_each_end_of_a_message_is_told_once_and_only_a_delivery_can_follow_another(history):
    *_, (_, told, _, thread) = played(history)
    for message in thread.messages:
        ends = [ENDS[type(fact)] for fact in told if type(fact) in ENDS and fact.number == message.number]
        assert ends in (
            [],
            ["delivered"],
            ["undeliverable"],
            ["cancelled"],
            ["undeliverable", "delivered"],
            ["cancelled", "delivered"],
        )
        assert (ends or [None])[-1] == message.end


@for_all(HISTORIES)
def test_each_attempt_is_told_once_and_in_order(history):
    *_, (_, told, _, thread) = played(history)
    for message in thread.messages:
        for channel in message.channels:
            made = [
                fact.attempt
                for fact in told
                if isinstance(fact, MessageSent | MessageFailed) and (fact.number, fact.channel) == (message.number, channel)
            ]
            assert list(range(1, len(made) + 1)) == made


@for_all(HISTORIES)
def test_the_messages_of_a_thread_are_numbered_from_one_without_a_gap(history):
    *_, (_, told, _, thread) = played(history)
    assert [message.number for message in thread.messages] == [fact.number for fact in told if isinstance(fact, MessageQueued)]
    assert list(range(1, len(thread.messages) + 1)) == [message.number for message in thread.messages]


@for_all(RULES, st.sampled_from([(FIRST,), (FIRST, NEXT)]), st.sampled_from([LETTER, URGENT]), st.lists(RESULTS, max_size=20))
def test_a_sender_and_a_timer_bring_every_message_to_its_end(rules, channels, letter, results):
    """The loops as they run: try whenever an attempt is due, else let the clock run out."""
    now, (_, thread) = NOW, step(say(*channels, letter=letter), None, NOW, rules)
    for turn in range(2 * len(channels) * (len(rules.attempt_pauses()) + 1)):
        message = thread.message(1)
        if message.end:
            break
        if attempt := next_attempt(message, now, rules):
            now = attempt.at
            result = results[turn] if turn < len(results) else NO_ANSWER
            command: Any = RecordSending(number=1, channel=attempt.channel, attempt=attempt.number, result=result)
        else:
            now, command = thread.clocks[message.clock].due_at, BreachClock(clock=message.clock)
        _, thread = step(command, thread, now, rules)
    assert thread.message(1).end

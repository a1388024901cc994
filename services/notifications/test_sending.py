"""Sending: attempts and their pauses, channels one after the other, deliveries and what comes too late."""

from dataclasses import replace

import pytest

from contracts.clocks import BreachClock, Recomputed, WaiveClock
from contracts.notifications import (
    ClockBreached,
    ClockMet,
    ClockRecomputed,
    ClockStarted,
    ClockWaived,
    MessageDelivered,
    MessageFailed,
    MessageQueued,
    MessageSent,
    MessageUndeliverable,
)
from contracts.rules import DEMO, LAW
from services.notifications.domain.queueing import CancelMessage
from services.notifications.domain.sending import Attempt, RecordReceipt, RecordSending, next_attempt
from services.notifications.test_samples import (
    ABOUT,
    BOUNCED,
    COMMUNE,
    FIRST,
    HOUR,
    MINUTE,
    NEXT,
    NO_ANSWER,
    RELAYED,
    SECOND,
    TAKEN,
    URGENT,
    given,
    kinds,
    queued,
    say,
    then,
    tried,
)
from tests.given import NOW

SETTLED = CancelMessage(because="acknowledged")
TIME_IS_UP = BreachClock(clock="delivery/1")
SENT = MessageSent(about=ABOUT, recipient=COMMUNE, number=1, channel=FIRST, attempt=1, provider_ref="<1@111.example>")
DELIVERED = MessageDelivered(about=ABOUT, recipient=COMMUNE, number=1, channel=FIRST, at=NOW, via="smtp_accepted")
LOST = MessageUndeliverable(about=ABOUT, recipient=COMMUNE, number=1, tried=1, because="exhausted")


def attempt(facts, at=NOW, rules=LAW, number=1):
    """The next try that the sender loop is told of."""
    return next_attempt(given(*facts).state.message(number), at, rules)


def failing(facts, *times):
    """Somebody tries at these instants and nobody answers."""
    for number, at in enumerate(times, start=1):
        facts = then(facts, tried(NO_ANSWER, number), at=at)
    return facts


# -- attempts ---------------------------------------------------------------------------------------------------------------------
def test_a_message_is_tried_at_once():
    assert Attempt(FIRST, 1, NOW) == attempt(queued())


@pytest.mark.parametrize(
    ("failures", "at"), [([NOW], 30 * SECOND), ([NOW, NOW + MINUTE], 3 * MINUTE), ([NOW, NOW, NOW], 10 * MINUTE)]
)
def test_each_pause_counts_from_the_failure_before_it(failures, at):
    assert Attempt(FIRST, len(failures) + 1, NOW + at) == attempt(failing(queued(), *failures))


def test_an_attempt_that_is_overdue_is_due_now_and_never_before():
    assert Attempt(FIRST, 1, NOW + MINUTE) == attempt(queued(), at=NOW + MINUTE)


def test_no_attempt_is_made_when_the_time_of_the_channel_is_over():
    assert None is attempt(queued(), at=NOW + 15 * MINUTE)


def test_an_urgent_message_makes_no_attempt_after_its_two_minutes():
    assert None is attempt(failing(queued(letter=URGENT), NOW, NOW + 30 * SECOND), at=NOW + MINUTE)


def test_a_message_that_is_no_longer_worth_saying_is_not_tried():
    assert None is attempt(queued(not_after=NOW + MINUTE), at=NOW + MINUTE)


def test_a_message_that_waits_for_its_receipt_is_not_tried_again():
    assert None is attempt(then(queued(), tried(RELAYED)))


@pytest.mark.parametrize("ending", [tried(TAKEN), SETTLED])
def test_a_message_that_has_ended_is_not_tried(ending):
    assert None is attempt(then(queued(), ending))


def test_a_message_without_a_channel_is_not_tried():
    assert None is attempt(given().when(say()).told)


def test_the_demo_pauses_for_seconds():
    assert Attempt(FIRST, 2, NOW + SECOND) == attempt(failing(queued(), NOW), rules=DEMO)


def test_an_attempt_on_the_next_channel_is_made_at_once():
    assert Attempt(NEXT, 1, NOW + SECOND) == attempt(then(queued(), tried(BOUNCED)), at=NOW + SECOND)


def test_a_channel_that_was_tried_before_the_rules_allowed_fewer_is_not_tried_again():
    assert None is attempt(failing(queued(), NOW, NOW, NOW), rules=replace(LAW, pauses=LAW.pauses[:3]))


def test_the_first_pause_of_a_channel_counts_from_its_beginning():
    patient = replace(LAW, pauses=(MINUTE, MINUTE))
    facts = failing(queued(), NOW)
    assert Attempt(FIRST, 1, NOW + MINUTE) == attempt(queued(), rules=patient)
    later = then(facts, TIME_IS_UP, at=NOW + HOUR)
    assert Attempt(NEXT, 1, NOW + HOUR + MINUTE) == attempt(later, at=NOW + HOUR, rules=patient)


def test_when_no_receipt_came_in_time_the_next_channel_is_tried():
    facts = then(then(queued(), tried(RELAYED)), TIME_IS_UP, at=NOW + HOUR)
    assert Attempt(NEXT, 1, NOW + HOUR) == attempt(facts, at=NOW + HOUR)


def test_a_failure_of_a_channel_given_up_meanwhile_does_not_delay_the_next():
    facts = then(queued(), TIME_IS_UP, at=NOW + HOUR)
    facts = then(facts, tried(NO_ANSWER, channel=NEXT), at=NOW + HOUR)
    facts = then(facts, tried(NO_ANSWER), at=NOW + HOUR + 20 * SECOND)
    assert Attempt(NEXT, 2, NOW + HOUR + 30 * SECOND) == attempt(facts, at=NOW + HOUR + 20 * SECOND)


# -- results ----------------------------------------------------------------------------------------------------------------------
def test_what_a_relay_took_is_sent_and_not_delivered():
    given(*queued()).when(tried(RELAYED)).then(SENT)


def test_what_the_addressees_own_server_took_is_delivered():
    given(*queued()).when(tried(TAKEN)).then(SENT, DELIVERED, ClockMet(clock="delivery/1", met_at=NOW, late=False))


def test_an_attempt_that_fails_is_kept_with_its_reason_and_its_instant():
    given(*queued()).when(tried(NO_ANSWER), at=NOW + SECOND).then(
        MessageFailed(
            about=ABOUT,
            recipient=COMMUNE,
            number=1,
            channel=FIRST,
            attempt=1,
            reason="timeout",
            permanent=False,
            at=NOW + SECOND,
        )
    )


@pytest.mark.parametrize("again", [tried(TAKEN), tried(RELAYED), tried(BOUNCED)])
def test_the_same_attempt_told_again_changes_nothing(again):
    given(*then(queued(), tried(NO_ANSWER))).when(again).then_nothing()


def test_an_attempt_that_was_never_due_changes_nothing():
    given(*queued()).when(tried(TAKEN, attempt=3)).then_nothing()


@pytest.mark.parametrize("unknown", [tried(TAKEN, channel="sms:1"), tried(TAKEN, number=2), tried(TAKEN, number=0)])
def test_a_result_of_an_unknown_message_or_channel_is_refused(unknown):
    given(*queued()).when(unknown).refused("not-found")


def test_an_attempt_cannot_have_been_made_in_the_future():
    later = NOW + MINUTE
    for result in (NO_ANSWER, TAKEN):
        command = RecordSending(number=1, channel=FIRST, attempt=1, result=result, occurred_at=later)
        given(*queued()).when(command).refused("in-the-future")


# -- channels ---------------------------------------------------------------------------------------------------------------------
def test_an_address_that_refuses_for_good_gives_way_to_the_next_with_a_clock_of_its_own():
    told = given(*queued()).when(tried(BOUNCED), at=NOW + MINUTE).told
    assert ["MessageFailed", "ClockStarted"] == kinds(told)
    assert ("delivery/1", NOW + 16 * MINUTE) == (told[1].clock, told[1].due_at)


def test_four_attempts_use_a_channel_up():
    facts = failing(queued(), NOW, NOW, NOW)
    assert ["MessageFailed", "ClockStarted"] == kinds(given(*facts).when(tried(NO_ANSWER, 4)).told)


def test_after_the_last_channel_a_message_is_undeliverable_and_owes_no_delivery():
    told = given(*queued(FIRST)).when(tried(BOUNCED)).told
    assert [LOST, ClockWaived(clock="delivery/1", reason="settled", approved_by="officer-7")] == told[1:]


def test_every_attempt_on_every_channel_counts_as_tried():
    facts = then(failing(queued(), NOW, NOW), tried(BOUNCED, 3))
    assert 4 == given(*facts).when(tried(BOUNCED, channel=NEXT)).told[1].tried


def test_a_channel_whose_time_is_over_gives_way_to_the_next():
    due = NOW + 15 * MINUTE
    given(*then(queued(), tried(RELAYED))).when(TIME_IS_UP, at=due).then(
        ClockBreached(clock="delivery/1", due_at=due, responsible=COMMUNE, tell=[]),
        ClockStarted(
            clock="delivery/1",
            rule="delivery@2025-07-01",
            counted_from=due,
            due_at=due + 15 * MINUTE,
            responsible=COMMUNE,
            tell=[],
        ),
    )


def test_a_last_channel_whose_time_is_over_is_the_end_of_the_message():
    told = given(*then(queued(FIRST), tried(RELAYED))).when(TIME_IS_UP, at=NOW + HOUR).told
    assert ["ClockBreached", "MessageUndeliverable"] == kinds(told)
    assert LOST == told[1]


def test_a_message_no_longer_worth_saying_does_not_begin_another_channel():
    told = given(*queued(not_after=NOW + HOUR)).when(TIME_IS_UP, at=NOW + HOUR).told
    assert ["ClockBreached", "MessageUndeliverable"] == kinds(told)


def test_a_clock_that_is_not_due_or_not_running_is_not_breached():
    given(*queued()).when(TIME_IS_UP, at=NOW + 14 * MINUTE).then_nothing()
    given(*queued()).when(BreachClock(clock="delivery/9"), at=NOW + HOUR).then_nothing()
    given(*then(queued(), SETTLED)).when(TIME_IS_UP, at=NOW + HOUR).then_nothing()


def test_a_result_of_a_channel_given_up_meanwhile_is_kept_and_moves_nothing():
    facts = then(queued(), TIME_IS_UP, at=NOW + HOUR)
    assert ["MessageFailed"] == kinds(given(*facts).when(tried(BOUNCED), at=NOW + HOUR).told)
    late = then(facts, tried(RELAYED), at=NOW + HOUR)
    assert Attempt(NEXT, 1, NOW + HOUR) == attempt(late, at=NOW + HOUR)


def test_a_new_rule_moves_the_time_of_the_channel():
    moved = Recomputed(
        clock="delivery/1", was_due_at=NOW + 15 * MINUTE, due_at=NOW + MINUTE, because="rule", rule="delivery@2026-01-01"
    )
    assert None is attempt([*queued(), ClockRecomputed(**dict(moved))], at=NOW + 2 * MINUTE)


# -- receipts and what comes late -------------------------------------------------------------------------------------------------
def test_a_receipt_delivers_what_a_relay_took():
    facts = then(queued(), tried(RELAYED))
    given(*facts).when(RecordReceipt(number=1, channel=FIRST, at=NOW), at=NOW + MINUTE).then(
        DELIVERED.model_copy(update={"via": "dsn"}), ClockMet(clock="delivery/1", met_at=NOW, late=False)
    )


def test_a_receipt_for_a_channel_given_up_meanwhile_delivers_all_the_same():
    facts = then(then(queued(), tried(RELAYED)), TIME_IS_UP, at=NOW + HOUR)
    told = given(*facts).when(RecordReceipt(number=1, channel=FIRST), at=NOW + HOUR).told
    assert ["MessageDelivered", "ClockMet"] == kinds(told)
    assert None is attempt(facts + told, at=NOW + HOUR)


def test_a_second_receipt_changes_nothing():
    given(*then(queued(), tried(TAKEN))).when(RecordReceipt(number=1, channel=FIRST)).then_nothing()


def test_a_receipt_cannot_come_from_the_future():
    given(*queued()).when(RecordReceipt(number=1, channel=FIRST, at=NOW + MINUTE)).refused("in-the-future")


def test_a_receipt_for_what_was_never_said_is_refused():
    given(*queued()).when(RecordReceipt(number=1, channel="sms:1")).refused("not-found")


def test_what_left_before_it_was_cancelled_is_told_because_it_did_leave():
    facts = then(queued(), SETTLED)
    given(*facts).when(tried(RELAYED)).then(SENT)
    given(*facts).when(tried(TAKEN)).then(SENT, DELIVERED)
    assert ["MessageFailed"] == kinds(given(*facts).when(tried(BOUNCED)).told)


def test_a_receipt_after_the_message_was_given_up_corrects_that_and_the_breach_stays():
    facts = then(then(queued(FIRST), tried(RELAYED)), TIME_IS_UP, at=NOW + HOUR)
    told = given(*facts).when(RecordReceipt(number=1, channel=FIRST), at=NOW + HOUR).told
    assert ["MessageDelivered", "ClockMet"] == kinds(told)
    assert (True, "delivered") == (told[1].late, given(*facts, *told).state.message(1).end)


# -- waiving ----------------------------------------------------------------------------------------------------------------------
def test_nobody_can_let_a_message_hang_by_waiving_its_clock():
    waiver = WaiveClock(clock="delivery/1", reason="settled", approved_by="officer-8")
    given(*queued()).when(waiver).refused("still-open", clock="delivery/1")


def test_the_clock_of_a_message_given_up_can_be_waived_by_two_people():
    facts = then(queued(FIRST), TIME_IS_UP, at=NOW + HOUR)
    waiver = WaiveClock(clock="delivery/1", reason="settled", approved_by="officer-8")
    given(*facts).when(waiver).then(ClockWaived(clock="delivery/1", reason="settled", approved_by="officer-8"))
    given(*facts).when(waiver, by="officer-8").refused("own-waiver")
    given(*then(facts, waiver)).when(waiver).refused("clock-not-running", running=[])


def test_facts_that_change_no_message_leave_the_thread_as_it_is():
    assert given(*queued()).state == given(*queued(), MessageQueued.__base__.model_construct()).state

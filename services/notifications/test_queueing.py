"""Queueing and cancelling: what is to be said, to whom, over which channels."""

import pytest

from contracts.notifications import ClockStarted, ClockWaived, MessageCancelled, MessageQueued, MessageUndeliverable
from services.notifications.domain.queueing import CancelMessage
from services.notifications.test_samples import (
    ABOUT,
    AGENCY,
    COMMUNE,
    FIRST,
    HOUR,
    LETTER,
    MINUTE,
    NEXT,
    RELAYED,
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


def test_a_message_is_queued_and_its_first_channel_begins():
    given().when(say(FIRST, NEXT)).then(
        MessageQueued(
            about=ABOUT, recipient=COMMUNE, agency_id=AGENCY, number=1, purpose="duty", letter=LETTER, channels=[FIRST, NEXT]
        ),
        ClockStarted(
            clock="delivery/1",
            rule="delivery@2025-07-01",
            counted_from=NOW,
            due_at=NOW + 15 * MINUTE,
            responsible=COMMUNE,
            tell=[],
        ),
    )


def test_an_urgent_message_has_two_minutes_a_channel():
    assert NOW + 2 * MINUTE == queued(letter=URGENT)[1].due_at


def test_a_message_to_somebody_without_any_address_is_undeliverable_at_once():
    told = given().when(say()).told
    assert ["MessageQueued", "MessageUndeliverable"] == kinds(told)
    assert told[1] == MessageUndeliverable(about=ABOUT, recipient=COMMUNE, number=1, tried=0, because="no_contact")


def test_further_messages_about_the_matter_get_the_next_number_of_the_thread():
    told = given(*queued()).when(say(FIRST)).told
    assert (2, "delivery/2") == (told[0].number, told[1].clock)


def test_a_message_may_follow_one_that_could_not_be_delivered():
    assert 2 == given(*given().when(say()).told).when(say(FIRST)).told[0].number


def test_a_channel_named_twice_is_used_once():
    assert [FIRST] == queued(FIRST, FIRST)[0].channels


def test_a_message_that_is_not_delivered_yet_can_be_cancelled_and_owes_no_delivery():
    given(*queued()).when(SETTLED).then(
        MessageCancelled(about=ABOUT, recipient=COMMUNE, number=1, because="acknowledged"),
        ClockWaived(clock="delivery/1", reason="settled", approved_by="officer-7"),
    )


def test_a_message_that_a_relay_took_but_nobody_received_can_be_cancelled():
    facts = then(queued(), tried(RELAYED))
    assert ["MessageCancelled", "ClockWaived"] == kinds(given(*facts).when(SETTLED).told)


def test_every_open_message_of_the_thread_is_cancelled_and_no_other():
    facts = then(then(then(queued(), say(FIRST)), say(FIRST)), tried(TAKEN, number=2))
    told = given(*facts).when(CancelMessage(because="revoked")).told
    assert [1, 3] == [fact.number for fact in told if isinstance(fact, MessageCancelled)]
    assert [("delivery/1", "revoked"), ("delivery/3", "revoked")] == [
        (fact.clock, fact.reason) for fact in told if isinstance(fact, ClockWaived)
    ]


@pytest.mark.parametrize(
    "facts",
    [
        then(queued(), tried(TAKEN)),
        then(queued(), SETTLED),
        given().when(say()).told,
    ],
    ids=["delivered", "cancelled", "undeliverable"],
)
def test_a_thread_that_is_settled_cannot_be_cancelled_any_more(facts):
    given(*facts).when(SETTLED, at=NOW + HOUR).then_nothing()


def test_the_thread_remembers_whose_addresses_a_message_uses_and_how_long_it_is_worth_saying():
    (message,) = given(*queued(not_after=NOW + HOUR)).state.messages
    assert (AGENCY, NOW + HOUR, FIRST, "delivery/1") == (message.agency_id, message.not_after, message.channel, message.clock)


def test_a_command_that_nobody_taught_this_service_is_an_error_of_ours():
    with pytest.raises(NotImplementedError):
        given().when(CancelMessage.__base__())

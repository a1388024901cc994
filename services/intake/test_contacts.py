"""Contacts, as given, when, then."""

from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from contracts.clocks import BreachClock
from contracts.intake import ClockBreached, ClockMet, ClockStarted, ContactAnswered, ContactClassified, ContactReceived
from contracts.shapes import Addressee
from services.intake.domain import decide, evolve
from services.intake.domain.contacts import AnswerContact, ClassifyContact, ReceiveContact
from services.intake.domain.screening import LinkCase
from tests.given import NOW
from tests.given import given as any_given

given = partial(any_given, decide=decide, evolve=evolve)
MINUTE = timedelta(minutes=1)
HANOI, CALLER = "hanoi@2025-07-01", UUID(int=1)
DESK = Addressee(role="supervisor_desk", place=HANOI)
MESSAGE = {
    "channel": "zalo",
    "line": "child",
    "form": "message",
    "received_at": NOW,
    "sent_at": NOW - MINUTE,
    "centre": HANOI,
    "caller_id": CALLER,
    "handle": "246000000000000111",
    "text": "Em là Mẫu, em sợ về nhà.",
}
CALL = {**MESSAGE, "channel": "phone", "form": "call"}
RECEIVED, RINGING = ContactReceived(**MESSAGE), ContactReceived(**CALL)
DUE = NOW + 10 * MINUTE
STARTED = ClockStarted(
    clock="first-look",
    rule="first-look@2025-07-01",
    calendar=None,
    counted_from=NOW,
    due_at=DUE,
    responsible=DESK,
    tell=[DESK],
)
ANSWERED = ContactAnswered(answered_at=NOW + MINUTE, agent="officer-7")
CLASSIFIED = ContactClassified(kind="report", tier="case", caller_id=CALLER)


def test_a_message_is_owed_a_first_look_within_ten_minutes_of_its_receipt():
    given().when(ReceiveContact(**MESSAGE)).then(RECEIVED, STARTED)


def test_a_message_read_from_the_inbox_later_counts_from_its_arrival_and_not_from_the_reading():
    told = given().when(ReceiveContact(**MESSAGE), at=NOW + 20 * MINUTE).told
    assert DUE == told[1].due_at


def test_a_call_is_answered_and_not_looked_at():
    given().when(ReceiveContact(**CALL)).then(RINGING)


def test_nothing_can_be_received_before_it_arrives():
    given().when(ReceiveContact(**MESSAGE | {"received_at": NOW + MINUTE})).refused("future-receipt")


def test_when_the_sender_says_it_was_sent_is_a_claim_and_never_refused():
    tomorrow = {"sent_at": NOW + timedelta(days=1)}
    given().when(ReceiveContact(**MESSAGE | tomorrow)).then(ContactReceived(**MESSAGE | tomorrow), STARTED)


def test_a_stream_is_received_once():
    given(RECEIVED).when(ReceiveContact(**MESSAGE)).refused("already-received")


def test_whoever_answers_meets_the_first_look_at_the_instant_of_answering():
    at = NOW + MINUTE
    answer = AnswerContact(answered_at=at)
    given(RECEIVED, STARTED).when(answer, at=at).then(ANSWERED, ClockMet(clock="first-look", met_at=at, late=False))


def test_an_answer_at_the_due_instant_is_in_time_and_a_second_later_late():
    for at, late in ((DUE, False), (DUE + timedelta(seconds=1), True)):
        _, *breach, met = given(RECEIVED, STARTED).when(AnswerContact(answered_at=at), at=DUE + MINUTE).told
        assert (late, at, late) == (bool(breach), met.met_at, met.late)


def test_the_exchange_names_the_agent_it_connected():
    connected = AnswerContact(answered_at=NOW, agent="officer-9")
    given(RINGING).when(connected, by="policy:telephony").then(ContactAnswered(answered_at=NOW, agent="officer-9"))


def test_an_answer_without_a_time_happened_when_it_was_said_to_have_occurred():
    assert NOW - MINUTE == given(RINGING).when(AnswerContact(occurred_at=NOW - MINUTE)).told[0].answered_at


def test_the_same_agent_answering_again_changes_nothing():
    given(RECEIVED, STARTED, ANSWERED).when(AnswerContact(), by="officer-7").then_nothing()


def test_an_interpreter_who_joins_is_a_further_answer():
    joined = AnswerContact(interpreter_id=UUID(int=5))
    answer = ContactAnswered(answered_at=NOW, agent="officer-7", interpreter_id=UUID(int=5))
    given(RINGING, ANSWERED).when(joined, by="officer-7").then(answer)


def test_a_contact_put_through_to_somebody_else_is_answered_again_without_a_second_meeting_of_the_clock():
    met = ClockMet(clock="first-look", met_at=NOW + MINUTE, late=False)
    history = given(RECEIVED, STARTED, ANSWERED, met)
    history.when(AnswerContact(), by="officer-9").then(ContactAnswered(answered_at=NOW, agent="officer-9"))


def test_nobody_has_answered_in_the_future():
    given(RECEIVED).when(AnswerContact(answered_at=NOW + MINUTE)).refused("in-the-future")
    given(RECEIVED).when(AnswerContact(occurred_at=NOW + MINUTE)).refused("in-the-future")


def test_a_class_given_without_an_answer_is_a_first_look_too():
    met = ClockMet(clock="first-look", met_at=NOW, late=False)
    given(RECEIVED, STARTED).when(ClassifyContact(kind="report", tier="case")).then(CLASSIFIED, met)


def test_a_class_given_again_is_a_correction_and_the_old_one_stays():
    corrected = ContactClassified(kind="prank", tier="none", caller_id=CALLER)
    given(RECEIVED, CLASSIFIED).when(ClassifyContact(kind="prank", tier="none")).then(corrected)


def test_the_same_class_again_changes_nothing():
    given(RECEIVED, CLASSIFIED).when(ClassifyContact(kind="report", tier="case")).then_nothing()


def test_topics_are_sealed_and_unknown_here_so_they_are_always_told():
    told = ContactClassified(kind="report", tier="case", caller_id=CALLER, topics=["violence"])
    given(RECEIVED, CLASSIFIED).when(ClassifyContact(kind="report", tier="case", topics=["violence"])).then(told)


def test_a_class_is_not_given_in_the_future():
    asked = ClassifyContact(kind="report", tier="case", occurred_at=NOW + MINUTE)
    given(RECEIVED).when(asked).refused("in-the-future")


def test_a_message_nobody_looked_at_breaches_and_the_supervisors_desk_is_told():
    breached = ClockBreached(clock="first-look", due_at=DUE, responsible=DESK, tell=[DESK])
    given(RECEIVED, STARTED).when(BreachClock(clock="first-look"), at=DUE).then(breached)


def test_a_late_look_meets_the_clock_late_and_the_breach_stays():
    breached = ClockBreached(clock="first-look", due_at=DUE, responsible=DESK, tell=[DESK])
    late = given(RECEIVED, STARTED, breached).when(AnswerContact(), at=DUE + MINUTE)
    assert ClockMet(clock="first-look", met_at=DUE + MINUTE, late=True) == late.told[-1]


def test_what_is_for_a_record_is_not_found_on_a_contact():
    given(RECEIVED).when(LinkCase(case_id=UUID(int=9), child_id=UUID(int=2))).refused("not-found")


def test_the_state_of_a_contact_holds_no_personal_text():
    state = given(RECEIVED, CLASSIFIED.model_copy(update={"topics": ["violence"]})).state
    for word in ("246000000000000111", "Mẫu", "violence"):
        assert word not in repr(state)


def test_a_command_of_another_service_is_not_decided_here():
    class Stranger(AnswerContact.__base__):
        """Not intake's."""

    with pytest.raises(NotImplementedError):
        given().when(Stranger())

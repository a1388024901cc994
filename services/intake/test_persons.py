"""Persons, as given, when, then: rights and their clocks, holds, restriction."""

from datetime import UTC, date, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest

from contracts.clocks import BreachClock, WaiveClock
from contracts.intake import (
    ClockBreached,
    ClockMet,
    ClockStarted,
    ContactReceived,
    DataRequestAnswered,
    DataRequestReceived,
    HoldLifted,
    HoldPlaced,
    PersonRestricted,
    RestrictionLifted,
)
from services.intake.domain import decide, evolve
from services.intake.domain.erasure import ApproveErasure
from services.intake.domain.persons import (
    DESK,
    AnswerDataRequest,
    HoldForCase,
    LiftHold,
    LiftRestriction,
    PlaceHold,
    ReceiveDataRequest,
    ReleaseCase,
    RestrictPerson,
)
from services.intake.test_contacts import MESSAGE
from services.intake.test_erasure import APPROVED, FORGOTTEN, REQUESTED
from tests.given import NOW, STREAM
from tests.given import given as any_given

given = partial(any_given, decide=decide, evolve=evolve)
CASE, OTHER_CASE = UUID(int=21), UUID(int=22)
ASKED = DataRequestReceived(number=1, right="erase", received_at=NOW, authority="representative", person_id=STREAM)
ANSWER_DUE, DONE_DUE = datetime(2026, 3, 5, 17, tzinfo=UTC), datetime(2026, 3, 23, 17, tzinfo=UTC)
COURT = HoldPlaced(hold="court", until_on=date(2026, 3, 31))
HELD = HoldPlaced(hold="open_case", case_id=CASE)
RESTRICTED = PersonRestricted(basis="hold")


def clock(name, due_at, calendar):
    rule = f"{name.partition('/')[0]}@2026-01-01"
    return ClockStarted(clock=name, rule=rule, calendar=calendar, counted_from=NOW, due_at=due_at, responsible=DESK, tell=[DESK])


ANSWER, RIGHT = clock("data-answer/1", ANSWER_DUE, "vn@2025-12-25"), clock("data-right/1", DONE_DUE, "vn@2025-12-25")


# Rights


def test_a_request_is_owed_an_answer_in_two_working_days_and_an_erasure_in_twenty_days():
    said = ReceiveDataRequest(right="erase", received_at=NOW, authority="representative", statement="Xin xóa (mẫu).")
    told = given().when(said).told
    assert [ASKED.model_copy(update={"statement": "Xin xóa (mẫu)."}), ANSWER, RIGHT] == told


@pytest.mark.parametrize(
    ("right", "day"),
    [("view", 13), ("correct", 13), ("copy", 13), ("withdraw", 18), ("restrict", 18), ("object", 18), ("erase", 23)],
)
def test_the_limit_follows_the_right_that_was_asked_for(right, day):
    told = given().when(ReceiveDataRequest(right=right, received_at=NOW, authority="subject")).told
    assert datetime(2026, 3, day, 17, tzinfo=UTC) == told[2].due_at


def test_each_request_has_a_number_and_clocks_of_its_own():
    told = given(ASKED).when(ReceiveDataRequest(right="view", received_at=NOW, authority="subject")).told
    assert (2, "data-answer/2", "data-right/2") == (told[0].number, told[1].clock, told[2].clock)


def test_a_request_counts_from_its_receipt_and_not_from_its_typing():
    later = NOW + timedelta(days=1)
    told = given().when(ReceiveDataRequest(right="erase", received_at=NOW, authority="subject"), at=later).told
    assert ANSWER_DUE == told[1].due_at
    given().when(ReceiveDataRequest(right="erase", received_at=later, authority="subject")).refused("future-receipt")


def test_an_answer_meets_the_first_clock_and_the_deed_the_second():
    answer = AnswerDataRequest(number=1, stage="answered", answer="granted")
    met = ClockMet(clock="data-answer/1", met_at=NOW, late=False)
    told = DataRequestAnswered(number=1, stage="answered", answer="granted")
    given(ASKED, ANSWER, RIGHT).when(answer).then(told, met)
    refusal = AnswerDataRequest(number=1, stage="done", answer="refused", reason="criminal")
    assert ["data-right/1"] == [fact.clock for fact in given(ASKED, ANSWER, RIGHT, told, met).when(refusal).told[1:]]


def test_what_is_done_at_once_is_answered_too():
    told = given(ASKED, ANSWER, RIGHT).when(AnswerDataRequest(number=1, stage="done", answer="refused", reason="not_shown")).told
    assert ["data-answer/1", "data-right/1"] == [fact.clock for fact in told if isinstance(fact, ClockMet)]


def test_the_same_answer_again_changes_nothing():
    told = DataRequestAnswered(number=1, stage="answered", answer="granted")
    given(ASKED, told).when(AnswerDataRequest(number=1, stage="answered", answer="granted")).then_nothing()


def test_a_late_answer_is_met_late_beside_its_breach():
    late = ANSWER_DUE + timedelta(hours=1)
    told = given(ASKED, ANSWER, RIGHT).when(AnswerDataRequest(number=1, stage="answered", answer="granted"), at=late).told
    assert [True] == [fact.late for fact in told if isinstance(fact, ClockMet)]
    assert [DESK] == next(fact.tell for fact in told if isinstance(fact, ClockBreached))


def test_the_data_desk_is_told_of_a_limit_that_passed():
    told = given(ASKED, ANSWER, RIGHT).when(BreachClock(clock="data-right/1"), at=DONE_DUE).told
    assert [(DESK, [DESK])] == [(fact.responsible, fact.tell) for fact in told]


def test_a_limit_is_waived_by_two_people():
    waiver = WaiveClock(clock="data-right/1", reason="wrong_entry", approved_by="DL-02")
    assert "data-right/1" == given(ASKED, RIGHT).when(waiver).told[0].clock


def test_who_is_refused_is_told_why():
    for answer in ("refused", "partly"):
        given(ASKED).when(AnswerDataRequest(number=1, stage="answered", answer=answer)).refused("say-why")


def test_what_nobody_asked_is_not_answered():
    given().when(AnswerDataRequest(number=1, stage="answered", answer="granted")).refused("no-such-request", requests=[])
    given(ASKED).when(AnswerDataRequest(number=2, stage="answered", answer="granted")).refused("no-such-request", requests=[1])


def test_nobody_is_told_that_they_are_forgotten_while_their_key_lives():
    done = AnswerDataRequest(number=1, stage="done", answer="granted")
    given(ASKED, ANSWER, RIGHT).when(done).refused("not-forgotten")
    given(ASKED, REQUESTED, APPROVED).when(done).refused("not-forgotten")
    told = given(ASKED, ANSWER, RIGHT, REQUESTED, APPROVED, FORGOTTEN).when(done).told
    assert DataRequestAnswered(number=1, stage="done", answer="granted") == told[0]


# Holds


def test_a_hold_is_placed_prolonged_and_lifted():
    given().when(PlaceHold(hold="court", until_on=COURT.until_on)).then(COURT)
    given(COURT).when(PlaceHold(hold="court", until_on=COURT.until_on)).then_nothing()
    given(COURT).when(PlaceHold(hold="court")).then(HoldPlaced(hold="court"))
    given(COURT).when(LiftHold(hold="court", reason="ended")).then(HoldLifted(hold="court", reason="ended"))


def test_only_what_is_held_is_lifted():
    given(COURT).when(LiftHold(hold="criminal", reason="ended")).refused("not-held", held=["court"])
    given(COURT, HoldLifted(hold="court", reason="ended")).when(LiftHold(hold="court", reason="ended")).refused("not-held")


def test_an_open_case_holds_its_child_until_it_is_closed():
    given().when(HoldForCase(case_id=CASE)).then(HELD)
    given(HELD).when(HoldForCase(case_id=CASE)).then_nothing()
    given(HELD).when(ReleaseCase(case_id=CASE)).then(HoldLifted(hold="open_case", reason="case_closed", case_id=CASE))


def test_a_second_open_case_holds_on():
    closed = HoldLifted(hold="open_case", reason="case_closed", case_id=CASE)
    state = given(HELD, HoldPlaced(hold="open_case", case_id=OTHER_CASE), closed, REQUESTED).when(
        ApproveErasure(decision="1"), by="b"
    )
    state.refused("hold-binds")


def test_nobody_lifts_the_hold_of_an_open_case_by_hand():
    given(HELD).when(LiftHold(hold="open_case", reason="ended")).refused("not-held", held=[])


def test_a_closed_case_that_never_held_anybody_changes_nothing():
    given().when(ReleaseCase(case_id=CASE)).then_nothing()


def test_a_hold_comes_too_late_once_the_erasure_is_approved():
    given(REQUESTED, APPROVED).when(PlaceHold(hold="court")).refused("erasure-approved")
    given(REQUESTED, APPROVED).when(HoldForCase(case_id=CASE)).then_nothing()


# Restriction


def test_a_person_is_restricted_and_shown_again():
    given().when(RestrictPerson(basis="hold")).then(RESTRICTED)
    given(RESTRICTED).when(RestrictPerson(basis="hold")).then_nothing()
    given(RESTRICTED).when(RestrictPerson(basis="request")).then(PersonRestricted(basis="request"))
    given(RESTRICTED).when(LiftRestriction(reason="settled")).then(RestrictionLifted(reason="settled"))


def test_who_is_not_restricted_is_not_shown_again():
    given(RESTRICTED, RestrictionLifted(reason="settled")).when(LiftRestriction(reason="settled")).refused("not-restricted")


# Streams


@pytest.mark.parametrize(
    "command",
    [
        PlaceHold(hold="court"),
        LiftHold(hold="court", reason="ended"),
        RestrictPerson(basis="request"),
        LiftRestriction(reason="settled"),
        ReceiveDataRequest(right="view", received_at=NOW, authority="subject"),
    ],
)
def test_nothing_more_is_decided_about_a_forgotten_person(command):
    given(COURT, RESTRICTED, FORGOTTEN).when(command).refused("person-forgotten")


@pytest.mark.parametrize("command", [PlaceHold(hold="court"), HoldForCase(case_id=CASE), ReleaseCase(case_id=CASE)])
def test_a_contact_is_no_person(command):
    given(ContactReceived(**MESSAGE)).when(command).refused("not-found")


def test_a_case_that_is_opened_for_a_forgotten_child_holds_nobody():
    given(REQUESTED, APPROVED, FORGOTTEN).when(HoldForCase(case_id=CASE)).then_nothing()

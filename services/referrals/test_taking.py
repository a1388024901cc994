"""Delivery, attempts and acknowledgement: only a named person of the addressee takes a matter over."""

import pytest

from contracts.clocks import BreachClock
from contracts.referrals import (
    AttemptRecorded,
    ClockMet,
    ClockRecomputed,
    ClockStarted,
    ReferralAcknowledged,
    ReferralDelivered,
    ReferralEscalated,
)
from contracts.shapes import Addressee, PerChild
from services.referrals.domain.ladder import EscalateReferral
from services.referrals.domain.settling import RevokeReferral
from services.referrals.domain.taking import RecordAttempt, RecordDelivery
from services.referrals.test_samples import (
    BOY,
    COMMUNE,
    DAY,
    GIRL,
    HELP,
    HER_CASE,
    HIS_CASE,
    HOUR,
    MATTER,
    MINUTE,
    ON_TIME,
    PROVINCE,
    SERVICE,
    SUPERVISORS,
    TAKER,
    URGENT,
    acknowledgement,
    clock,
    given,
    only,
    sent,
    taken,
)
from tests.given import NOW

RINGS_OUT = RecordAttempt(via="phone", to="duty phone", result="no_answer")
MAILED = RecordDelivery(via="smtp_accepted", to=COMMUNE)


# -- delivery ---------------------------------------------------------------------------------------------------------------------
def test_the_time_of_the_addressee_counts_from_the_delivery():
    given(*sent(URGENT)).when(MAILED, at=NOW + MINUTE).then(
        ReferralDelivered(of=URGENT, via="smtp_accepted", delivered_at=NOW + MINUTE),
        ClockRecomputed(
            clock="acknowledgement",
            was_due_at=NOW + 30 * MINUTE,
            due_at=NOW + 31 * MINUTE,
            because="delivery",
            rule="acknowledgement@2025-07-01",
        ),
    )


def test_the_opened_link_is_a_delivery_and_no_acknowledgement():
    state = given(*(facts := sent()), *given(*facts).when(RecordDelivery(via="link"), at=NOW + HOUR).told).state
    assert (NOW + HOUR, False) == (state.delivered_at, state.settled)
    assert NOW + HOUR + DAY == state.clocks["acknowledgement"].due_at


def test_the_first_delivery_counts():
    once = [*sent(), ReferralDelivered(of=MATTER, via="link", delivered_at=NOW)]
    given(*once).when(MAILED, at=NOW + HOUR).then_nothing()


def test_a_message_that_reached_somebody_else_is_no_delivery_to_the_addressee():
    given(*sent()).when(RecordDelivery(via="smtp_accepted", to=SUPERVISORS)).then_nothing()


def test_a_settled_hand_off_notes_its_delivery_and_nothing_else():
    given(*taken()).when(MAILED).then(ReferralDelivered(of=MATTER, via="smtp_accepted", delivered_at=NOW))


def test_a_delivery_in_the_instant_of_sending_moves_no_clock():
    given(*sent()).when(MAILED).then(ReferralDelivered(of=MATTER, via="smtp_accepted", delivered_at=NOW))


def test_a_mail_server_whose_clock_is_ahead_does_not_lose_the_delivery():
    told = given(*sent()).when(RecordDelivery(via="dsn", delivered_at=NOW + HOUR), at=NOW + MINUTE).told
    assert NOW + MINUTE == told[0].delivered_at


def test_a_delivery_after_the_due_time_does_not_heal_the_silence():
    late = NOW + DAY + MINUTE
    given(*sent()).when(MAILED, at=late).then(ReferralDelivered(of=MATTER, via="smtp_accepted", delivered_at=late))


def test_a_delivery_does_not_move_the_clock_of_a_rung():
    facts = sent(URGENT)
    facts += given(*facts).when(BreachClock(clock="acknowledgement"), at=NOW + HOUR).told
    told = given(*facts).when(MAILED, at=NOW + HOUR + MINUTE).told
    assert [ReferralDelivered] == [type(fact) for fact in told]


# -- attempts ---------------------------------------------------------------------------------------------------------------------
def test_an_attempt_is_kept_with_its_number_its_result_and_what_was_said_about_each_child():
    words = (PerChild(child_id=BOY, text="máy đổ chuông, không ai nghe"),)
    given(*sent()).when(RecordAttempt(via="phone", to="duty phone", result="no_answer", words=words, at=NOW)).then(
        AttemptRecorded(of=MATTER, number=1, via="phone", to="duty phone", at=NOW, result="no_answer", words=list(words))
    )


@pytest.mark.parametrize("result", ["no_answer", "busy", "in_meeting", "wrong_number", "reached_no_takeover"])
def test_two_attempts_without_takeover_tell_the_supervisor_without_waiting_for_the_clock(result):
    facts = sent()
    facts += given(*facts).when(RINGS_OUT).told
    told = given(*facts).when(RecordAttempt(via="phone", to="duty phone", result=result)).told
    assert [AttemptRecorded, ReferralEscalated] == [type(fact) for fact in told]
    assert (2, 1, [SUPERVISORS], "attempts") == (told[0].number, told[1].level, told[1].to, told[1].because)


def test_attempts_climb_one_rung_and_no_more():
    facts = sent()
    for _ in range(5):
        facts += given(*facts).when(RINGS_OUT).told
    assert [1] == [fact.level for fact in facts if isinstance(fact, ReferralEscalated)]
    assert [1, 2, 3, 4, 5] == [fact.number for fact in facts if isinstance(fact, AttemptRecorded)]


def test_an_attempt_that_reached_somebody_is_no_fruitless_one():
    facts = sent()
    for _ in range(3):
        told = given(*facts).when(RecordAttempt(via="phone", to="duty phone", result="reached")).told
        assert [AttemptRecorded] == [type(fact) for fact in told]
        facts += told


def test_attempts_told_after_the_takeover_disturb_nobody():
    facts = taken()
    for _ in range(2):
        told = given(*facts).when(RINGS_OUT).told
        assert [AttemptRecorded] == [type(fact) for fact in told]
        facts += told


def test_an_attempt_cannot_lie_in_the_future():
    given(*sent()).when(RecordAttempt(via="phone", to="duty phone", result="busy", at=NOW + MINUTE)).refused("in-the-future")


# -- acknowledgement --------------------------------------------------------------------------------------------------------------
def test_a_named_person_of_the_addressee_takes_over_and_meets_the_clock():
    given(*sent()).when(acknowledgement(visit_by=NOW + DAY, phone="0320000018"), at=NOW + HOUR).then(
        ReferralAcknowledged(
            of=MATTER,
            via="link",
            acknowledged_at=NOW + HOUR,
            office="UBND Xã Suối Mẫu",
            taker_id=TAKER,
            visit_by=NOW + DAY,
            told=[],
            name="Mẫu Thị Thử",
            phone="0320000018",
        ),
        ClockMet(clock="acknowledgement", met_at=NOW + HOUR, late=False),
    )


def test_a_takeover_in_time_that_is_told_late_meets_the_clock_in_time():
    told = given(*sent(URGENT)).when(acknowledgement(via="phone", acknowledged_at=NOW + 30 * MINUTE), at=NOW + DAY).told
    assert ClockMet(clock="acknowledgement", met_at=NOW + 30 * MINUTE, late=False) == told[1]


def test_a_takeover_after_the_due_time_is_late():
    told = given(*sent(URGENT)).when(acknowledgement(), at=NOW + 31 * MINUTE).told
    assert "referrals.ClockBreached" == told[1].TOPIC
    assert ClockMet(clock="acknowledgement", met_at=NOW + 31 * MINUTE, late=True) == told[2]


@pytest.mark.parametrize("name", [None, "", "  "])
def test_nobody_takes_over_without_a_name(name):
    given(*sent()).when(acknowledgement(name=name)).refused("name-needed")


def test_a_second_taker_gets_the_first_answer():
    given(*taken()).when(acknowledgement(name="Thử Văn Giả", taker_id=BOY)).then_nothing()


def test_a_revoked_hand_off_cannot_be_taken_over():
    facts = sent()
    facts += given(*facts).when(RevokeReferral(cases=[HIS_CASE, HER_CASE], reason="wrong_addressee")).told
    given(*facts).when(acknowledgement()).refused("already-revoked")


def test_nobody_can_take_over_in_the_future():
    given(*sent()).when(acknowledgement(acknowledged_at=NOW + MINUTE)).refused("in-the-future")


def test_the_takeover_names_whom_the_ladder_told_so_that_they_need_not_hear_more():
    facts = sent()
    for _ in range(2):
        facts += given(*facts).when(EscalateReferral(because="silence")).told
    assert [SUPERVISORS, PROVINCE] == only(ReferralAcknowledged, given(*facts).when(acknowledgement()).told).told


@pytest.mark.parametrize(
    ("of", "more", "due"),
    [
        (SERVICE, {"due_on": ON_TIME}, "2026-03-31T17:00:00+00:00"),  # 24:00 in Việt Nam
        (HELP, {}, "2026-03-10T17:00:00+00:00"),  # five working days after 3 March
    ],
)
def test_who_takes_over_what_owes_a_result_owes_it_from_then_on(of, more, due):
    started = only(ClockStarted, given(*sent(of, **more)).when(acknowledgement()).told)
    assert ("completion", NOW, due, of.addressee) == (
        started.clock,
        started.counted_from,
        started.due_at.isoformat(),
        started.responsible,
    )
    assert [SUPERVISORS, Addressee(role="commune_pc", place=of.lead)] == started.tell


def test_a_copy_without_a_day_owes_no_result():
    facts = taken(MATTER.model_copy(update={"kind": "copy", "addressee": PROVINCE}))
    assert ["acknowledgement"] == [fact.clock for fact in facts if isinstance(fact, ClockStarted)]


def test_an_overdue_result_without_a_lead_is_told_to_the_supervisor_alone():
    facts = taken(SERVICE.model_copy(update={"lead": None}), due_on=ON_TIME)
    assert [SUPERVISORS] == clock(facts, "completion").tell


def test_each_child_may_have_words_of_its_own_and_both_are_kept():
    words = tuple(PerChild(child_id=child, text="chưa gặp được") for child in (BOY, GIRL))
    told = given(*sent()).when(RecordAttempt(via="phone", to="duty phone", result="reached", words=words)).told
    assert list(words) == only(AttemptRecorded, told).words

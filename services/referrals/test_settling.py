"""Results and revocations."""

from contracts.referrals import ClockMet, ClockWaived, ReferralAcknowledged, ReferralCompleted, ReferralRevoked
from contracts.shapes import PerChild
from services.referrals.domain.settling import CompleteReferral, RevokeReferral
from services.referrals.domain.taking import RecordAttempt
from services.referrals.test_samples import (
    BOY,
    DAY,
    GIRL,
    HELP,
    HER_CASE,
    HIS_CASE,
    HOUR,
    MATTER,
    MINUTE,
    RECORD,
    SUPERVISORS,
    acknowledgement,
    given,
    only,
    sent,
    taken,
)
from tests.given import NOW

DONE = CompleteReferral(result="done")
ALL = RevokeReferral(cases=[HIS_CASE, HER_CASE], reason="not_needed")
HIS = RevokeReferral(cases=[HIS_CASE], reason="not_needed")


# -- completion -------------------------------------------------------------------------------------------------------------------
def test_what_was_asked_for_is_done_and_meets_its_clock_at_the_instant_it_was_done():
    report = (PerChild(child_id=BOY, text="đã khám"),)
    told = given(*taken(HELP)).when(CompleteReferral(result="done", at=NOW + HOUR, report=report), at=NOW + DAY).told
    assert [
        ReferralCompleted(of=HELP, result="done", at=NOW + HOUR, report=list(report)),
        ClockMet(clock="completion", met_at=NOW + HOUR, late=False),
    ] == told


def test_a_result_that_was_never_promised_for_a_day_meets_no_clock():
    given(*taken()).when(DONE).then(ReferralCompleted(of=MATTER, result="done", at=NOW, report=[]))


def test_a_result_needs_somebody_who_took_the_matter_over():
    given(*sent()).when(DONE).refused("acknowledge-first")


def test_a_second_result_changes_nothing():
    facts = taken(HELP)
    facts += given(*facts).when(DONE).told
    given(*facts).when(CompleteReferral(result="not_possible")).then_nothing()


def test_a_withdrawn_matter_has_no_result():
    facts = taken(HELP)
    facts += given(*facts).when(ALL).told
    given(*facts).when(DONE).refused("already-revoked")


def test_a_result_cannot_lie_in_the_future():
    given(*taken()).when(CompleteReferral(result="done", at=NOW + MINUTE)).refused("in-the-future")


# -- revocation -------------------------------------------------------------------------------------------------------------------
def test_a_matter_withdrawn_for_all_its_cases_is_settled_and_owes_nothing():
    given(*sent()).when(ALL).then(
        ReferralRevoked(of=MATTER, cases=[HIS_CASE, HER_CASE], reason="not_needed", told=[]),
        ClockWaived(clock="acknowledgement", reason="revoked", approved_by="officer-7"),
    )


def test_a_promised_result_is_waived_with_the_matter():
    told = given(*taken(HELP)).when(ALL).told
    assert ["completion"] == [fact.clock for fact in told if isinstance(fact, ClockWaived)]


def test_a_matter_withdrawn_for_one_case_stays_a_promise_for_the_other():
    facts = sent()
    told = given(*facts).when(HIS).told
    assert [ReferralRevoked(of=MATTER, cases=[HIS_CASE], reason="not_needed", told=[])] == told
    left = given(*facts, *told).state
    assert ([HER_CASE], [GIRL], False) == (left.of.cases, left.of.children, left.settled)
    assert ["acknowledgement"] == list(left.clocks)


def test_later_facts_speak_of_the_remaining_cases_only():
    facts = sent()
    facts += given(*facts).when(HIS).told
    assert [HER_CASE] == only(ReferralAcknowledged, given(*facts).when(acknowledgement()).told).of.cases


def test_a_matter_withdrawn_case_by_case_is_settled_with_the_last():
    facts = sent()
    facts += given(*facts).when(HIS).told
    facts += given(*facts).when(RevokeReferral(cases=[HER_CASE], reason="not_needed")).told
    assert (True, {}) == ((state := given(*facts).state).settled, dict(state.clocks))


def test_withdrawing_twice_or_for_foreign_cases_changes_nothing():
    facts = sent()
    given(*facts).when(RevokeReferral(cases=[RECORD], reason="not_needed")).then_nothing()
    facts += given(*facts).when(ALL).told
    given(*facts).when(ALL).then_nothing()


def test_what_is_done_is_not_withdrawn():
    facts = taken(HELP)
    facts += given(*facts).when(DONE).told
    given(*facts).when(ALL).then_nothing()


def test_the_revocation_names_whom_the_ladder_told_so_that_they_need_not_hear_more():
    facts = sent()
    for _ in range(2):
        facts += given(*facts).when(RecordAttempt(via="phone", to="duty phone", result="busy")).told
    assert [SUPERVISORS] == only(ReferralRevoked, given(*facts).when(ALL).told).told

"""Silence: the ladder is climbed rung by rung, each told once, and a hand-off never stands without a clock."""

import pytest

from contracts import codes
from contracts.clocks import BreachClock, WaiveClock
from contracts.referrals import AgencyRegistered, ClockBreached, ClockStarted, ClockWaived, ReferralEscalated
from contracts.rules import LAW
from contracts.shapes import Addressee
from services.referrals.domain.ladder import EscalateReferral
from services.referrals.test_samples import (
    COMMUNE,
    DAY,
    DEPARTMENT,
    HANOI,
    HELP,
    MATTER,
    MINUTE,
    POLICE,
    PROVINCE,
    SUPERVISORS,
    URGENT,
    clock,
    given,
    only,
    sent,
    taken,
)
from tests.given import NOW, STREAM

SILENCE = BreachClock(clock="acknowledgement")


def silent(facts, rungs):
    """Nobody answers until so many clocks have run out; each breach comes at its due time."""
    for _ in range(rungs):
        facts = facts + given(*facts).when(SILENCE, at=clock(facts).due_at).told
    return facts


def test_silence_breaches_the_clock_tells_the_next_rung_and_starts_it_again():
    due = NOW + 30 * MINUTE
    given(*sent(URGENT)).when(SILENCE, at=due).then(
        ClockBreached(clock="acknowledgement", due_at=due, responsible=COMMUNE, tell=[]),
        ReferralEscalated(of=URGENT, level=1, to=[SUPERVISORS], because="silence"),
        ClockStarted(
            clock="acknowledgement",
            rule="acknowledgement@2025-07-01",
            counted_from=due,
            due_at=due + 30 * MINUTE,
            responsible=COMMUNE,
            tell=[],
        ),
    )


def test_the_ladder_goes_desk_province_nation_and_then_tells_the_desk_every_day():
    facts = silent(sent(), 6)
    told = [(fact.level, fact.to) for fact in facts if isinstance(fact, ReferralEscalated)]
    assert [
        (1, [SUPERVISORS]),
        (2, [PROVINCE]),
        (3, [DEPARTMENT]),
        (4, [SUPERVISORS]),
        (5, [SUPERVISORS]),
        (6, [SUPERVISORS]),
    ] == told


def test_after_the_top_of_the_ladder_the_clock_runs_for_a_day_even_in_an_emergency():
    facts = silent(sent(URGENT), 5)
    runs = [fact.due_at - fact.counted_from for fact in facts if isinstance(fact, ClockStarted)]
    assert [30 * MINUTE, 30 * MINUTE, 30 * MINUTE, DAY, DAY, DAY] == runs


def test_a_timer_that_comes_late_gives_the_next_rung_its_whole_time():
    late = NOW + 2 * DAY
    assert late + DAY == clock(given(*sent()).when(SILENCE, at=late).told).due_at


@pytest.mark.parametrize("at", [NOW, NOW + DAY - MINUTE])
def test_a_clock_that_is_not_due_is_not_breached(at):
    given(*sent()).when(SILENCE, at=at).then_nothing()


def test_two_timers_do_no_harm():
    facts = silent(sent(), 1)
    given(*facts).when(SILENCE, at=NOW + DAY).then_nothing()


def test_what_was_taken_over_falls_silent_no_more():
    given(*taken()).when(SILENCE, at=NOW + 9 * DAY).then_nothing()


def test_a_result_that_does_not_come_is_told_and_climbs_no_ladder():
    due = clock(facts := taken(HELP), "completion").due_at
    given(*facts).when(BreachClock(clock="completion"), at=due).then(
        ClockBreached(clock="completion", due_at=due, responsible=COMMUNE, tell=[SUPERVISORS, COMMUNE])
    )


def test_a_body_is_not_told_of_its_own_silence():
    facts = silent(sent(MATTER.model_copy(update={"kind": "copy", "addressee": PROVINCE})), 3)
    told = [(fact.level, fact.to) for fact in facts if isinstance(fact, ReferralEscalated)]
    assert [(1, [SUPERVISORS]), (3, [DEPARTMENT]), (4, [SUPERVISORS])] == told


def test_a_body_of_no_province_is_watched_by_the_province_of_the_lead():
    facts = silent(sent(MATTER.model_copy(update={"addressee": Addressee(role="overseas_mission", place="vn@2025-07-01")})), 2)
    assert [PROVINCE] == facts[-2].to


def test_without_any_province_the_ladder_leaves_that_rung_out():
    of = MATTER.model_copy(update={"addressee": Addressee(role="overseas_mission", place="vn@2025-07-01"), "lead": None})
    assert [1, 3] == [fact.level for fact in silent(sent(of), 2) if isinstance(fact, ReferralEscalated)]


@pytest.mark.parametrize("kind", codes.codes("hand_off_kind"))
def test_every_rung_of_every_kind_tells_somebody(kind):
    facts = silent(sent(MATTER.model_copy(update={"kind": kind})), LAW.rungs(kind) + 1)
    named = [fact.to for fact in facts if isinstance(fact, ReferralEscalated)]
    assert [len(LAW.ladder(kind, level)) for level in range(1, LAW.rungs(kind) + 2)] == [len(to) for to in named]


# -- escalation by hand and by undeliverable mail ---------------------------------------------------------------------------------
def test_somebody_may_climb_the_next_rung_before_the_clock_runs_out():
    given(*sent()).when(EscalateReferral(because="silence")).then(
        ReferralEscalated(of=MATTER, level=1, to=[SUPERVISORS], because="silence")
    )


def test_a_hand_off_that_cannot_be_delivered_escalates_at_once():
    given(*sent()).when(EscalateReferral(because="undeliverable", undelivered_to=COMMUNE)).then(
        ReferralEscalated(of=MATTER, level=1, to=[SUPERVISORS], because="undeliverable")
    )


def test_that_no_agency_is_known_is_told_once():
    given(*sent(agency=None)).when(EscalateReferral(because="undeliverable", undelivered_to=COMMUNE)).then_nothing()


def test_a_rung_that_cannot_be_reached_is_left_for_the_next():
    told = given(*silent(sent(), 1)).when(EscalateReferral(because="undeliverable", undelivered_to=SUPERVISORS)).told
    assert [PROVINCE] == only(ReferralEscalated, told).to


def test_a_rung_below_the_highest_is_owed_nothing_when_its_mail_comes_back():
    given(*silent(sent(), 2)).when(EscalateReferral(because="undeliverable", undelivered_to=SUPERVISORS)).then_nothing()


def test_somebody_who_was_never_told_is_no_reason_to_escalate():
    given(*sent()).when(EscalateReferral(because="undeliverable", undelivered_to=POLICE)).then_nothing()


@pytest.mark.parametrize("undelivered", [COMMUNE, DEPARTMENT, None])
def test_past_the_top_only_the_clock_speaks_so_undeliverable_mail_goes_round_no_longer(undelivered):
    command = EscalateReferral(because="undeliverable", undelivered_to=undelivered)
    given(*silent(sent(), 3)).when(command, at=NOW + 4 * DAY).then_nothing()


def test_a_settled_hand_off_does_not_escalate():
    given(*taken()).when(EscalateReferral(because="silence")).refused("already-settled")


# -- waiving ----------------------------------------------------------------------------------------------------------------------
def test_two_people_may_waive_a_result_that_is_no_longer_owed():
    waiver = WaiveClock(clock="completion", reason="not_applicable", approved_by="officer-8")
    given(*taken(HELP)).when(waiver).then(ClockWaived(clock="completion", reason="not_applicable", approved_by="officer-8"))


def test_one_person_cannot_waive_a_clock():
    given(*taken(HELP)).when(WaiveClock(clock="completion", reason="settled", approved_by="officer-7")).refused("own-waiver")


def test_a_clock_that_does_not_run_cannot_be_waived():
    waiver = WaiveClock(clock="completion", reason="settled", approved_by="officer-8")
    given(*sent()).when(waiver).refused("clock-not-running", running=["acknowledgement"])


def test_nobody_can_let_a_hand_off_fall_silent_by_waiving_its_clock():
    waiver = WaiveClock(clock="acknowledgement", reason="settled", approved_by="officer-8")
    given(*sent()).when(waiver).refused("still-open", clock="acknowledgement")


def test_the_clock_of_another_centre_tells_the_desk_of_that_centre():
    facts = silent(sent(MATTER.model_copy(update={"centre": "danang@2025-07-01"})), 1)
    assert "supervisor_desk@danang@2025-07-01" == str(only(ReferralEscalated, facts).to[0])
    assert HANOI not in str(facts)


def test_time_passes_an_agency_by():
    agency = AgencyRegistered(agency_id=STREAM, role="police", place=COMMUNE.place, label="Công an xã", valid_from_on=NOW.date())
    given(agency).when(SILENCE).then_nothing()

"""Review, the end of an intervention, and the end of the case."""

from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
from pydantic import ValidationError

from contracts.cases import (
    CaseClosed,
    ClockBreached,
    ClockStarted,
    ClockWaived,
    EmergencyMeasureApplied,
    EmergencyMeasureEnded,
    InterventionClosed,
    ReviewRecorded,
)
from contracts.codes import codes
from contracts.shapes import Answer
from services.cases.domain import decide, evolve
from services.cases.domain.closing import NEEDS_NO_INTERVENTION, CloseCase, CloseIntervention, RecordReview
from services.cases.test_samples import (
    CHILD,
    DESK,
    LEAD,
    POLICE,
    RECEIVED,
    REFERRAL,
    answers,
    approved,
    assessed,
    clock,
    intervention_closed,
    met,
    noted,
    opened,
    reviewed,
    submitted,
)
from tests.given import NOW
from tests.given import given as any_given

given = partial(any_given, decide=decide, evolve=evolve)
FORM = "form06@2017-07-01"
LATER = NOW + timedelta(days=30)
CLOSED = CaseClosed(reason="settled", decided_by="chair-1", lead="99803@2025-07-01", child_id=CHILD)
MEASURE = EmergencyMeasureApplied(number=1, measure="removal", by=POLICE, applied_at=RECEIVED, child_id=CHILD)
MEASURE_ENDED = EmergencyMeasureEnded(number=1, ended_at=NOW, because="danger_over")
APPROVED = (opened(), assessed(), submitted(), approved())
REVIEWED = (*APPROVED, reviewed())
ONE_INTERVENTION = (*REVIEWED, intervention_closed())


def review(conclusion="close", level="low", **but):
    return RecordReview(conclusion=conclusion, **{"form": FORM, "answers": answers(FORM, level), **but})


def breached(name):
    return ClockBreached(clock=name, due_at=NOW, responsible=LEAD, tell=[DESK])


# -- Form 06 -----------------------------------------------------------------------------------------------------------


def test_a_review_names_the_approved_plan_and_meets_the_review():
    given(*APPROVED, clock("review", NOW)).when(review()).then(
        ReviewRecorded(plan=1, form=FORM, conclusion="close", author="officer-7", child_id=CHILD, answers=answers(FORM, "low")),
        met("review", NOW),
    )


def test_a_review_after_its_date_is_met_late():
    told = given(*APPROVED, clock("review", NOW), breached("review")).when(review(), at=LATER).told
    assert [met("review", LATER, late=True)] == told[1:]


def test_only_an_approved_plan_is_reviewed():
    given(opened(), assessed()).when(review()).refused("no-approved-plan")
    given(opened(), assessed(), submitted()).when(review()).refused("no-approved-plan")
    given(*APPROVED, submitted(2, "bb")).when(review()).refused("no-approved-plan")
    given(*ONE_INTERVENTION).when(review()).refused("no-approved-plan")


@pytest.mark.parametrize(("conclusion", "level", "indicated"), [("close", "medium", "continue"), ("continue", "low", "close")])
def test_a_conclusion_that_is_not_that_of_the_answers_needs_a_reason(conclusion, level, indicated):
    given(*APPROVED).when(review(conclusion, level)).refused("reason-needed", indicated=indicated)
    (fact,) = given(*APPROVED).when(review(conclusion, level, disagrees="carer_changed")).told
    assert (conclusion, "carer_changed") == (fact.conclusion, fact.disagrees)


def test_one_grave_answer_is_enough_to_point_to_another_cycle():
    one_grave = [*answers(FORM, "low")[:-1], Answer(row="form06.harm.severity", level="high")]
    given(*APPROVED).when(review("close", answers=one_grave)).refused("reason-needed", indicated="continue")


def test_a_review_is_form_06():
    with pytest.raises(ValidationError):
        review(form="form03@2017-07-01")


def test_a_closed_case_is_not_reviewed():
    given(*ONE_INTERVENTION, CLOSED).when(review()).refused("case-closed")


# -- the intervention --------------------------------------------------------------------------------------------------


def test_an_intervention_closes_on_the_version_of_its_last_review():
    given(*REVIEWED).when(CloseIntervention(outcome="goals_met", revoke=[], note="ổn định")).then(
        InterventionClosed(plan=1, outcome="goals_met", review=5, revoke=[], child_id=CHILD, note="ổn định")
    )
    assert 6 == given(*REVIEWED, reviewed()).when(CloseIntervention(outcome="goals_met", revoke=[])).told[0].review


def test_an_intervention_that_was_not_reviewed_since_its_approval_cannot_be_closed():
    for history in [(opened(),), (opened(), assessed(), submitted()), APPROVED]:
        given(*history).when(CloseIntervention(outcome="goals_met", revoke=[])).refused("review-first")


def test_a_plan_that_changed_after_the_review_is_approved_and_reviewed_anew():
    changed = (*REVIEWED, submitted(2, "bb"))
    given(*changed).when(CloseIntervention(outcome="goals_met", revoke=[])).refused("review-first")
    given(*changed, approved(2, "bb")).when(CloseIntervention(outcome="goals_met", revoke=[])).refused("review-first")
    (fact,) = given(*changed, approved(2, "bb"), reviewed(2)).when(CloseIntervention(outcome="goals_met", revoke=[])).told
    assert (2, 8) == (fact.plan, fact.review)


def test_an_intervention_is_closed_once():
    given(*ONE_INTERVENTION).when(CloseIntervention(outcome="goals_met", revoke=[])).refused("review-first")


def test_where_risk_remains_the_internal_days_of_a_new_plan_run_from_the_closure():
    told = given(*REVIEWED).when(CloseIntervention(outcome="risk_remains", revoke=[])).told
    assert [
        ClockStarted(
            clock="plan-internal",
            rule="plan-internal@2025-07-01",
            calendar="vn@2025-12-25",
            counted_from=NOW,
            due_at=datetime(2026, 3, 10, 17, 0, tzinfo=UTC),
            responsible=LEAD,
            tell=[LEAD, DESK],
        )
    ] == told[1:]


def test_the_closure_names_the_hand_offs_that_are_no_longer_owed_and_they_must_be_this_childs():
    known = given(*REVIEWED[:1], noted("sent", kind="service", addressee=POLICE), *REVIEWED[1:])
    assert [REFERRAL] == known.when(CloseIntervention(outcome="goals_met", revoke=[REFERRAL])).told[0].revoke
    stranger = UUID(int=9)
    known.when(CloseIntervention(outcome="goals_met", revoke=[REFERRAL, stranger])).refused("no-such-hand-off", unknown=[stranger])


def test_the_second_cycle_begins_with_form_03_and_its_closure_names_its_own_last_text():
    second = (
        *ONE_INTERVENTION,
        assessed(2),
        submitted(2, "bb"),
        approved(2, "bb"),
        submitted(3, "cc"),
        approved(3, "cc"),
        reviewed(3),
    )
    (fact,) = given(*second).when(CloseIntervention(outcome="goals_met", revoke=[])).told
    assert (3, 12) == (fact.plan, fact.review)


def test_a_closed_case_closes_no_intervention():
    given(*REVIEWED, CLOSED).when(CloseIntervention(outcome="goals_met", revoke=[])).refused("case-closed")


# -- the case ----------------------------------------------------------------------------------------------------------


def test_the_chair_closes_a_case_whose_intervention_was_reviewed_by_somebody_else():
    given(*ONE_INTERVENTION).when(CloseCase(reason="settled", note="trẻ ổn định"), by="chair-1").then(
        CaseClosed(reason="settled", decided_by="chair-1", lead="99803@2025-07-01", child_id=CHILD, note="trẻ ổn định")
    )


def test_whoever_reviewed_does_not_close():
    given(*ONE_INTERVENTION).when(CloseCase(reason="settled"), by="officer-7").refused("own-review")


def test_an_open_intervention_keeps_the_case_open():
    for history in [(opened(), assessed(), submitted()), APPROVED, REVIEWED]:
        given(*history).when(CloseCase(reason="settled"), by="chair-1").refused("still-open", open=["intervention"])


def test_an_active_measure_keeps_the_case_open():
    given(*ONE_INTERVENTION, MEASURE).when(CloseCase(reason="settled"), by="chair-1").refused(
        "still-open", open=["emergency-measure/1"]
    )
    assert given(*ONE_INTERVENTION, MEASURE, MEASURE_ENDED).when(CloseCase(reason="settled"), by="chair-1").told


@pytest.mark.parametrize("name", ["handover", "emergency", "plan-draft", "procedure"])
def test_a_running_clock_of_the_law_keeps_the_case_open_and_a_breached_one_does_not(name):
    running = (opened(), clock(name, LATER))
    given(*running).when(CloseCase(reason="not_confirmed"), by="chair-1").refused("still-open", open=[name])
    told = given(*running, breached(name)).when(CloseCase(reason="not_confirmed"), by="chair-1").told
    assert [CaseClosed(reason="not_confirmed", decided_by="chair-1", lead="99803@2025-07-01", child_id=CHILD)] == told


def test_a_breached_clock_of_the_law_stays_breached_on_the_closed_case():
    case = given(opened(), clock("procedure", NOW), breached("procedure"), CLOSED).state
    assert case.clocks["procedure"].breached


@pytest.mark.parametrize("passed", [(), (breached("plan-internal"),)])
def test_internal_clocks_are_waived_as_settled_by_the_closure(passed):
    told = given(*ONE_INTERVENTION, clock("plan-internal", LATER), *passed).when(CloseCase(reason="moved"), by="chair-1").told
    assert [ClockWaived(clock="plan-internal", reason="settled", approved_by="chair-1")] == told[1:]


@pytest.mark.parametrize("reason", codes("close_reason"))
def test_without_any_intervention_only_reasons_that_owe_none_close_a_case_before_it_is_verified(reason):
    attempt = given(opened(), assessed()).when(CloseCase(reason=reason), by="chair-1")
    if reason in {"not_confirmed", "out_of_scope", "reached_age", "died"}:
        attempt.then(CaseClosed(reason=reason, decided_by="chair-1", lead="99803@2025-07-01", child_id=CHILD))
    else:
        attempt.refused("verify-first", without_intervention=["died", "not_confirmed", "out_of_scope", "reached_age"])


def test_after_an_intervention_every_reason_closes_a_case():
    for reason in codes("close_reason"):
        assert given(*ONE_INTERVENTION).when(CloseCase(reason=reason), by="chair-1").told


def test_a_case_is_closed_once():
    given(*ONE_INTERVENTION, CLOSED).when(CloseCase(reason="settled"), by="chair-1").refused("case-closed", reason="settled")


def test_closing_an_intervention_or_a_case_needs_the_version_that_was_on_the_screen():
    assert (True, True, False) == (CloseIntervention.needs_if_match, CloseCase.needs_if_match, RecordReview.needs_if_match)


def test_the_reasons_that_need_no_intervention_are_codes_of_their_list():
    assert set(codes("close_reason")) >= NEEDS_NO_INTERVENTION

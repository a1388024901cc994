"""Form 03, the plan, the changed plan, and the chair's approval of exactly the text that was read."""

from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from pydantic import ValidationError

from contracts.cases import (
    CaseClosed,
    ClockBreached,
    ClockStarted,
    ClockWaived,
    DetailedAssessmentRecorded,
    EmergencyMeasureApplied,
    EmergencyMeasureEnded,
    PlanApproved,
    PlanSubmitted,
)
from contracts.digest import digest
from contracts.shapes import Answer, PlanItem
from services.cases.domain import decide, evolve
from services.cases.domain.planning import BOUND, ApprovePlan, RecordDetailedAssessment, SubmitPlan
from services.cases.test_samples import (
    CENTRE,
    CHILD,
    DESK,
    ITEM,
    LEAD,
    POLICE,
    RECEIVED,
    RECORD,
    REVIEW_ON,
    TEXT,
    answers,
    approved,
    assessed,
    breached,
    clock,
    intervention_closed,
    met,
    opened,
    reviewed,
    submitted,
)
from tests.given import NOW
from tests.given import given as any_given

given = partial(any_given, decide=decide, evolve=evolve)
FORM = "form03@2017-07-01"
LATER = NOW + timedelta(days=30)
CLOSED = CaseClosed(reason="died", decided_by="chair-1", lead="99803@2025-07-01", child_id=CHILD)
MEASURE = EmergencyMeasureApplied(number=1, measure="removal", by=POLICE, applied_at=RECEIVED, child_id=CHILD)
MEASURE_ENDED = EmergencyMeasureEnded(number=1, ended_at=NOW, because="danger_over")
REVIEW = ClockStarted(
    clock="review",
    rule="review@2017-07-01",
    counted_from=NOW,
    due_at=datetime(2026, 6, 1, 17, 0, tzinfo=UTC),  # 24:00 of the day that the plan names
    responsible=LEAD,
    tell=[LEAD, DESK],
)


def assess(level="medium", **but):
    return RecordDetailedAssessment(level=level, **{"form": FORM, "answers": answers(FORM, "medium"), **but})


def approve(text="aa", decision_no="12/QĐ-UBND"):
    return ApprovePlan(digest=text, decision_no=decision_no)


# -- Form 03 -----------------------------------------------------------------------------------------------------------


def test_form_03_belongs_to_the_cycle_that_is_open():
    wishes = {"child_wishes": "ở với bà", "family_wishes": "được giúp đỡ", "needs": "tư vấn", "minutes": "BB-07"}
    given(opened()).when(assess(**wishes)).then(
        DetailedAssessmentRecorded(form=FORM, cycle=1, level="medium", child_id=CHILD, answers=answers(FORM, "medium"), **wishes)
    )
    after_one = (opened(), assessed(), submitted(), approved(), reviewed(), intervention_closed())
    assert 2 == given(*after_one).when(assess()).told[0].cycle


def test_a_level_that_is_not_that_of_the_answers_needs_a_reason():
    given(opened()).when(assess("low")).refused("reason-needed", indicated="medium")
    assert "mother_returned" == given(opened()).when(assess("low", disagrees="mother_returned")).told[0].disagrees


def test_where_two_levels_are_answered_alike_the_graver_one_is_indicated():
    halves = answers(FORM, "low")[:5] + answers(FORM, "high")[5:]
    assert 5 == sum(".capacity." in answer.row for answer in halves[:5])
    given(opened()).when(assess("low", answers=halves)).refused("reason-needed", indicated="high")


def test_high_is_bad_in_the_table_of_harm_and_good_in_that_of_capacity():
    helpless = [Answer(row="form03.capacity.asks", level="low"), Answer(row="form03.harm.access", level="high")]
    given(opened()).when(assess("low", answers=helpless)).refused("reason-needed", indicated="high")


@pytest.mark.parametrize(
    "but",
    [
        {"form": "form06@2017-07-01"},
        {"form": "form03@2017-07-02"},
        {"form": "form03"},
        {"answers": []},
        {"answers": [Answer(row="form06.harm.access", level="low")]},
        {"answers": [Answer(row="form03.harm", level="low")]},
        {"answers": [Answer(row="form03.harm.access", level="low")] * 2},
        {"disagrees": "The mother came back on Tuesday"},
    ],
)
def test_a_form_has_its_own_rows_each_once_and_its_reason_is_a_code(but):
    with pytest.raises(ValidationError):
        assess(**but)


def test_a_closed_case_is_not_assessed():
    given(opened(), CLOSED).when(assess()).refused("case-closed")


def test_what_is_said_to_have_happened_tomorrow_is_not_taken():
    given(opened()).when(assess(occurred_at=LATER)).refused("in-the-future")


# -- Form 04 -----------------------------------------------------------------------------------------------------------


def test_a_submitted_plan_carries_the_digest_of_its_text_and_keeps_the_salt_beside_the_text():
    bound = {
        "goals": "an toàn ở nhà bà",
        "activities": "thăm mỗi tuần",
        "items": [
            {
                "item": 1,
                "service": "psychological",
                "regime": None,
                "provider": {"role": "social_facility", "place": "98@2025-07-01"},
                "due_on": None,
            }
        ],
        "review_on": "2026-06-01",
    }
    given(opened(), assessed()).when(SubmitPlan(**TEXT)).then(
        PlanSubmitted(**TEXT, plan=1, digest=digest(bytes(16), bound), author="officer-7", child_id=CHILD, salt="00" * 16)
    )


def test_whoever_can_open_the_plan_can_recompute_its_digest_from_the_fact_alone():
    (fact,) = given(opened(), assessed()).when(SubmitPlan(**TEXT)).told
    assert fact.digest == digest(bytes.fromhex(fact.salt), fact.model_dump(mode="json", include=set(BOUND)))


@pytest.mark.parametrize(
    "but", [{"goals": "khác"}, {"activities": "khác"}, {"items": []}, {"items": [ITEM.model_copy(update={"item": 2})]}]
)
def test_any_other_text_has_another_digest(but):
    (one,), (other,) = (given(opened(), assessed()).when(SubmitPlan(**{**TEXT, **changed})).told for changed in ({}, but))
    assert one.digest != other.digest


def test_another_review_date_has_another_digest():
    (one,) = given(opened(), assessed()).when(SubmitPlan(**TEXT)).told
    (other,) = given(opened(), assessed()).when(SubmitPlan(**{**TEXT, "review_on": date(2026, 6, 2)})).told
    assert one.digest != other.digest


def test_a_plan_needs_form_03_of_this_cycle():
    given(opened()).when(SubmitPlan(**TEXT)).refused("assess-first", cycle=1)
    after_one = (opened(), assessed(), submitted(), approved(), reviewed(), intervention_closed())
    given(*after_one).when(SubmitPlan(**TEXT)).refused("assess-first", cycle=2)
    assert 2 == given(*after_one, assessed(2)).when(SubmitPlan(**TEXT)).told[0].plan


def test_while_an_emergency_measure_is_active_the_plan_may_come_before_form_03():
    assert 1 == given(opened(), MEASURE).when(SubmitPlan(**TEXT)).told[0].plan
    given(opened(), MEASURE, MEASURE_ENDED).when(SubmitPlan(**TEXT)).refused("assess-first")


def test_submitting_meets_the_days_of_the_draft_and_leaves_the_whole_procedure_running():
    clocks = (clock("plan-draft", NOW), clock("procedure", LATER))
    assert [met("plan-draft", NOW)] == given(opened(), *clocks, assessed()).when(SubmitPlan(**TEXT)).told[1:]


def test_a_draft_after_its_due_time_is_met_late():
    breached = ClockBreached(clock="plan-draft", due_at=NOW, responsible=LEAD, tell=[LEAD])
    history = (opened(), clock("plan-draft", NOW), breached, assessed())
    assert [met("plan-draft", LATER, late=True)] == given(*history).when(SubmitPlan(**TEXT), at=LATER).told[1:]


def test_submitting_meets_the_internal_days_of_an_emergency():
    history = (opened(emergency=True), clock("plan-internal", NOW), assessed())
    assert [met("plan-internal", NOW)] == given(*history).when(SubmitPlan(**TEXT)).told[1:]


def test_a_changed_plan_is_the_next_number_restarts_nothing_and_voids_the_approval():
    history = (opened(), assessed(), submitted(), approved())
    again = given(*history).when(SubmitPlan(**TEXT), by="officer-8").told
    assert [(2, "officer-8")] == [(fact.plan, fact.author) for fact in again]
    assert (2, None) == (given(*history, *again).state.plan.number, given(*history, *again).state.plan.decision_no)


def test_two_items_of_a_plan_do_not_share_a_number():
    with pytest.raises(ValidationError):
        SubmitPlan(**{**TEXT, "items": [ITEM, PlanItem(item=1, service="legal_aid")]})


def test_a_closed_case_takes_no_plan():
    given(opened(), assessed(), CLOSED).when(SubmitPlan(**TEXT)).refused("case-closed")


# -- Form 05 -----------------------------------------------------------------------------------------------------------


def test_a_chair_approves_exactly_the_plan_that_was_read():
    given(opened(), clock("procedure", NOW), assessed(), submitted()).when(approve(), by="chair-1").then(
        PlanApproved(
            plan=1,
            digest="aa",
            items=[ITEM],
            review_on=REVIEW_ON,
            decision_no="12/QĐ-UBND",
            signatory="chair-1",
            record_id=RECORD,
            child_id=CHILD,
            centre=CENTRE,
            lead="99803@2025-07-01",
            emergency=False,
        ),
        met("procedure", NOW),
        REVIEW,
    )


def test_an_approval_carries_the_emergency_so_that_hand_offs_are_urgent_without_asking_back():
    told = given(opened(emergency=True), assessed(), submitted()).when(approve(), by="chair-1").told
    assert (True, REVIEW) == (told[0].emergency, told[1])


def test_an_approval_after_the_due_time_meets_the_procedure_late():
    told = given(opened(), clock("procedure", NOW), assessed(), submitted()).when(approve(), by="chair-1", at=LATER).told
    assert [breached(clock("procedure", NOW)), met("procedure", LATER, late=True)] == told[1:3]


def test_a_plan_that_changed_since_it_was_read_cannot_be_approved():
    history = (opened(), assessed(), submitted(1, "aa"), submitted(2, "bb"))
    given(*history).when(approve("aa"), by="chair-1").refused("plan-changed-since-read", plan=2)
    assert 2 == given(*history).when(approve("bb"), by="chair-1").told[0].plan


def test_a_plan_that_changed_after_its_approval_needs_a_new_one():
    history = (opened(), assessed(), submitted(), approved(), submitted(2, "bb"))
    given(*history).when(approve("aa"), by="chair-1").refused("plan-changed-since-read")
    assert 2 == given(*history).when(approve("bb", "13/QĐ-UBND"), by="chair-1").told[0].plan


def test_approving_the_changed_plan_replaces_the_review_date_that_still_ran_and_restarts_nothing_else():
    old = clock("review", NOW + timedelta(days=9))
    history = (opened(), assessed(), submitted(), approved(), old, submitted(2, "bb"))
    assert [
        ClockWaived(clock="review", reason="settled", approved_by="chair-1"),
        REVIEW,
    ] == given(*history).when(approve("bb"), by="chair-1").told[1:]


def test_nothing_can_be_approved_before_a_plan_is_submitted_nor_after_its_intervention_was_closed():
    given(opened(), assessed()).when(approve(), by="chair-1").refused("no-plan-submitted")
    closed = (opened(), assessed(), submitted(), approved(), reviewed(), intervention_closed())
    given(*closed).when(approve(), by="chair-1").refused("no-plan-submitted")


def test_nobody_approves_a_plan_of_their_own():
    given(opened(), assessed(), submitted(author="chair-1")).when(approve(), by="chair-1").refused("own-plan")


def test_the_same_decision_again_changes_nothing_and_another_one_finds_no_plan_to_approve():
    history = (opened(), assessed(), submitted(), approved())
    given(*history).when(approve(), by="chair-1").then_nothing()
    given(*history).when(approve(decision_no="13/QĐ-UBND"), by="chair-1").refused("no-plan-submitted", approved=1)


def test_a_closed_case_approves_nothing():
    given(opened(), assessed(), submitted(), CLOSED).when(approve(), by="chair-1").refused("case-closed")


def test_approving_needs_the_version_that_was_on_the_screen():
    assert ApprovePlan.needs_if_match

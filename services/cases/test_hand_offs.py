"""A case hears of its hand-offs: forwarding meets `handover`, the commune's first receipt starts the days of the plan."""

from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest

from contracts.cases import CaseClosed, ClockBreached, ClockStarted
from services.cases.domain import decide, evolve
from services.cases.domain.hand_offs import NoteHandOff
from services.cases.test_samples import (
    CHILD,
    DELIVERED,
    DESK,
    HEALTH,
    LEAD,
    OTHER_COMMUNE,
    POLICE,
    RECEIVED,
    REFERRAL,
    approved,
    assessed,
    breached,
    clock,
    intervention_closed,
    met,
    noted,
    opened,
    reviewed,
    submitted,
)
from tests.given import given as any_given

given = partial(any_given, decide=decide, evolve=evolve)
HANDOVER = clock("handover", RECEIVED + timedelta(minutes=15), DESK)
PLAN_DRAFT = ClockStarted(
    clock="plan-draft",
    rule="plan-draft@2017-07-01",
    calendar="vn@2025-12-25",
    counted_from=DELIVERED,
    due_at=datetime(2026, 3, 10, 17, 0, tzinfo=UTC),  # five working days: 24:00 of 10 March
    responsible=LEAD,
    tell=[LEAD, DESK, HEALTH],
)
PROCEDURE = PLAN_DRAFT.model_copy(
    update={"clock": "procedure", "rule": "procedure@2017-07-01", "due_at": datetime(2026, 3, 12, 17, 0, tzinfo=UTC)}
)
ELSEWHERE = LEAD.model_copy(update={"place": OTHER_COMMUNE})


def note(step, at=DELIVERED, kind="handover", addressee=LEAD, referral=REFERRAL):
    return NoteHandOff(referral_id=referral, kind=kind, addressee=addressee, step=step, at=at)


def test_forwarding_the_child_to_the_lead_meets_the_hand_over():
    at = RECEIVED + timedelta(minutes=15)
    given(opened(), HANDOVER).when(note("sent", at)).then(noted("sent", at), met("handover", at))


def test_forwarding_late_is_met_late_also_after_the_breach():
    at = RECEIVED + timedelta(minutes=16)
    breached = ClockBreached(clock="handover", due_at=HANDOVER.due_at, responsible=DESK, tell=[DESK])
    given(opened(), HANDOVER, breached).when(note("sent", at)).then(noted("sent", at), met("handover", at, late=True))


@pytest.mark.parametrize("addressee", [POLICE, ELSEWHERE, HEALTH])
def test_under_child_protection_forwarding_to_anybody_but_the_lead_does_not_meet_the_hand_over(addressee):
    given(opened(), HANDOVER).when(note("sent", kind="copy", addressee=addressee)).then(
        noted("sent", kind="copy", addressee=addressee)
    )


def test_without_child_protection_forwarding_to_anybody_meets_the_hand_over():
    given(opened(procedures=["minor_help"]), HANDOVER).when(note("sent", RECEIVED, "help", HEALTH)).then(
        noted("sent", RECEIVED, "help", HEALTH), met("handover", RECEIVED)
    )


@pytest.mark.parametrize("step", ["delivered", "acknowledged"])
def test_the_first_receipt_of_the_lead_starts_draft_and_procedure_in_working_days_from_that_instant(step):
    given(opened()).when(note(step)).then(noted(step), PLAN_DRAFT, PROCEDURE)


def test_the_second_receipt_starts_nothing_again():
    later = DELIVERED + timedelta(days=1)
    given(opened(), noted("delivered")).when(note("acknowledged", later)).then(noted("acknowledged", later))


@pytest.mark.parametrize("step", ["sent", "declined", "escalated", "completed", "revoked"])
def test_no_other_step_is_a_receipt(step):
    given(opened()).when(note(step)).then(noted(step))


@pytest.mark.parametrize(
    ("kind", "addressee"), [("copy", LEAD), ("crime_report", POLICE), ("handover", ELSEWHERE), ("copy", HEALTH)]
)
def test_receipt_by_anybody_else_or_of_anything_else_starts_no_days_of_the_plan(kind, addressee):
    given(opened()).when(note("delivered", kind=kind, addressee=addressee)).then(noted("delivered", kind=kind, addressee=addressee))


def test_without_child_protection_nobody_owes_a_plan():
    given(opened(procedures=["trafficking"])).when(note("delivered")).then(noted("delivered"))


def test_in_an_emergency_only_the_internal_days_run_from_the_receipt_and_tet_moves_them():
    at = datetime(2026, 2, 16, 17, 20, tzinfo=UTC)  # 00:20 of the first day of Tết
    given(opened(emergency=True)).when(note("acknowledged", at)).then(
        noted("acknowledged", at),
        ClockStarted(
            clock="plan-internal",
            rule="plan-internal@2025-07-01",
            calendar="vn@2025-12-25",
            counted_from=at,
            due_at=datetime(2026, 2, 27, 17, 0, tzinfo=UTC),
            responsible=LEAD,
            tell=[LEAD, DESK],
        ),
    )


def test_what_is_done_before_the_receipt_is_noted_is_not_owed():
    given(opened(), assessed(), submitted()).when(note("delivered")).then(noted("delivered"), PROCEDURE)
    given(opened(), assessed(), submitted(), approved()).when(note("delivered")).then(noted("delivered"))
    given(opened(emergency=True), assessed(), submitted()).when(note("delivered")).then(noted("delivered"))


def test_an_approval_voided_before_the_receipt_is_noted_restarts_nothing():
    given(opened(), assessed(), submitted(), approved(), submitted(2, "bb")).when(note("delivered")).then(noted("delivered"))


def test_a_closed_case_still_notes_its_hand_offs_and_meets_what_it_owed_but_starts_nothing():
    closed = CaseClosed(reason="not_confirmed", decided_by="chair-1", lead="99803@2025-07-01", child_id=CHILD)
    given(opened(), HANDOVER, closed).when(note("delivered")).then(noted("delivered"))
    given(opened(), HANDOVER, closed).when(note("sent")).then(
        noted("sent"), breached(HANDOVER), met("handover", DELIVERED, late=True)
    )


def test_an_instant_ahead_of_this_machines_clock_does_not_keep_a_hand_off_from_being_noted():
    given(opened()).when(note("sent", DELIVERED), at=DELIVERED - timedelta(seconds=1)).then(noted("sent"))


def test_a_case_knows_the_last_step_of_each_hand_off_and_a_revoked_one_stays_revoked():
    other = UUID(int=4)
    sent_to_police = noted("sent", kind="crime_report", addressee=POLICE).model_copy(update={"referral_id": other})
    case = given(opened(), noted("sent"), sent_to_police, noted("revoked"), noted("delivered")).state
    assert {REFERRAL: "revoked", other: "sent"} == {referral: hand_off.step for referral, hand_off in case.hand_offs.items()}


def test_the_receipt_after_a_whole_intervention_starts_nothing():
    history = (opened(emergency=True), assessed(), submitted(), approved(), reviewed(), intervention_closed())
    given(*history).when(note("acknowledged")).then(noted("acknowledged"))

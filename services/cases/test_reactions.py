"""What cases does when it hears intake and referrals."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from pydantic import ValidationError

from chassis.mapper import Recorded
from contracts.ids import case_of
from contracts.intake import ReportScreened
from contracts.referrals import (
    AttemptRecorded,
    ReferralAcknowledged,
    ReferralCompleted,
    ReferralDelivered,
    ReferralEscalated,
    ReferralRevoked,
    ReferralSent,
)
from contracts.shapes import HandOff, ScreenedChild
from services.cases.domain.hand_offs import NoteHandOff
from services.cases.domain.opening import OpenCase
from services.cases.reactions import REACTIONS
from services.cases.test_samples import CENTRE, CHILD, COMMUNE, HEALTH, LEAD, RECEIVED, RECORD, REFERRAL, asked

SISTER = UUID(int=12)
CASE, SISTERS_CASE = case_of(RECORD, CHILD), case_of(RECORD, SISTER)
AT = RECEIVED + timedelta(minutes=30)
CLAIMED = datetime(2026, 3, 3, 1, 0, tzinfo=UTC)
MATTER = HandOff(
    kind="handover",
    record_id=RECORD,
    cases=[CASE, SISTERS_CASE],
    children=[CHILD, SISTER],
    addressee=LEAD,
    centre=CENTRE,
    emergency=False,
    item=None,
)
SCREENED = ReportScreened(
    decision="open_case",
    children=[
        ScreenedChild(child_id=CHILD, age_band="7_15", age_basis="stated"),
        ScreenedChild(child_id=SISTER, age_band="under_7", age_basis="estimated"),
    ],
    received_at=RECEIVED,
    incident_commune=COMMUNE,
    residence_commune=COMMUNE,
    centre=CENTRE,
    risk="medium",
    protection_level="SUPPORT",
    emergency=False,
    procedures=["child_protection"],
    send_to=[LEAD, HEALTH],
    quick_report=False,
)
TOLD = [
    (ReferralSent(of=MATTER, sender="officer-7", basis="decree56.26.1", disclosed=[], digests=[], sent_at=AT), "sent", AT),
    (ReferralDelivered(of=MATTER, via="smtp_accepted", delivered_at=AT), "delivered", AT),
    (
        ReferralAcknowledged(of=MATTER, via="link", acknowledged_at=AT, office="Phòng VH-XH", taker_id=UUID(int=7)),
        "acknowledged",
        AT,
    ),
    (ReferralCompleted(of=MATTER, result="done", at=AT, report=[]), "completed", AT),
    (ReferralRevoked(of=MATTER, cases=[CASE, SISTERS_CASE], reason="wrong_addressee"), "revoked", CLAIMED),
    (ReferralEscalated(of=MATTER, level=1, to=[HEALTH], because="silence"), "escalated", CLAIMED),
]


def heard(fact, stream):
    return Recorded(stream, 1, fact, meta={"occurred_at": CLAIMED.isoformat()}, log=fact.log, position=812)


def reaction_to(fact):
    return [
        (reaction.name, command)
        for reaction in REACTIONS
        if reaction.hears is type(fact)
        for command in reaction.commands(heard(fact, REFERRAL))
    ]


def test_a_screening_opens_a_case_for_each_child_under_the_id_of_record_and_child():
    (reaction,) = [reaction for reaction in REACTIONS if reaction.hears is ReportScreened]
    assert [
        (CASE, asked()),
        (SISTERS_CASE, asked(child_id=SISTER, age_band="under_7", age_basis="estimated")),
    ] == list(reaction.commands(heard(SCREENED, RECORD)))


@pytest.mark.parametrize("decision", ["join", "counselling", "information", "not_protection"])
def test_no_other_decision_opens_a_case(decision):
    assert [] == reaction_to(SCREENED.model_copy(update={"decision": decision}))


def test_a_screening_without_a_place_is_left_to_be_parked():
    with pytest.raises(ValidationError):
        reaction_to(SCREENED.model_copy(update={"incident_commune": None}))


@pytest.mark.parametrize(("fact", "step", "at"), TOLD)
def test_every_step_of_a_hand_off_is_noted_on_each_of_its_cases_at_the_time_it_happened(fact, step, at):
    note = NoteHandOff(occurred_at=at, referral_id=REFERRAL, kind="handover", addressee=LEAD, step=step, at=at)
    assert [("note-hand-off", (CASE, note)), ("note-hand-off", (SISTERS_CASE, note))] == reaction_to(fact)


def test_a_revocation_is_noted_only_on_the_cases_for_which_it_was_revoked():
    revoked = ReferralRevoked(of=MATTER, cases=[SISTERS_CASE], reason="wrong_addressee")
    assert [SISTERS_CASE] == [case for _, (case, _) in reaction_to(revoked)]


def test_a_hand_off_for_a_plan_item_names_the_item():
    service = MATTER.model_copy(update={"kind": "service", "item": 2})
    ((_, (_, note)), _) = reaction_to(ReferralDelivered(of=service, via="dsn", delivered_at=AT))
    assert ("service", 2) == (note.kind, note.item)


def test_attempts_are_no_steps_of_a_hand_off():
    assert [] == reaction_to(AttemptRecorded(of=MATTER, number=1, via="phone", to="trực ban", at=AT, result="no_answer", words=[]))


def test_a_case_that_is_open_already_is_done_and_nothing_else_is_passed_over_in_silence():
    assert {OpenCase: {"already-open"}, NoteHandOff: set()} == {reaction.wants: reaction.done for reaction in REACTIONS}

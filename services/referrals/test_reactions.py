"""What referrals does about the facts of other services, as pure functions of them."""

from dataclasses import replace
from datetime import date

import pytest

from chassis.mapper import Recorded
from contracts import cases, intake, notifications
from contracts.ids import case_of, referral_by, referral_of_item
from contracts.shapes import About, Addressee, HandOff, PlanItem, ScreenedChild
from services.referrals.domain.ladder import EscalateReferral
from services.referrals.domain.sending import SendReferral
from services.referrals.domain.settling import RevokeReferral
from services.referrals.domain.taking import RecordDelivery
from services.referrals.reactions import REACTIONS
from services.referrals.test_samples import (
    BOY,
    COMMUNE,
    GIRL,
    HANOI,
    HER_CASE,
    HIS_CASE,
    POLICE,
    PROVINCE,
    RECORD,
    SUPERVISORS,
    XA,
    given,
    sent,
    taken,
)
from tests.given import NOW, STREAM

ELSEWHERE = Addressee(role="commune_pc", place="99803@2025-07-01")
AMBULANCE = Addressee(role="emergency_115", place="98@2025-07-01")
SCREENED = intake.ReportScreened(
    decision="open_case",
    children=[ScreenedChild(child_id=child, age_band="7_15", age_basis="stated") for child in (BOY, GIRL)],
    received_at=NOW,
    incident_commune=XA,
    residence_commune=ELSEWHERE.place,
    centre=HANOI,
    risk="high",
    protection_level="INTERVENTION",
    emergency=True,
    procedures=["child_protection"],
    send_to=[COMMUNE, PROVINCE, POLICE],
    quick_report=False,
)
REFERRAL = About(kind="referral", id=STREAM)


def wanted(fact, stream=RECORD, position=7):
    """Every command that hearing this fact leads to."""
    heard = Recorded(stream, 3, fact, log=type(fact).log, position=position)
    return [want for reaction in REACTIONS if reaction.hears is type(fact) for want in reaction.commands(heard)]


def test_a_screening_hands_over_to_each_addressee_once_for_all_its_children():
    found = wanted(SCREENED)
    assert [referral_by(RECORD, "intake:7", body) for body in (COMMUNE, PROVINCE, POLICE)] == [stream for stream, _ in found]
    assert found[0][1] == SendReferral(
        of=HandOff(
            kind="handover",
            record_id=RECORD,
            cases=[HIS_CASE, HER_CASE],
            children=[BOY, GIRL],
            addressee=COMMUNE,
            centre=HANOI,
            emergency=True,
            lead=XA,
        )
    )


@pytest.mark.parametrize(
    ("addressee", "procedure", "kind"),
    [
        (COMMUNE, "child_protection", "handover"),
        (ELSEWHERE, "child_protection", "copy"),
        (PROVINCE, "child_protection", "copy"),
        (PROVINCE, "trafficking", "identification"),
        (POLICE, "child_protection", "crime_report"),
        (Addressee(role="border_guard", place=PROVINCE.place), "trafficking", "crime_report"),
        (Addressee(role="coast_guard", place=PROVINCE.place), "trafficking", "crime_report"),
        (AMBULANCE, "child_protection", "emergency_service"),
        (Addressee(role="school", place=XA), "child_protection", "copy"),
    ],
)
def test_the_kind_of_a_hand_off_follows_from_the_addressee(addressee, procedure, kind):
    ((_, command),) = wanted(SCREENED.model_copy(update={"send_to": [addressee], "procedures": [procedure]}))
    assert kind == command.of.kind


def test_an_addressee_named_twice_gets_one_hand_off():
    assert 1 == len(wanted(SCREENED.model_copy(update={"send_to": [POLICE, POLICE]})))


def test_a_screening_that_opens_no_case_hands_nothing_over():
    assert [] == wanted(SCREENED.model_copy(update={"decision": "counselling"}))


def test_an_approved_plan_asks_each_provider_for_its_item():
    provider = Addressee(role="hospital", place=PROVINCE.place)
    items = [
        PlanItem(item=1, service="medical", provider=provider, due_on=date(2026, 4, 1)),
        PlanItem(item=2, service="medical"),
        PlanItem(item=3, service="medical", provider=provider),
    ]
    plan = cases.PlanApproved(
        plan=2,
        digest="d",
        items=items,
        review_on=date(2026, 6, 1),
        decision_no="12/QĐ-UBND",
        signatory="chair-1",
        record_id=RECORD,
        child_id=BOY,
        centre=HANOI,
        emergency=False,
        lead=XA,
    )
    found = wanted(plan, stream=HIS_CASE)
    assert [referral_of_item(HIS_CASE, "cases:7", item) for item in (1, 3)] == [stream for stream, _ in found]
    assert found[0][1] == SendReferral(
        of=HandOff(
            kind="service",
            record_id=RECORD,
            cases=[case_of(RECORD, BOY)],
            children=[BOY],
            addressee=provider,
            centre=HANOI,
            emergency=False,
            item=1,
            lead=XA,
        ),
        due_on=date(2026, 4, 1),
    )


def test_a_closed_intervention_withdraws_what_it_still_asked_for():
    closed = cases.InterventionClosed(plan=1, outcome="goals_met", review=9, revoke=[STREAM, GIRL], child_id=BOY)
    command = RevokeReferral(cases=[HIS_CASE], reason="intervention_closed")
    assert [(STREAM, command), (GIRL, command)] == wanted(closed, stream=HIS_CASE)


def test_the_message_that_reached_the_addressee_is_its_delivery():
    told = notifications.MessageDelivered(about=REFERRAL, recipient=COMMUNE, number=1, channel="email:1", at=NOW, via="dsn")
    assert [(STREAM, RecordDelivery(via="dsn", delivered_at=NOW, to=COMMUNE))] == wanted(told)


def test_an_undeliverable_message_escalates_the_hand_off():
    told = notifications.MessageUndeliverable(about=REFERRAL, recipient=SUPERVISORS, number=1, tried=4, because="exhausted")
    assert [(STREAM, EscalateReferral(because="undeliverable", undelivered_to=SUPERVISORS))] == wanted(told)


def test_messages_about_other_things_are_none_of_our_business():
    about = About(kind="case", id=STREAM)
    told = notifications.MessageDelivered(about=about, recipient=COMMUNE, number=1, channel="email:1", at=NOW, via="dsn")
    lost = notifications.MessageUndeliverable(about=about, recipient=COMMUNE, number=1, tried=4, because="exhausted")
    assert [] == wanted(told) + wanted(lost)


def test_a_reaction_to_what_is_settled_meanwhile_is_done_and_parks_nothing():
    ((_, command),) = wanted(
        notifications.MessageUndeliverable(about=REFERRAL, recipient=COMMUNE, number=1, tried=4, because="exhausted")
    )
    (reaction,) = [reaction for reaction in REACTIONS if reaction.wants is EscalateReferral]
    given(*taken()).when(command).refused("already-settled")
    assert {"already-settled"} == reaction.done


def test_every_wanted_command_is_of_the_kind_that_its_reaction_names():
    heard = Recorded(RECORD, 3, SCREENED, log="intake", position=7)
    for reaction in REACTIONS:
        facts = [replace(heard, fact=fact) for fact in (SCREENED,) if isinstance(fact, reaction.hears)]
        assert {reaction.wants} >= {type(command) for one in facts for _, command in reaction.commands(one)}


def test_the_same_fact_heard_twice_wants_the_same_of_the_same_streams():
    assert wanted(SCREENED) == wanted(SCREENED)
    assert sent() == sent()

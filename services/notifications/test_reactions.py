"""What notifications does about the facts of other services, as pure functions of them."""

from uuid import UUID

import pytest

from chassis.mapper import Recorded
from contracts import cases, intake, projections, referrals
from contracts.ids import thread_of
from contracts.notifications import Letter
from contracts.shapes import About, Addressee, HandOff
from services.notifications.domain.queueing import CancelMessage, QueueMessage
from services.notifications.reactions import BREACHES, REACTIONS
from services.notifications.test_samples import ABOUT, COMMUNE, HANOI, PROVINCE, REFERRAL, SUPERVISORS, XA, given, queued
from tests.given import NOW

CHILD, CASE = UUID(int=3), UUID(int=4)
POLICE = Addressee(role="police", place=XA)
MATTER = HandOff(
    kind="handover",
    record_id=UUID(int=5),
    cases=[CASE, UUID(int=6)],
    children=[CHILD, UUID(int=7)],
    addressee=COMMUNE,
    centre=HANOI,
    emergency=False,
    lead=XA,
)
SENT = referrals.ReferralSent(of=MATTER, sender="officer-7", basis="decree56.26.1", disclosed=[], digests=[], sent_at=NOW)
ESCALATED = referrals.ReferralEscalated(of=MATTER, level=1, to=[SUPERVISORS, PROVINCE], because="silence")
ACKNOWLEDGED = referrals.ReferralAcknowledged(
    of=MATTER, via="link", acknowledged_at=NOW, office="UBND", taker_id=CHILD, told=[SUPERVISORS]
)
REVOKED = referrals.ReferralRevoked(of=MATTER, cases=MATTER.cases, reason="not_needed", told=[SUPERVISORS, PROVINCE])


def wanted(fact, stream=REFERRAL):
    """Every command that hearing this fact leads to."""
    heard = Recorded(stream, 3, fact, log=type(fact).log, position=7)
    return [want for reaction in REACTIONS if reaction.hears is type(fact) for want in reaction.commands(heard)]


def test_a_hand_off_is_told_to_its_addressee_with_neither_name_nor_story():
    letter = Letter(template="hand_off", emergency=False, commune=XA, children=2)
    command = QueueMessage(about=ABOUT, recipient=COMMUNE, purpose="duty", letter=letter)
    assert [(thread_of(REFERRAL, COMMUNE), command)] == wanted(SENT)


def test_an_urgent_hand_off_has_a_letter_of_its_own():
    ((_, command),) = wanted(SENT.model_copy(update={"of": MATTER.model_copy(update={"emergency": True})}))
    assert ("hand_off_emergency", True) == (command.letter.template, command.letter.emergency)


def test_the_letter_names_the_commune_of_the_case_whoever_is_addressed():
    elsewhere = Addressee(role="hospital", place=PROVINCE.place)
    for lead, expected in ((XA, XA), (None, PROVINCE.place)):
        ((_, command),) = wanted(SENT.model_copy(update={"of": MATTER.model_copy(update={"addressee": elsewhere, "lead": lead})}))
        assert expected == command.letter.commune


def test_each_body_of_a_rung_is_told_in_a_thread_of_its_own():
    letter = Letter(template="escalation", emergency=False, commune=XA, children=2, clock="acknowledgement")
    assert [
        (thread_of(REFERRAL, body), QueueMessage(about=ABOUT, recipient=body, purpose="supervision", letter=letter))
        for body in (SUPERVISORS, PROVINCE)
    ] == wanted(ESCALATED)


@pytest.mark.parametrize("via", ["link", "phone", "in_person", "official_letter", "portal", "app"])
def test_what_reached_the_addressee_otherwise_need_not_be_sent(via):
    delivered = referrals.ReferralDelivered(of=MATTER, via=via, delivered_at=NOW)
    assert [(thread_of(REFERRAL, COMMUNE), CancelMessage(because="delivered"))] == wanted(delivered)


@pytest.mark.parametrize("via", ["smtp_accepted", "dsn", "email"])
def test_a_delivery_by_our_own_message_cancels_nothing(via):
    assert [] == wanted(referrals.ReferralDelivered(of=MATTER, via=via, delivered_at=NOW))


def test_a_takeover_stops_the_messages_to_the_addressee_and_to_the_ladder():
    command = CancelMessage(because="acknowledged")
    assert [(thread_of(REFERRAL, body), command) for body in (COMMUNE, SUPERVISORS)] == wanted(ACKNOWLEDGED)


def test_a_revocation_stops_the_messages_to_the_addressee_and_to_the_ladder():
    command = CancelMessage(because="revoked")
    assert [(thread_of(REFERRAL, body), command) for body in (COMMUNE, SUPERVISORS, PROVINCE)] == wanted(REVOKED)


def test_a_revocation_for_some_of_the_cases_stops_nothing():
    assert [] == wanted(REVOKED.model_copy(update={"cases": [CASE]}))


def test_a_thread_in_which_nothing_was_said_is_nothing_to_cancel():
    assert {frozenset({"not-found"})} == {reaction.done for reaction in REACTIONS if reaction.wants is CancelMessage}


def test_a_cancelled_ladder_mail_is_one_that_was_not_delivered_yet():
    ((_, command),) = wanted(ACKNOWLEDGED.model_copy(update={"told": []}))
    assert "MessageCancelled" == type(given(*queued()).when(command).told[0]).__name__


@pytest.mark.parametrize(
    ("fact", "clock", "kind"),
    [
        (intake.ClockBreached, "first-look", "contact"),
        (intake.ClockBreached, "screening", "record"),
        (intake.ClockBreached, "data-right/2", "person"),
        (cases.ClockBreached, "plan-draft", "case"),
        (referrals.ClockBreached, "completion", "referral"),
        (projections.ClockBreached, "glass-review", "read"),
    ],
)
def test_a_breach_in_any_log_is_told_once_to_each_body_it_names(fact, clock, kind):
    breached = fact(clock=clock, due_at=NOW, responsible=COMMUNE, tell=[SUPERVISORS, PROVINCE, SUPERVISORS])
    letter = Letter(template="breach", emergency=False, commune=XA, clock=clock, due_at=NOW)
    about = About(kind=kind, id=CASE)
    assert [
        (thread_of(CASE, body), QueueMessage(about=about, recipient=body, purpose="supervision", letter=letter))
        for body in (SUPERVISORS, PROVINCE)
    ] == wanted(breached, stream=CASE)


def test_the_breach_of_the_twelve_hours_is_urgent():
    ((_, command),) = wanted(cases.ClockBreached(clock="emergency", due_at=NOW, responsible=COMMUNE, tell=[PROVINCE]), stream=CASE)
    assert command.letter.emergency


def test_a_breach_that_tells_nobody_says_nothing():
    assert [] == wanted(referrals.ClockBreached(clock="acknowledgement", due_at=NOW, responsible=COMMUNE, tell=[]))


def test_breaches_are_heard_from_every_log_but_our_own():
    assert {"intake", "cases", "referrals", "projections"} == {fact.log for fact in BREACHES}


def test_every_wanted_command_is_of_the_kind_that_its_reaction_names():
    for fact in (SENT, ESCALATED, ACKNOWLEDGED, REVOKED):
        (reaction,) = [reaction for reaction in REACTIONS if reaction.hears is type(fact)]
        assert {reaction.wants} == {type(command) for _, command in wanted(fact)}

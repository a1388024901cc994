"""Who stands how to a hand-off: the relations of the roles table."""

import pytest

from chassis.identity import Capacity
from contracts.kernel import Given
from contracts.rules import LAW
from contracts.shapes import Addressee
from services.referrals.domain.agencies import RegisterAgency
from services.referrals.domain.sending import SendReferral
from services.referrals.domain.settling import RevokeReferral
from services.referrals.domain.taking import RecordDelivery
from services.referrals.policy import relations
from services.referrals.test_agencies import REGISTER, REGISTERED
from services.referrals.test_samples import MATTER, TINH, TO_POLICE, XA, given, sent
from tests.given import NOW, STREAM

ELSEWHERE = "99803@2025-07-01"
TO_XA = given(*sent()).state
TO_CAX = given(*sent(TO_POLICE)).state


@pytest.mark.parametrize(
    ("capacity", "state", "expected"),
    [
        (Capacity("c-1", "counsellor"), TO_XA, {"line"}),
        (Capacity("officer-7", "counsellor"), TO_XA, {"line", "own"}),
        (Capacity("s-1", "supervisor"), TO_XA, {"line"}),
        (Capacity("w-1", "commune_officer", XA), TO_XA, {"lead", "incident", "addressed", "agency"}),
        (Capacity("w-1", "commune_chair", XA), TO_CAX, {"lead", "incident"}),
        (Capacity("w-1", "commune_officer", ELSEWHERE), TO_XA, set()),
        (Capacity("w-1", "commune_officer"), TO_XA, set()),
        (Capacity("p-1", "provincial_officer", TINH), TO_XA, {"province"}),
        (Capacity("p-1", "provincial_officer", "01@2025-07-01"), TO_XA, set()),
        (Capacity("a-1", "agency_user", agency=f"police@{XA}"), TO_CAX, {"addressed", "agency"}),
        (Capacity("a-1", "agency_user", agency=f"police@{XA}"), TO_XA, set()),
        (Capacity("t-1", "therapist"), TO_XA, set()),
    ],
)
def test_a_capacity_stands_to_a_hand_off_as_the_table_means_it(capacity, state, expected):
    assert expected == relations(state, capacity)


def test_a_link_is_good_for_the_hand_off_it_was_made_for_and_for_no_other():
    command = RecordDelivery(via="link").knowing(Given("link", "link", NOW, LAW, STREAM, bytes(16)))
    assert {"addressed"} == relations(TO_XA, Capacity(f"link:{STREAM}", "link"), command)
    assert set() == relations(TO_XA, Capacity(f"link:{MATTER.record_id}", "link"), command)
    assert set() == relations(TO_XA, Capacity(f"link:{STREAM}", "link"))


@pytest.mark.parametrize(
    ("capacity", "expected"),
    [
        (Capacity("c-1", "counsellor"), {"line", "own"}),
        (Capacity("w-1", "commune_officer", XA), {"lead", "incident", "addressed", "agency", "own"}),
        (Capacity("w-1", "commune_officer", ELSEWHERE), {"own"}),
        (Capacity("p-1", "provincial_officer", TINH), {"province", "own"}),
        (Capacity("t-1", "therapist"), {"own"}),
    ],
)
def test_before_there_is_a_hand_off_the_command_is_judged(capacity, expected):
    assert expected == relations(None, capacity, SendReferral(of=MATTER))


def test_an_agency_is_registered_by_its_own_province():
    assert {"province"} == relations(None, Capacity("p-1", "provincial_officer", TINH), REGISTER)
    elsewhere = RegisterAgency(**{**dict(REGISTER), "place": "01@2025-07-01"})
    assert set() == relations(None, Capacity("p-1", "provincial_officer", TINH), elsewhere)


def test_an_agency_is_seen_by_itself_and_its_province():
    agency = given(REGISTERED).state
    assert {"addressed", "agency"} == relations(agency, Capacity("w-1", "commune_officer", XA))
    assert {"province"} == relations(agency, Capacity("p-1", "provincial_officer", TINH))


def test_without_state_other_commands_relate_to_nobody():
    assert set() == relations(None, Capacity("p-1", "provincial_officer", TINH), RevokeReferral(cases=[], reason="not_needed"))


def test_a_hand_off_without_a_lead_has_the_province_of_its_addressee():
    alone = given(*sent(TO_POLICE.model_copy(update={"lead": None, "addressee": Addressee(role="police", place=ELSEWHERE)}))).state
    assert {"province"} == relations(alone, Capacity("p-1", "provincial_officer", TINH))
    assert set() == relations(alone, Capacity("w-1", "commune_officer", XA))

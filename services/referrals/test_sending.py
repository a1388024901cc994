"""Sending a hand-off: what is told, on what basis, and the clock that runs from that instant."""

import pytest

from contracts.digest import digest
from contracts.intake import ReportScreened
from contracts.referrals import AgencyRegistered, ClockStarted, ReferralEscalated, ReferralSent
from contracts.rules import LAW
from contracts.shapes import HandOff
from services.referrals.domain.sending import FIELDS, SendReferral
from services.referrals.domain.settling import RevokeReferral
from services.referrals.test_samples import (
    AGENCY,
    BOY,
    COMMUNE,
    DAY,
    GIRL,
    HANOI,
    HOUR,
    MATTER,
    MINUTE,
    RECORD,
    SERVICE,
    SUPERVISORS,
    TO_POLICE,
    URGENT,
    given,
    only,
    sent,
)
from tests.given import NOW, STREAM


def test_a_hand_off_goes_to_one_addressee_and_its_clock_runs_from_that_instant():
    told = given().when(SendReferral(of=MATTER, agency_id=AGENCY)).told
    assert [ReferralSent, ClockStarted] == [type(fact) for fact in told]
    assert ("officer-7", NOW, AGENCY) == (told[0].sender, told[0].sent_at, told[0].agency_id)
    assert ("acknowledgement", NOW, NOW + DAY, COMMUNE, []) == (
        told[1].clock,
        told[1].counted_from,
        told[1].due_at,
        told[1].responsible,
        told[1].tell,
    )


@pytest.mark.parametrize(
    ("of", "limit", "rule"),
    [
        (MATTER, DAY, "acknowledgement@2025-07-01/98"),  # the province has a level of its own
        (URGENT, 30 * MINUTE, "acknowledgement@2025-07-01"),
        (TO_POLICE, 4 * HOUR, "acknowledgement@2025-07-01"),
    ],
)
def test_how_long_the_addressee_has_depends_on_the_kind_the_emergency_and_the_province(of, limit, rule):
    started = only(ClockStarted, sent(of))
    assert (NOW + limit, rule) == (started.due_at, started.rule)


@pytest.mark.parametrize("kind", ["handover", "crime_report", "copy", "service"])
def test_without_a_basis_and_fields_the_rules_of_the_kind_say_them(kind):
    fact = only(ReferralSent, sent(MATTER.model_copy(update={"kind": kind})))
    assert (LAW.basis(kind), list(LAW.disclosed(kind))) == (fact.basis, fact.disclosed)


def test_fewer_fields_may_be_disclosed_than_the_kind_allows():
    assert ["child.address"] == only(ReferralSent, sent(disclosed=["child.address", "child.address"])).disclosed


def test_more_than_the_kind_covers_needs_a_basis_of_its_own():
    given().when(SendReferral(of=SERVICE, disclosed=["child.concerns"])).refused("no-basis", fields=["child.concerns"])


def test_a_consent_is_a_basis_for_more():
    consent = f"consent:{BOY}@3"
    fact = only(ReferralSent, sent(SERVICE, disclosed=["child.concerns"], basis=consent))
    assert (consent, ["child.concerns"]) == (fact.basis, fact.disclosed)


def test_a_field_that_is_not_in_the_register_cannot_be_disclosed():
    given().when(SendReferral(of=MATTER, disclosed=["child.name", "child.diary"])).refused("unknown-field", fields=["child.diary"])


def test_every_field_that_the_rules_disclose_is_in_the_register():
    assert set() == {field for kind in LAW.disclosure for field in LAW.disclosed(kind)} - FIELDS


def test_what_was_told_is_bound_child_by_child_by_a_digest_whose_salt_is_sealed_under_that_child():
    fact = only(ReferralSent, sent())
    told = {
        "kind": "handover",
        "record": str(RECORD),
        "addressee": str(COMMUNE),
        "centre": HANOI,
        "emergency": False,
        "disclosed": fact.disclosed,
        "basis": "decree56.26.1",
    }
    expected = [(child, digest(bytes(16), {**told, "child": str(child)}), bytes(16).hex()) for child in (BOY, GIRL)]
    assert expected == [(bound.child_id, bound.digest, bound.salt) for bound in fact.digests]
    assert {"salt": "child_id"} == type(fact.digests[0]).personal


def test_a_hand_off_to_a_role_that_nobody_fills_escalates_at_once_and_its_clock_runs_all_the_same():
    told = sent(agency=None)
    assert [ReferralSent, ClockStarted, ReferralEscalated] == [type(fact) for fact in told]
    assert (1, [SUPERVISORS], "no_agency") == (told[2].level, told[2].to, told[2].because)


def test_a_hand_off_told_later_counts_from_when_it_was_sent():
    assert NOW - HOUR + DAY == only(ClockStarted, sent(sent_at=NOW - HOUR)).due_at


def test_a_hand_off_cannot_have_been_sent_in_the_future():
    given().when(SendReferral(of=MATTER, sent_at=NOW + MINUTE)).refused("in-the-future")


def test_a_hand_off_that_is_on_its_way_is_not_sent_again():
    given(*sent()).when(SendReferral(of=MATTER, agency_id=AGENCY)).then_nothing()


def test_a_hand_off_cannot_begin_where_an_agency_stands():
    agency = AgencyRegistered(agency_id=STREAM, role="police", place=COMMUNE.place, label="Công an xã", valid_from_on=NOW.date())
    given(agency).when(SendReferral(of=MATTER)).refused("not-found")
    given(agency).when(RevokeReferral(cases=[], reason="not_needed")).refused("not-found")


@pytest.mark.parametrize("missing", ["cases", "children"])
def test_a_hand_off_is_about_at_least_one_case_of_one_child(missing):
    with pytest.raises(ValueError, match="at least 1 item"):
        HandOff(**{**dict(MATTER), missing: []})


def test_a_command_that_nobody_taught_this_service_is_an_error_of_ours():
    with pytest.raises(NotImplementedError):
        given().when(SendReferral.__base__())


def test_a_fact_of_another_log_changes_nothing_here():
    state = given(*sent()).state
    assert state == given(*sent(), ReportScreened.model_construct()).state

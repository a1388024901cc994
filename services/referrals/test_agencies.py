"""Agencies: one body a role, place and day."""

from contracts.referrals import AgencyRegistered
from contracts.shapes import AgencyContact
from services.referrals.domain.agencies import RegisterAgency
from services.referrals.test_samples import AGENCY, COMMUNE, XA, given, sent
from tests.given import NOW, STREAM

CONTACTS = [AgencyContact(channel="email", address="ubnd@suoi-mau.example")]
REGISTER = RegisterAgency(role="commune_pc", place=XA, label="UBND Xã Suối Mẫu", valid_from_on=NOW.date(), contacts=CONTACTS)
REGISTERED = AgencyRegistered(
    agency_id=STREAM, role="commune_pc", place=XA, label="UBND Xã Suối Mẫu", valid_from_on=NOW.date(), contacts=CONTACTS
)


def test_an_agency_is_known_by_its_stream_and_its_addresses_are_sealed_under_it():
    given().when(REGISTER).then(REGISTERED)
    assert {"contacts": "agency_id"} == AgencyRegistered.personal


def test_a_role_at_a_place_is_filled_once_from_a_day_on():
    given().when(REGISTER.model_copy(update={"taken_by": AGENCY})).refused("place-taken")


def test_an_agency_is_registered_once():
    given(REGISTERED).when(REGISTER).refused("place-taken")


def test_an_agency_cannot_be_registered_where_a_hand_off_stands():
    given(*sent()).when(REGISTER).refused("place-taken")


def test_an_agency_knows_whom_it_can_be_addressed_as():
    assert (COMMUNE, "UBND Xã Suối Mẫu") == ((agency := given(REGISTERED).state).addressee, agency.label)

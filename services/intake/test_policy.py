"""Who stands how to a contact or a record."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from chassis.identity import Capacity, roles
from services.intake.domain import Contact, Record
from services.intake.policy import relations

HANOI, SUOI_MAU, CAU_MAU, TINH_MAU, ELSEWHERE = (f"{code}@2025-07-01" for code in ("hanoi", "99801", "99803", "98", "00004"))
AT = datetime(2026, 3, 3, tzinfo=UTC)
CONTACT = Contact("zalo", HANOI, UUID(int=1), AT, agent="officer-7")
RECORD = Record(HANOI, "officer-7", AT, None, SUOI_MAU, CAU_MAU, False, (), {})  # noqa: FBT003 - no emergency


@pytest.mark.parametrize("state", [None, CONTACT, RECORD])
@pytest.mark.parametrize("role", ["counsellor", "supervisor", "operator"])
def test_the_line_knows_every_contact_and_record(role, state):
    assert {"line"} == relations(state, Capacity("officer-9", role, HANOI))


@pytest.mark.parametrize("state", [CONTACT, RECORD])
def test_a_contact_is_its_agents_own_and_a_record_its_owners(state):
    assert {"line", "own"} == relations(state, Capacity("officer-7", "counsellor", HANOI))


@pytest.mark.parametrize(
    ("role", "place", "held"),
    [
        ("commune_officer", SUOI_MAU, {"lead", "incident"}),
        ("commune_chair", SUOI_MAU, {"lead", "incident"}),
        ("commune_chair", CAU_MAU, {"incident"}),
        ("commune_chair", ELSEWHERE, set()),
        ("commune_chair", None, set()),
        ("provincial_officer", TINH_MAU, {"province"}),
        ("provincial_officer", "01@2025-07-01", set()),
        ("provincial_officer", None, set()),
        ("provincial_officer", SUOI_MAU, set()),
        ("commune_officer", TINH_MAU, set()),
        ("auditor", None, set()),
        ("agency_user", SUOI_MAU, set()),
        ("link", None, set()),
    ],
)
def test_a_record_is_led_by_the_commune_of_the_incident_until_there_is_a_case(role, place, held):
    assert held == relations(RECORD, Capacity("somebody", role, place))


@pytest.mark.parametrize("role", sorted({"commune_chair", "provincial_officer", "agency_user", "auditor", "link"}))
def test_nobody_outside_the_line_knows_a_contact(role):
    assert frozenset() == relations(CONTACT, Capacity("somebody", role, SUOI_MAU))


def test_a_record_without_a_place_belongs_to_no_commune_and_no_province():
    nowhere = Record(HANOI, "officer-7", AT, None, None, None, False, (), {})  # noqa: FBT003 - no emergency
    for role in ("commune_chair", "provincial_officer"):
        assert frozenset() == relations(nowhere, Capacity("somebody", role, None))


def test_every_relation_that_the_table_asks_for_in_intake_can_hold():
    asked = {relation for name, row in roles()["commands"].items() if name.startswith("intake.") for relation in row.values()}
    assert asked <= {"line", "own", "lead", "incident", "province", "any"}

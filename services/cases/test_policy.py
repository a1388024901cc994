"""How people stand to a case."""

from functools import partial, reduce

import pytest

from chassis.identity import Capacity
from services.cases.domain import evolve
from services.cases.policy import relations
from services.cases.test_samples import (
    COMMUNE,
    OTHER_COMMUNE,
    POLICE,
    PROVINCE,
    SHELTER,
    approved,
    asked,
    assessed,
    noted,
    opened,
    submitted,
)

who = partial(Capacity, "somebody")
HANOI = "01@2025-07-01"
POLICE_USER = who("agency_user", agency=str(POLICE))
SHELTER_USER = who("agency_user", agency=str(SHELTER))


def after(*facts):
    return reduce(lambda case, fact: evolve(fact, case), facts, None)


@pytest.mark.parametrize(
    ("capacity", "held"),
    [
        (who("counsellor"), {"line"}),
        (who("supervisor"), {"line"}),
        (who("operator"), {"line"}),
        (who("commune_officer", COMMUNE), {"lead", "incident"}),
        (who("commune_chair", COMMUNE), {"lead", "incident"}),
        (who("commune_chair", OTHER_COMMUNE), {"incident"}),
        (who("commune_officer", PROVINCE), set()),
        (who("commune_officer"), set()),
        (who("provincial_officer", PROVINCE), {"province"}),
        (who("provincial_officer", HANOI), set()),
        (who("provincial_officer"), set()),
        (POLICE_USER, set()),
        (who("therapist", COMMUNE), set()),
        (who("data_officer"), set()),
        (who("auditor"), set()),
        (who("researcher"), set()),
    ],
)
def test_relations_to_a_case_whose_child_lives_elsewhere(capacity, held):
    assert held == relations(after(opened(residence_commune=OTHER_COMMUNE)), capacity)


def test_the_province_of_another_residence_has_no_say():
    case = after(opened(residence_commune="00004@2025-07-01"))
    assert frozenset() == relations(case, who("provincial_officer", HANOI))


def test_a_body_that_was_asked_to_help_is_addressed_until_it_is_let_go():
    sent = noted("sent", kind="crime_report", addressee=POLICE)
    assert {"addressed", "agency"} == relations(after(opened(), sent), POLICE_USER)
    assert frozenset() == relations(after(opened(), sent), SHELTER_USER)
    revoked = noted("revoked", kind="crime_report", addressee=POLICE)
    assert frozenset() == relations(after(opened(), sent, revoked), POLICE_USER)


def test_the_lead_that_has_the_hand_over_is_addressed_too():
    assert {"lead", "incident", "addressed"} == relations(after(opened(), noted("sent")), who("commune_officer", COMMUNE))


def test_a_provider_of_an_approved_plan_is_an_agency_of_the_case_and_one_of_a_draft_is_not():
    draft = (opened(), assessed(), submitted())
    assert frozenset() == relations(after(*draft), SHELTER_USER)
    assert {"agency"} == relations(after(*draft, approved()), SHELTER_USER)


def test_before_there_is_a_case_only_the_line_stands_in_a_relation():
    assert {"line"} == relations(None, who("counsellor"), asked())
    assert frozenset() == relations(None, who("commune_chair", COMMUNE), asked())

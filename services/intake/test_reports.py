"""Reports (Form 01), as given, when, then."""

from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from contracts.codes import codes
from contracts.intake import ClockStarted, ReportReceived
from contracts.shapes import Addressee, Alleged, Child, Informant
from services.intake.domain import decide, evolve
from services.intake.domain.contacts import AnswerContact
from services.intake.domain.reports import ReceiveReport
from tests.given import NOW
from tests.given import given as any_given

given = partial(any_given, decide=decide, evolve=evolve)
MINUTE = timedelta(minutes=1)
HANOI, SUOI_MAU = "hanoi@2025-07-01", "99801@2025-07-01"
DESK = Addressee(role="supervisor_desk", place=HANOI)
TI, CONTACT, HUNG, LANG = UUID(int=2), UUID(int=1), UUID(int=3), UUID(int=4)
CHILD = Child(child_id=TI, age_band="7_15", age_basis="estimated", sex="male", name="Mẫu Văn Tí")
RECEIVED_AT = NOW - 6 * MINUTE
REPORT = {
    "contacts": [CONTACT],
    "source": "neighbour",
    "centre": HANOI,
    "received_at": RECEIVED_AT,
    "incident_commune": SUOI_MAU,
    "residence_commune": SUOI_MAU,
    "children": [CHILD],
    "alleged": [],
    "emergency": False,
    "procedures": ["child_protection"],
}


def started(minutes: int) -> ClockStarted:
    return ClockStarted(
        clock="screening",
        rule="screening@2025-07-01",
        calendar=None,
        counted_from=RECEIVED_AT,
        due_at=RECEIVED_AT + minutes * MINUTE,
        responsible=DESK,
        tell=[DESK],
    )


def test_a_report_is_owned_by_whoever_took_it_and_screened_within_half_an_hour_of_its_receipt():
    given().when(ReceiveReport(**REPORT), by="officer-7").then(ReportReceived(owner="officer-7", **REPORT), started(30))


def test_an_emergency_is_screened_within_five_minutes_of_the_receipt_even_if_they_passed_while_it_was_typed():
    emergency = REPORT | {"emergency": True}
    told = given().when(ReceiveReport(**emergency), by="officer-7").told
    assert [ReportReceived(owner="officer-7", **emergency), started(5)] == told
    assert told[1].due_at < NOW


def test_almost_everything_is_optional():
    told = ReceiveReport(source="anonymous", centre=HANOI, received_at=NOW, contacts=[], children=[], alleged=[], emergency=False,
                         procedures=[])  # fmt: skip
    assert "screening" == given().when(told).told[1].clock
    assert told.story is None


def test_a_report_belongs_to_the_story_of_its_first_contact():
    assert CONTACT == ReceiveReport(**REPORT).story


def test_a_report_cannot_be_received_in_the_future():
    given().when(ReceiveReport(**REPORT | {"received_at": NOW + MINUTE})).refused("future-receipt")


def test_an_incident_cannot_lie_in_the_future():
    given().when(ReceiveReport(**REPORT | {"incident_at": NOW + MINUTE})).refused("in-the-future")


def test_a_report_is_received_once():
    given(ReportReceived(owner="officer-7", **REPORT)).when(ReceiveReport(**REPORT)).refused("already-received")


@pytest.mark.parametrize("ground", codes("ground"))
def test_no_emergency_is_switched_off_where_a_ground_of_article_31_1_is_given(ground):
    endangered = CHILD.model_copy(update={"grounds": [ground]})
    given().when(ReceiveReport(**REPORT | {"children": [endangered]})).refused("emergency-cannot-be-off")
    assert given().when(ReceiveReport(**REPORT | {"children": [endangered], "emergency": True})).told[0].emergency


@pytest.mark.parametrize("relation", ["father", "mother", "carer", "step_parent", "guardian", "art_31_1"])
def test_a_father_mother_or_carer_who_is_the_alleged_perpetrator_makes_an_emergency_whatever_the_risk(relation):
    alleged = [Alleged(person_id=HUNG, relation_to_child=relation)]
    given().when(ReceiveReport(**REPORT | {"alleged": alleged})).refused("emergency-cannot-be-off")
    given().when(ReceiveReport(**REPORT | {"alleged": alleged, "children": []})).refused("emergency-cannot-be-off")


@pytest.mark.parametrize("relation", [None, "neighbour", "teacher", "stranger", "unknown"])
def test_another_alleged_perpetrator_alone_makes_no_emergency(relation):
    alleged = [Alleged(person_id=HUNG, relation_to_child=relation)]
    assert not given().when(ReceiveReport(**REPORT | {"alleged": alleged})).told[0].emergency


@pytest.mark.parametrize(("age_band", "protected"), [("unknown", True), ("under_7", True), ("16_17", False), ("adult", False)])
def test_article_31_1_protects_children_under_16_and_in_doubt_somebody_is_a_child(age_band, protected):
    body = REPORT | {
        "children": [CHILD.model_copy(update={"age_band": age_band})],
        "alleged": [Alleged(person_id=HUNG, relation_to_child="father")],
        "procedures": [],
    }
    outcome = given().when(ReceiveReport(**body))
    if protected:
        outcome.refused("emergency-cannot-be-off")
    else:
        assert not outcome.told[0].emergency


@pytest.mark.parametrize(
    "twice",
    [
        {"children": [CHILD, CHILD]},
        {"alleged": [Alleged(person_id=TI)]},
        {"informant": Informant(person_id=TI, agrees_to_be_named=False)},
    ],
)
def test_each_mention_of_a_person_has_its_own_key_so_that_it_can_be_forgotten_alone(twice):
    given().when(ReceiveReport(**REPORT | twice)).refused("person-named-twice", persons=[TI])


def test_a_report_with_all_kinds_of_people_is_told_as_it_was_said():
    full = REPORT | {
        "alleged": [Alleged(person_id=HUNG, relation_to_child="step_parent", name="Giả Văn Hung")],
        "informant": Informant(person_id=LANG, agrees_to_be_named=True, name="Thử Văn Láng", phone="0320000017"),
        "emergency": True,
    }
    assert ReportReceived(owner="officer-7", **full) == given().when(ReceiveReport(**full)).told[0]


def test_the_state_of_a_record_holds_no_personal_text():
    state = given(ReportReceived(owner="officer-7", **REPORT)).state
    assert "Tí" not in repr(state)
    assert [TI] == list(state.children)


def test_what_is_for_a_contact_is_not_found_on_a_record():
    given(ReportReceived(owner="officer-7", **REPORT)).when(AnswerContact()).refused("not-found")

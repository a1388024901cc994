"""A case opens once, and the law's clocks run from the receipt of the information."""

from datetime import UTC, datetime, timedelta
from functools import partial

from contracts.cases import ClockStarted
from services.cases.domain import decide, evolve
from services.cases.test_samples import COMMUNE, DESK, HEALTH, LEAD, OTHER_COMMUNE, RECEIVED, asked, opened
from tests.given import given as any_given

given = partial(any_given, decide=decide, evolve=evolve)
HANDOVER = ClockStarted(
    clock="handover",
    rule="handover@2017-07-01",
    counted_from=RECEIVED,
    due_at=RECEIVED + timedelta(minutes=15),
    responsible=DESK,
    tell=[DESK],
)


def test_a_case_is_led_by_the_commune_of_the_incident_and_the_line_owes_it_the_hand_over_from_the_receipt_on():
    given().when(asked()).then(opened(), HANDOVER)


def test_the_commune_of_the_incident_leads_even_if_the_child_lives_elsewhere():
    case, _ = given().when(asked(residence_commune=OTHER_COMMUNE)).told
    assert (COMMUNE, OTHER_COMMUNE) == (case.lead, case.residence_commune)


def test_an_emergency_starts_the_twelve_hours_which_the_commune_owes_and_desk_and_province_hear_of():
    given().when(asked(emergency=True)).then(
        opened(emergency=True),
        HANDOVER,
        ClockStarted(
            clock="emergency",
            rule="emergency@2017-07-01",
            counted_from=RECEIVED,
            due_at=RECEIVED + timedelta(hours=12),
            responsible=LEAD,
            tell=[LEAD, DESK, HEALTH],
        ),
    )


def test_the_twelve_hours_run_through_the_night_and_the_tet_holidays():
    received_at = datetime(2026, 2, 16, 15, 40, tzinfo=UTC)  # 22:40 on the eve of Tết
    clocks = {fact.clock: fact for fact in given().when(asked(emergency=True, received_at=received_at)).told[1:]}
    assert datetime(2026, 2, 17, 3, 40, tzinfo=UTC) == clocks["emergency"].due_at


def test_the_twelve_hours_run_whatever_the_risk_and_the_procedure():
    told = given().when(asked(emergency=True, risk="low", procedures=["trafficking"])).told
    assert ["handover", "emergency"] == [fact.clock for fact in told[1:]]


def test_a_due_time_that_has_passed_already_stands_as_it_is():
    _, handover = given().when(asked(), at=RECEIVED + timedelta(days=2)).told
    assert RECEIVED + timedelta(minutes=15) == handover.due_at


def test_a_case_is_opened_once():
    given(opened()).when(asked()).refused("already-open")

"""Screening, and the cases that come of it, as given, when, then."""

from datetime import timedelta
from functools import partial
from itertools import product
from uuid import UUID

import pytest

from contracts.codes import codes
from contracts.intake import CaseLinked, ClockBreached, ClockMet, ClockStarted, ReportReceived, ReportScreened
from contracts.shapes import Addressee, Child, ScreenedChild
from services.intake.domain import decide, evolve
from services.intake.domain.screening import EVERY_AGE, FITS, LinkCase, ScreenReport, ToScreen
from tests.given import NOW, STREAM
from tests.given import given as any_given

given = partial(any_given, decide=decide, evolve=evolve)
MINUTE = timedelta(minutes=1)
HANOI, SUOI_MAU, CAU_MAU, TINH_MAU = "hanoi@2025-07-01", "99801@2025-07-01", "99803@2025-07-01", "98@2025-07-01"
CA, HAI, BA, CASE_CA, CASE_HAI = (UUID(int=n) for n in (2, 3, 4, 12, 13))
DESK = Addressee(role="supervisor_desk", place=HANOI)
OPERATORS = Addressee(role="operator_desk", place=HANOI)
COMMUNE = Addressee(role="commune_pc", place=SUOI_MAU)
HEALTH = Addressee(role="province_health", place=TINH_MAU)
POLICE = Addressee(role="police", place=SUOI_MAU)
PLACES = {"centre": HANOI, "incident_commune": SUOI_MAU, "residence_commune": SUOI_MAU}
RECEIVED_AT = NOW - 10 * MINUTE


def child(child_id: UUID, age_band: str = "7_15") -> Child:
    return Child(child_id=child_id, age_band=age_band, age_basis="stated", sex="unknown")


def reported(*children: Child, **different) -> ReportReceived:
    body = {"emergency": False, "procedures": ["child_protection"], **PLACES} | different
    return ReportReceived(
        contacts=[], source="relative", owner="officer-7", received_at=RECEIVED_AT, children=children, alleged=[], **body
    )


def screening(**different) -> ScreenReport:
    body = {
        "decision": "open_case",
        "risk": "medium",
        "protection_level": "SUPPORT",
        "emergency": False,
        "procedures": ["child_protection"],
        "send_to": [COMMUNE, HEALTH],
    }
    return ScreenReport(**body | different)


def screened(*children: UUID, **different) -> ReportScreened:
    body = {
        "decision": "open_case",
        "risk": "medium",
        "protection_level": "SUPPORT",
        "emergency": False,
        "procedures": ["child_protection"],
        "send_to": [COMMUNE, HEALTH],
        "quick_report": False,
        **PLACES,
    }
    listed = [ScreenedChild(child_id=one, age_band="7_15", age_basis="stated") for one in children]
    return ReportScreened(**{"received_at": RECEIVED_AT, "children": listed} | body | different)


def started(clock: str, desk: Addressee, counted_from, due_at) -> ClockStarted:
    rule = f"{clock.partition('/')[0]}@2025-07-01"
    return ClockStarted(clock=clock, rule=rule, counted_from=counted_from, due_at=due_at, responsible=desk, tell=[desk])


SCREENING = started("screening", DESK, RECEIVED_AT, RECEIVED_AT + 30 * MINUTE)
OPENING = started("case-opened", OPERATORS, NOW, NOW + MINUTE)
SCREENING_MET = ClockMet(clock="screening", met_at=NOW, late=False)
NOT_A_CASE = {"decision": "information", "procedures": [], "send_to": []}


# -- deciding --------------------------------------------------------------------------------------------------------------


def test_a_screening_opens_a_case_for_each_child_within_a_minute():
    outcome = given(reported(child(CA), child(HAI)), SCREENING).when(screening())
    outcome.then(screened(CA, HAI), SCREENING_MET, OPENING)


def test_a_screening_at_the_due_instant_is_in_time_and_one_told_later_counts_when_it_happened():
    due = RECEIVED_AT + 30 * MINUTE
    for at, late in ((due, False), (due + MINUTE, True)):
        told = given(reported(child(CA)), SCREENING).when(screening(occurred_at=at), at=due + 5 * MINUTE).told
        assert ClockMet(clock="screening", met_at=at, late=late) == told[2 if late else 1]  # late: beside its breach


def test_the_note_about_a_child_is_sealed_under_that_child():
    told = given(reported(child(CA))).when(screening(children=[ToScreen(child_id=CA, note="Em Mẫu ở nhà một mình")])).told
    assert "Em Mẫu ở nhà một mình" == told[0].children[0].note
    assert {"note": "child_id"} == type(told[0].children[0]).personal


def test_a_place_learnt_while_screening_takes_the_place_of_the_reports():
    health = [Addressee(role="commune_pc", place=CAU_MAU), HEALTH]
    wanted = screening(incident_commune=CAU_MAU, residence_commune=CAU_MAU, send_to=health)
    told = given(reported(child(CA), incident_commune=None, residence_commune=None)).when(wanted).told
    assert (CAU_MAU, CAU_MAU) == (told[0].incident_commune, told[0].residence_commune)


def test_an_addressee_named_twice_is_told_once():
    twice = [COMMUNE, HEALTH, POLICE, COMMUNE]
    assert [COMMUNE, HEALTH, POLICE] == given(reported(child(CA))).when(screening(send_to=twice)).told[0].send_to


@pytest.mark.parametrize("decision", ["counselling", "information", "not_protection"])
def test_a_report_that_is_no_case_is_screened_without_place_procedure_or_addressee(decision):
    wanted = screening(**NOT_A_CASE | {"decision": decision, "reason": "advice was enough"})
    nothing = {"incident_commune": None, "residence_commune": None}
    told = given(reported(child(CA), **nothing), SCREENING).when(wanted).told
    assert [(ReportScreened, decision), (ClockMet, None)] == [(type(f), getattr(f, "decision", None)) for f in told]


def test_a_report_without_children_is_screened_once():
    history = reported(), SCREENING
    told = given(*history).when(screening(**NOT_A_CASE)).told
    assert [] == told[0].children
    given(*history, *told).when(screening(**NOT_A_CASE)).refused("nothing-to-screen")


def test_what_has_not_been_decided_yet_cannot_have_been_decided_tomorrow():
    given(reported(child(CA))).when(screening(occurred_at=NOW + MINUTE)).refused("in-the-future")


# -- some children first ---------------------------------------------------------------------------------------------------


def test_while_a_child_is_undecided_the_screening_is_still_owed():
    one = screening(children=[ToScreen(child_id=CA)])
    given(reported(child(CA), child(HAI)), SCREENING).when(one).then(screened(CA), OPENING)


def test_the_children_left_are_screened_by_the_next_and_their_cases_have_a_clock_of_their_own():
    history = reported(child(CA), child(HAI)), SCREENING, screened(CA), OPENING
    second = started("case-opened/2", OPERATORS, NOW, NOW + MINUTE)
    given(*history).when(screening()).then(screened(HAI), SCREENING_MET, second)


def test_children_decided_about_one_by_one_stay_decided():
    history = reported(child(CA), child(HAI), child(BA)), screened(CA), screened(HAI), screened(BA)
    given(*history).when(screening(children=[ToScreen(child_id=CA)])).refused("nothing-to-screen", children=[CA])
    assert "case-opened/4" == given(*history).state.opening_clock


def test_a_later_opening_does_not_heal_the_breach_of_an_earlier_one():
    breach = ClockBreached(clock="case-opened", due_at=NOW + MINUTE, responsible=OPERATORS, tell=[OPERATORS])
    history = given(reported(child(CA), child(HAI)), SCREENING, screened(CA), OPENING, breach)
    told = history.when(screening(), at=NOW + 2 * MINUTE).told
    after = given(reported(child(CA), child(HAI)), SCREENING, screened(CA), OPENING, breach, *told).state
    assert {"case-opened": True, "case-opened/2": False} == {name: clock.breached for name, clock in after.clocks.items()}


def test_siblings_of_whom_one_is_16_are_screened_apart_each_under_its_procedure():
    history = reported(child(CA), child(HAI, "16_17"))
    given(history).when(screening()).refused("procedure-does-not-fit-age", unfit={"child_protection": [HAI]})
    young = given(history).when(screening(children=[ToScreen(child_id=CA)])).told
    told = given(history, *young).when(screening(procedures=["minor_help"])).told
    assert [HAI] == [one.child_id for one in told[0].children]


def test_an_emergency_found_for_one_child_is_not_one_for_its_sibling():
    at_once = screening(children=[ToScreen(child_id=CA)], emergency=True)
    first = given(reported(child(CA), child(HAI))).when(at_once).told
    assert not given(reported(child(CA), child(HAI)), *first).when(screening()).told[0].emergency


# -- refusals --------------------------------------------------------------------------------------------------------------


def test_children_who_were_decided_about_are_not_screened_again():
    given(reported(child(CA)), screened(CA)).when(screening()).refused("nothing-to-screen")
    again = screening(children=[ToScreen(child_id=CA)])
    given(reported(child(CA)), screened(CA)).when(again).refused("nothing-to-screen", children=[CA])


def test_a_child_whom_nobody_reported_is_not_screened():
    stranger = screening(children=[ToScreen(child_id=HAI)])
    given(reported(child(CA))).when(stranger).refused("nothing-to-screen", children=[HAI])


def test_a_child_is_named_once():
    twice = screening(children=[ToScreen(child_id=CA), ToScreen(child_id=CA, note="x")])
    given(reported(child(CA))).when(twice).refused("person-named-twice")


def test_no_case_opens_without_a_child():
    given(reported()).when(screening()).refused("child-needed")
    given(reported(child(CA))).when(screening(children=[])).refused("child-needed")


def test_a_decision_about_nobody_is_none_while_children_wait():
    given(reported(child(CA))).when(screening(**NOT_A_CASE, children=[])).refused("nothing-to-screen")


@pytest.mark.parametrize("place", [None, TINH_MAU, HANOI, "vn@2025-07-01"])
def test_no_case_opens_without_the_commune_of_the_incident(place):
    given(reported(child(CA), incident_commune=place)).when(screening()).refused("place-needed", field="incident_commune")


def test_a_residence_that_is_no_commune_is_no_addressee():
    given(reported(child(CA), residence_commune=TINH_MAU)).when(screening()).refused("place-needed", field="residence_commune")


def test_the_table_of_ages_covers_every_procedure_and_every_age_band():
    assert set(codes("procedure")) == FITS.keys()
    assert set(codes("age_band")) == EVERY_AGE


AGES = {  # brief 4.5: under 16 or unknown, 16-17, adult
    "child_protection": (True, False, False),
    "minor_help": (False, True, False),
    "criminal": (True, True, False),
    "trafficking": (True, True, True),
    "domestic_violence": (True, True, True),
}


@pytest.mark.parametrize(("procedure", "age_band"), list(product(AGES, ["under_7", "7_15", "unknown", "16_17", "adult"])))
def test_each_procedure_protects_the_ages_its_law_names_and_unknown_is_a_child(procedure, age_band):
    fits = AGES[procedure][{"16_17": 1, "adult": 2}.get(age_band, 0)]
    everybody = screening(procedures=[procedure], send_to=[COMMUNE, HEALTH, POLICE])
    outcome = given(reported(child(CA, age_band))).when(everybody)
    if fits:
        assert age_band == outcome.told[0].children[0].age_band
    else:
        outcome.refused("procedure-does-not-fit-age", unfit={procedure: [CA]})


def test_a_case_without_a_procedure_is_none():
    given(reported(child(CA))).when(screening(procedures=[])).refused("procedure-does-not-fit-age")


def test_a_reported_emergency_is_not_switched_off_by_opening_the_case_without_it():
    given(reported(child(CA), emergency=True)).when(screening()).refused("emergency-cannot-be-off")
    assert given(reported(child(CA), emergency=True)).when(screening(emergency=True)).told[0].emergency


def test_a_reported_emergency_that_turns_out_to_be_no_matter_of_protection_is_screened_as_such():
    told = given(reported(child(CA), emergency=True)).when(screening(**NOT_A_CASE | {"decision": "not_protection"})).told
    assert "not_protection" == told[0].decision


GUARDS = "border_guard or coast_guard or commune_pc or police"


@pytest.mark.parametrize(
    ("procedures", "age_band", "send_to", "missing"),
    [
        (["child_protection"], "7_15", [], [f"commune_pc@{SUOI_MAU}", f"province_health@{TINH_MAU}"]),
        (["child_protection"], "7_15", [COMMUNE], [f"province_health@{TINH_MAU}"]),
        (["child_protection"], "7_15", [HEALTH, POLICE], [f"commune_pc@{SUOI_MAU}"]),
        (["child_protection"], "7_15", [Addressee(role="commune_pc", place=CAU_MAU), HEALTH], [f"commune_pc@{SUOI_MAU}"]),
        (["child_protection", "criminal"], "7_15", [COMMUNE, HEALTH], ["police"]),
        (["trafficking"], "adult", [HEALTH], [GUARDS]),
        (["domestic_violence"], "adult", [POLICE], ["commune_pc"]),
        (["criminal"], "16_17", [COMMUNE], ["police"]),
        (["minor_help"], "16_17", [], ["anybody"]),
    ],
)
def test_whom_a_procedure_requires_is_told_or_the_case_does_not_open(procedures, age_band, send_to, missing):
    wanted = screening(procedures=procedures, send_to=send_to)
    given(reported(child(CA, age_band))).when(wanted).refused("addressee-missing", missing=missing)


@pytest.mark.parametrize("guard", ["police", "border_guard", "coast_guard", "commune_pc"])
def test_any_of_the_guards_receives_a_report_of_trafficking(guard):
    told = [Addressee(role=guard, place=CAU_MAU)]
    assert told == given(reported(child(CA, "adult"))).when(screening(procedures=["trafficking"], send_to=told)).told[0].send_to


def test_the_commune_of_another_residence_gets_its_copy():
    elsewhere = reported(child(CA), residence_commune=CAU_MAU)
    given(elsewhere).when(screening()).refused("addressee-missing", missing=[f"commune_pc@{CAU_MAU}"])
    copy = Addressee(role="commune_pc", place=CAU_MAU)
    assert copy in given(elsewhere).when(screening(send_to=[COMMUNE, HEALTH, copy])).told[0].send_to


def test_addressees_without_a_case_would_wait_for_a_hand_off_that_nobody_sends():
    wanted = screening(**NOT_A_CASE | {"send_to": [POLICE]})
    given(reported(child(CA))).when(wanted).refused("send-to-needs-a-case")


@pytest.mark.parametrize("other", [None, STREAM])
def test_a_join_names_the_other_record(other):
    joined = screening(**NOT_A_CASE | {"decision": "join", "other": other})
    given(reported(child(CA))).when(joined).refused("which-record")


def test_a_join_is_refused_rather_than_lost_until_records_can_be_linked():
    joined = screening(**NOT_A_CASE | {"decision": "join", "other": UUID(int=77)})
    given(reported(child(CA))).when(joined).refused("join-not-available")


# -- cases -----------------------------------------------------------------------------------------------------------------

OPENED = reported(child(CA), child(HAI)), SCREENING, screened(CA, HAI), SCREENING_MET, OPENING
LINKED_CA = CaseLinked(case_id=CASE_CA, child_id=CA)


def test_the_first_of_two_cases_leaves_the_clock_running():
    given(*OPENED).when(LinkCase(case_id=CASE_CA, child_id=CA)).then(LINKED_CA)


def test_the_last_case_meets_the_clock_at_the_instant_it_was_opened():
    last = LinkCase(case_id=CASE_HAI, child_id=HAI, occurred_at=NOW + timedelta(seconds=40))
    met = ClockMet(clock="case-opened", met_at=NOW + timedelta(seconds=40), late=False)
    linked = CaseLinked(case_id=CASE_HAI, child_id=HAI)
    given(*OPENED, LINKED_CA).when(last, at=NOW + timedelta(hours=3)).then(linked, met)


def test_the_same_case_linked_again_changes_nothing():
    given(*OPENED, LINKED_CA).when(LinkCase(case_id=CASE_CA, child_id=CA)).then_nothing()


def test_a_case_of_a_child_who_is_not_on_the_record_is_not_linked():
    given(*OPENED).when(LinkCase(case_id=CASE_CA, child_id=UUID(int=99))).refused("not-found")


def test_each_opening_is_met_by_the_cases_of_its_own_children():
    second = started("case-opened/2", OPERATORS, NOW, NOW + MINUTE)
    history = reported(child(CA), child(HAI)), SCREENING, screened(CA), OPENING, screened(HAI), SCREENING_MET, second
    told = given(*history).when(LinkCase(case_id=CASE_HAI, child_id=HAI)).told
    assert ["case-opened/2"] == [fact.clock for fact in told if isinstance(fact, ClockMet)]

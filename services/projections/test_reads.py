"""A read is a fact; who may read is a table: every view of `contracts/roles.yaml` × role × relation."""

from functools import partial

import pytest

from chassis.commands import NotFound
from chassis.identity import Actor, Capacity, roles
from chassis.problems import Problem
from contracts.clocks import BreachClock, WaiveClock
from contracts.kernel import Command
from contracts.projections import CaseRead, ClockBreached, ClockStarted, ClockWaived, ReadRefused
from services.projections.policy import Standing, permitted, reader_of, relations
from services.projections.reads import RecordRead, RecordRefusal, decide, evolve
from services.projections.test_samples import CAU, DESK, HANOI, T0, TINH, XA
from tests.given import given as any_given

given = partial(any_given, decide=decide, evolve=evolve)
READ = RecordRead(kind="case", view="file", purpose="duty", shown="cases:1")
WAS_READ = CaseRead(kind="case", view="file", purpose="duty", reason=None, shown="cases:1")
OVERDUE = ClockStarted(
    clock="glass-review", rule="glass-review@2025-07-01", counted_from=T0, due_at=T0, responsible=DESK, tell=[DESK]
)
CASE = Standing("case", owner="me", lead=XA, incident=XA, residence=CAU, provinces=(TINH,))
HAND_OFF = Standing("hand_off", lead=XA, addressee=f"police@{XA}", provinces=(TINH,))


def test_every_read_is_told_again_however_often_it_happens():
    given().when(READ).then(WAS_READ)
    given(WAS_READ, WAS_READ).when(READ).then(WAS_READ)


def test_every_refusal_is_told_again_whether_or_not_there_is_such_a_file():
    asked = RecordRefusal(route="/projections/v1/cases/{id}", code="not-found")
    refused = ReadRefused(route="/projections/v1/cases/{id}", code="not-found")
    given().when(asked).then(refused)
    given(WAS_READ, refused).when(asked).then(refused)
    assert (1, 1) == (given(WAS_READ, refused).state.times, given(WAS_READ, refused).state.refused)


def test_a_clock_on_a_read_is_breached_once_and_waived_by_two():
    breached = ClockBreached(clock="glass-review", due_at=T0, responsible=DESK, tell=[DESK])
    at = T0.replace(year=2027)
    given(WAS_READ, OVERDUE).when(BreachClock(clock="glass-review"), at=at).then(breached)
    given(WAS_READ, OVERDUE, breached).when(BreachClock(clock="glass-review"), at=at).then_nothing()
    waiver = WaiveClock(clock="glass-review", reason="wrong_entry", approved_by="DL-01")
    given(WAS_READ, OVERDUE).when(waiver).then(ClockWaived(clock="glass-review", reason="wrong_entry", approved_by="DL-01"))
    given(WAS_READ, OVERDUE).when(waiver, by="DL-01").refused("own-waiver")


def test_a_command_of_another_service_is_none_of_ours():
    with pytest.raises(NotImplementedError):
        decide(Command(), None)


@pytest.mark.parametrize(
    ("capacity", "held"),
    [
        (Capacity("me", "counsellor"), {"line", "own"}),
        (Capacity("you", "supervisor"), {"line"}),
        (Capacity("you", "commune_officer", XA), {"lead", "incident"}),
        (Capacity("you", "commune_chair", CAU), {"incident"}),
        (Capacity("you", "commune_chair", HANOI), set()),
        (Capacity("you", "provincial_officer", TINH), {"province"}),
        (Capacity("you", "provincial_officer", "01@2025-07-01"), set()),
        (Capacity("you", "auditor"), set()),
        (Capacity("you", "commune_officer"), set()),
    ],
)
def test_how_somebody_stands_to_a_case(capacity, held):
    assert held == relations(CASE, capacity)


def test_how_somebody_stands_to_a_hand_off():
    police = Capacity("you", "agency_user", agency=f"police@{XA}")
    assert {"addressed", "agency"} == relations(HAND_OFF, police)
    assert set() == relations(HAND_OFF, Capacity("you", "agency_user", agency=f"police@{CAU}"))
    assert set() == relations(Standing("hand_off"), Capacity("you", "agency_user"))
    assert {"line"} == relations(None, Capacity("me", "counsellor"))


EVERY = {
    "counsellor": Capacity("me", "counsellor"),
    "supervisor": Capacity("you", "supervisor"),
    "commune_officer": Capacity("you", "commune_officer", XA),
    "commune_chair": Capacity("you", "commune_chair", XA),
    "provincial_officer": Capacity("you", "provincial_officer", TINH),
    "agency_user": Capacity("you", "agency_user", agency=f"police@{XA}"),
    "therapist": Capacity("you", "therapist"),
    "data_officer": Capacity("you", "data_officer"),
    "auditor": Capacity("you", "auditor"),
    "researcher": Capacity("you", "researcher"),
    "operator": Capacity("you", "operator"),
}
MAY = {
    "file": {"counsellor", "supervisor", "commune_officer", "commune_chair", "provincial_officer"},
    "timeline": {"counsellor", "supervisor", "commune_officer", "commune_chair", "provincial_officer"},
    "as_of": {"counsellor", "supervisor", "commune_officer", "commune_chair", "provincial_officer", "auditor"},
    "clear_part": {"auditor"},
    "informant": {"counsellor", "supervisor", "data_officer"},
    "person_reads": {"data_officer", "auditor"},
    "search": {"counsellor", "supervisor", "commune_officer", "commune_chair", "provincial_officer"},
    "searches": {"data_officer", "auditor"},
    "reads": {"counsellor", "supervisor", "commune_officer", "commune_chair", "provincial_officer", "data_officer", "auditor"},
}


@pytest.mark.parametrize("view", sorted(MAY))
def test_a_case_is_read_by_exactly_these_roles_where_the_relation_holds(view):
    assert set(roles()["roles"]) - set(EVERY) == {"system", "link"}
    assert MAY[view] == {role for role, one in EVERY.items() if permitted(Actor(one.subject, (one,)), view, CASE)}


@pytest.mark.parametrize("view", ["file", "timeline", "as_of", "informant", "search"])
def test_a_stranger_of_the_same_roles_reads_nothing_but_what_is_the_whole_lines(view):
    elsewhere = Standing("case", owner="somebody", lead=HANOI, incident=HANOI, provinces=())
    local = ("commune_officer", "commune_chair", "provincial_officer", "agency_user")
    assert [] == [role for role in local if permitted(Actor("you", (EVERY[role],)), view, elsewhere)]


def test_nobody_who_may_search_may_see_who_is_restricted():
    """The index holds nobody who is restricted, so no role may need it to."""
    assert not roles()["views"]["search"].keys() & roles()["views"]["restricted"].keys()


def test_a_hand_off_is_read_by_its_addressee_and_the_line():
    assert {"counsellor", "supervisor", "agency_user"} == {
        role for role, one in EVERY.items() if permitted(Actor(one.subject, (one,)), "hand_off", HAND_OFF)
    }


def test_unknown_and_not_yours_look_alike_and_a_role_without_the_view_is_told_so():
    chair = Actor("you", (EVERY["commune_chair"],))
    with pytest.raises(NotFound):
        reader_of(chair, ("file",), None)
    with pytest.raises(NotFound):
        reader_of(chair, ("file",), Standing("case", lead=HANOI))
    with pytest.raises(Problem) as refused:
        reader_of(Actor("you", (EVERY["researcher"],)), ("file", "clear_part"), CASE)
    assert 403 == refused.value.status
    assert "file" == reader_of(chair, ("file", "clear_part"), CASE)[1]


def test_somebody_with_two_roles_reads_in_the_one_that_may():
    both = Actor("you", (EVERY["therapist"], EVERY["auditor"], EVERY["commune_chair"]))
    assert ("commune_chair", "file") == (reader_of(both, ("file", "clear_part"), CASE)[0].role, "file")

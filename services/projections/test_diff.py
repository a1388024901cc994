"""What changed between two instants, who changed it, and beside each decision what was on the screen and which rule applied."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.projections import CaseRead
from services.projections.test_samples import CHILD_NAME, GOALS, Ids, Tape, approved, measure, opened, plan
from services.projections.test_world import AUDITOR, CHAIR, DATA, ELSEWHERE, problem
from services.projections.views import diff
from services.projections.views.diff import changed, differences
from services.projections.views.history import LOGS
from services.projections.views.instants import text
from services.projections.views.shown import Label
from services.projections.views.standing import standing
from services.projections.views.timeline import entries_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(2, 4) | st.sampled_from(["", "a", "a/b", "~"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "a/b", "~1"]), inner, max_size=3),
    max_leaves=12,
)


# -- field by field ------------------------------------------------------------------------------------------------------------


def told_of(value):
    """What a reader is told by a value: a field that is None is the same as none."""
    if isinstance(value, dict):
        return {name: told_of(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [told_of(inner) for inner in (value if not value or value[-1] is not None else told_of(value[:-1]))]
    return value


@given(JSON, JSON)
def test_two_values_differ_in_some_place_if_and_only_if_a_reader_is_told_something_else(before, after):
    found = list(differences(before, after))
    assert (told_of(before) == told_of(after)) == (not found)
    assert len(found) == len({each.pointer for each in found})
    assert all(each.before != each.after for each in found)


@given(JSON)
def test_nothing_differs_from_itself(value):
    assert [] == list(differences(value, value))


def test_a_difference_is_told_at_the_deepest_place_and_what_is_new_as_a_whole():
    before = {"label": {"code": "SILENT"}, "plans": [{"plan": 1}], "child": None}
    after = {"label": {"code": "CLOSED"}, "plans": [{"plan": 1}, {"plan": 2}], "child": None}
    assert [("/label/code", "SILENT", "CLOSED"), ("/plans/1", None, {"plan": 2})] == [
        tuple(each) for each in differences(before, after)
    ]
    assert [("/a~1b", 1, 2)] == [tuple(each) for each in differences({"a/b": 1}, {"a/b": 2})]
    assert [("", None, {"a": 1})] == [tuple(each) for each in differences(None, {"a": 1})]


def test_over_a_long_stretch_the_fields_are_the_same_and_who_touched_them_is_left_out(monkeypatch):
    ids, tape = Ids(5), Tape()
    tape.tell(ids.case, *opened(ids), plan(ids, 1), approved(ids, 1))
    events = tape.of(ids.case)

    def standing_of(known):
        return Label(code=standing(known).label(), vi="") if known else None

    whole = changed(events[:2], events[2:], standing_of)
    assert [("/code", "TRIAGED", "PLAN_APPROVED", ["cases:3", "cases:4"])] == [tuple(each.model_dump().values()) for each in whole]
    monkeypatch.setattr(diff, "MOST", 1)
    assert [each.model_copy(update={"by": None}) for each in whole] == changed(events[:2], events[2:], standing_of)


# -- over HTTP -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def changes(world, get):
    """The difference between two marks of the story."""

    async def ask(since, until, **headers):
        said = {"from": text(world.marks[since]), "to": text(world.marks[until])}
        answer = await get(f"/cases/{world.ids.case}/diff?from={said['from']}&to={said['to']}", **headers)
        assert (200, said["to"]) == (answer.status_code, answer.headers["hotline-instant"]), answer.text
        return answer.json()

    return ask


@pytest.mark.real
@pytest.mark.anyio
async def test_an_approval_changes_the_plan_and_the_label_and_names_the_chair_the_capacity_and_the_time(world, changes):
    found = await changes("first plan", "approved")
    by_pointer = {each["pointer"]: each for each in found["changes"]}
    label = by_pointer["/label/code"]
    assert ("PLAN_SUBMITTED", "PLAN_APPROVED") == (label["before"], label["after"])
    approval = next(each["told"] for each in found["facts"] if each["told"]["type"] == "cases.PlanApproved")
    assert [f"cases:{approval['position']}"] == label["by"]
    assert ("CT-99801", "commune_chair@99801@2025-07-01") == (approval["actor"], approval["capacity"])
    assert (None, GOALS[1]) == (by_pointer["/plans/1"]["before"], by_pointer["/plans/1"]["after"]["goals"])
    assert 2 == len(by_pointer["/plans/1"]["by"]), "it was submitted, then approved"
    assert ["cases.PlanSubmitted", "cases.PlanApproved"] == [each["told"]["type"] for each in found["facts"]]


@pytest.mark.real
@pytest.mark.anyio
async def test_the_differences_over_any_two_instants_are_exactly_the_facts_between_and_lead_from_one_file_to_the_other(world, get):
    marks, dice = list(world.marks.values()), random.Random(11)
    for _ in range(6):
        since, until = sorted(dice.sample(range(1, len(marks)), 2))
        asked = [text(marks[since]), text(marks[until])]
        files = [(await get(f"/cases/{world.ids.case}?as_of={instant}")).json() for instant in asked]
        found = (await get(f"/cases/{world.ids.case}/diff?from={asked[0]}&to={asked[1]}")).json()
        told = [(each["pointer"], each["before"], each["after"]) for each in found["changes"]]
        assert sorted(map(str, map(tuple, differences(*files)))) == sorted(map(str, told))
        assert all(each["by"] for each in found["changes"])
        new = {
            (event.log, event.position)
            for event in world.tape.events
            if marks[since][event.log] < event.position <= marks[until][event.log]
        }
        assert {(each["told"]["log"], each["told"]["position"]) for each in found["facts"]} <= new
        assert {cause for each in found["changes"] for cause in each["by"]} <= {f"{log}:{position}" for log, position in new}
        again = (await get(f"/cases/{world.ids.case}/diff?from={asked[0]}&to={asked[1]}")).json()
        assert found == again


@pytest.mark.real
@pytest.mark.anyio
async def test_before_it_was_opened_there_was_no_file_and_everything_is_new(world, get, changes):
    (whole,) = (await changes("screened", "silent"))["changes"]
    assert ("", None, CHILD_NAME) == (whole["pointer"], whole["before"], whole["after"]["child"]["name"])
    problem(
        await get(f"/cases/{world.ids.case}/diff?from={text({})}&to={text(world.marks['screened'])}"),
        404,
        "not-yet",
    )


@pytest.mark.real
@pytest.mark.anyio
async def test_nothing_changes_from_an_instant_to_itself_and_without_an_end_it_is_now(world, get, changes):
    found = await changes("closed", "closed")
    assert ([], []) == (found["changes"], found["facts"])
    world.tape.tell(world.ids.case, measure(world.ids)[0])
    await world.hear()
    now = (await get(f"/cases/{world.ids.case}/diff?from={text(world.marks['closed'])}")).json()
    assert ["cases.EmergencyMeasureApplied"] == [each["told"]["type"] for each in now["facts"]]
    assert text(world.tape.at()) == now["until"]


@pytest.mark.real
@pytest.mark.anyio
async def test_an_auditor_sees_no_sealed_word_in_a_difference_and_it_is_recorded_as_what_it_was(world, get, changes):
    found = await changes("silent", "closed", groups=AUDITOR, hotline_purpose="audit")
    assert not [word for word in (CHILD_NAME, *GOALS) if word in str(found)]
    await changes("silent", "closed", groups=CHAIR)
    assert ["clear_part", "diff"] == [read.view for read in await world.reads_of(world.ids.case)]
    path = f"/cases/{world.ids.case}/diff?from={text(world.marks['silent'])}"
    problem(await get(path, groups=ELSEWHERE), 404, "not-found")
    problem(await get(path, groups=DATA), 403, "not-allowed")


@pytest.mark.real
@pytest.mark.anyio
@pytest.mark.parametrize("asked", ["", "?from=", "?from=x", "?from=cases:1,cases:2", "?to=cases:1", "?from=cases:3&to=cases:2"])
async def test_two_instants_that_are_none_or_lie_the_wrong_way_round_are_refused(world, get, asked):
    problem(await get(f"/cases/{world.ids.case}/diff{asked}"), 400, "bad-request")
    assert [] == await world.reads_of(world.ids.case)


# -- the timeline --------------------------------------------------------------------------------------------------------------


@pytest.mark.real
@pytest.mark.anyio
async def test_beside_a_decision_stands_which_version_was_on_the_screen_and_what_that_was(world, get):
    entries = (await get(f"/cases/{world.ids.case}/timeline")).json()["entries"]
    by_type = {entry["told"]["type"]: entry for entry in entries}
    approval, submitted = by_type["cases.PlanApproved"], by_type["cases.PlanSubmitted"]
    screen = approval["screen"]
    assert approval["told"]["seen"] == screen["version"] == submitted["told"]["version"]
    assert ("PLAN_SUBMITTED", 2, "digest-2") == (screen["label"]["code"], screen["plan"], screen["digest"])
    assert f"cases:{submitted['told']['position']}" == screen["position"]
    assert (None, None) == (submitted["screen"], screen["looked"])


def test_what_a_decider_had_read_of_it_last_before_the_decision_is_named_with_the_instant_that_shows_it_again():
    ids, tape = Ids(4), Tape()
    tape.tell(ids.case, *opened(ids), plan(ids, 1))

    def read(shown, by="CT-99801", stream=ids.case, kind="case"):
        fact = CaseRead(kind=kind, view="file", purpose="duty", shown=shown)
        return tape.tell(stream, fact, by=by)

    read("cases:1")
    last_look = read("cases:3")
    read("cases:2", by="CT-OTHER")
    read("cases:2", stream=ids.record, kind="record")
    tape.tell(ids.case, approved(ids, 1), by="CT-99801", seen="3")
    read("cases:4")
    events, reads = tape.of(ids.case), [event for event in tape.events if event.log == "projections"]
    *_, approval = entries_of(events, reads, {ids.case: "case"})
    assert (last_look, "cases:3") == (approval.screen.looked.read, approval.screen.looked.shown)


@pytest.mark.real
@pytest.mark.anyio
async def test_every_clock_is_told_with_the_rule_of_its_date_and_the_decision_that_moved_it_names_it_too(world, get):
    entries = (await get(f"/cases/{world.ids.case}/timeline?by=occurred", groups=CHAIR)).json()["entries"]
    met = next(entry for entry in entries if entry["told"]["type"] == "cases.ClockMet")
    (rule,) = met["rules"]
    assert ("emergency", "emergency@2017-07-01", "Decree 56/2017 art. 26.3, 31.1") == (rule["clock"], rule["rule"], rule["law"])
    breached = next(entry for entry in entries if entry["told"]["type"] == "referrals.ClockBreached")
    assert "acknowledgement@2017-07-01" == breached["rules"][0]["rule"]
    assert set(LOGS) - {"projections"} == {entry["told"]["log"] for entry in entries}

"""Parked facts folded late, or given up: afterwards the tables are what they would be had nothing ever been parked."""

import pytest

from chassis.follow import Follower
from chassis.parked import parked_in_a_view
from chassis.view_rows import Told
from contracts import notifications
from services.projections.test_samples import T0, Ids, Tape, clock, closed, opened, reported, sent, stored, tell_story
from services.projections.test_world import BASE, everything, forget_everything, problem, rows, take, take_as_before, view_of
from services.projections.views.history import LOGS
from services.projections.views.instants import closed as closed_at

pytestmark = [pytest.mark.anyio, pytest.mark.real]
IDS = Ids(80)
NEWER = b'{"v":9,"meta":{"cause":"rest:1"},"fact":{}}'


def comparable(found):
    return found | {
        "heard": [row.replace("'revised': 1", "'revised': 0").replace("'revised': 2", "'revised': 0") for row in found["heard"]]
    }


async def test_facts_folded_late_leave_the_tables_as_if_nothing_had_been_parked(worker, view, postgres):
    tape = Tape()
    tell_story(tape, IDS)
    tell_story(tape, Ids(81))
    await take(view, tape)
    expected = await everything(worker)
    await forget_everything(postgres)
    await take_as_before(view_of(worker), tape, IDS.case, IDS.to_commune, IDS.contact)
    assert 0 < len(await rows(worker, "SELECT FROM parked"))
    newer = view_of(worker)
    for log, stream in (("intake", IDS.contact), ("referrals", IDS.to_commune), ("cases", IDS.case)):
        again = await newer.again(log, stream)
        assert (0, None) == again[1:]
        assert again.folded == len(tape.of(stream, log))
    assert comparable(expected) == comparable(await everything(worker))
    assert [] == await rows(worker, "SELECT FROM parked")
    await closed_at(worker.pool, tape.at())


async def test_what_still_cannot_be_digested_stays_with_a_new_reason_and_what_came_before_it_is_folded(worker, view):
    tape = Tape()
    tape.tell(IDS.case, *opened(IDS))
    stored(tape, IDS.case, NEWER, version=3)
    tape.tell(IDS.case, closed(IDS))
    await take_as_before(view, tape, IDS.case)
    assert [(1, "too new")] == await rows(worker, "SELECT position, reason FROM parked WHERE position = 1")
    again = await view_of(worker).again("cases", IDS.case)
    assert (2, 2) == again[:2]
    assert "newer than this reader" in again.reason
    assert [(3, again.reason), (4, "an earlier event of this stream is parked")] == await rows(
        worker, "SELECT position, reason FROM parked ORDER BY position"
    )
    assert [("TRIAGED", 2)] == await rows(worker, "SELECT label, version FROM work")
    assert (0, 2) == (await view_of(worker).again("cases", IDS.case))[:2]


async def test_whoever_remembers_a_stream_forgets_it_when_its_facts_were_folded_by_somebody_else(worker, view):
    tape = Tape()
    tape.tell(IDS.case, opened(IDS)[0])
    await take(view, tape, "cases")  # remembers the case as it stands
    tape.tell(IDS.case, closed(IDS))
    await take_as_before(view, tape, IDS.case)
    assert (1, 0, None) == await view_of(worker).again("cases", IDS.case)
    tape.tell(IDS.case, opened(IDS)[1])
    await take(view, tape, "cases")
    assert [("CLOSED", True, 3)] == await rows(worker, "SELECT label, done, version FROM work")


async def test_a_discarded_fact_stays_visible_and_what_it_concerns_incomplete_while_its_stream_goes_on(worker, view, reading, get):
    tape = Tape()
    for stream, facts in reported(IDS):
        tape.tell(stream, *facts)
    tape.tell(IDS.case, *opened(IDS))
    stored(tape, IDS.case, NEWER, version=3)
    tape.tell(IDS.case, closed(IDS))
    await take(view, tape)
    assert (1, 0, None) == await view.drop("cases", 3)
    assert None is await view.drop("cases", 3)
    assert [("CLOSED", 3)] == await rows(worker, "SELECT label, version FROM work WHERE id = %s", IDS.case)
    assert [(3, True)] == await rows(worker, "SELECT position, discarded_at IS NOT NULL FROM parked")
    answer = await get(f"/cases/{IDS.case}", ("supervisor",), "GS-01")
    assert (200, True) == (answer.status_code, answer.json()["incomplete"])
    board = await get("/breaches", ("supervisor",), "GS-01")
    assert 0 == board.json()["parked"]
    tape.tell(IDS.case, opened(IDS)[1])
    await take(view, tape)
    assert [(4,)] == await rows(worker, "SELECT version FROM work WHERE id = %s", IDS.case)


async def test_a_fact_whose_cause_is_not_folded_yet_is_not_folded_late_either(worker, view):
    tape = Tape()
    cause = tape.tell(IDS.case, opened(IDS)[0])
    tape.tell(IDS.to_commune, sent(IDS)[0])
    tape.tell(IDS.other_case, clock(notifications, "delivery", T0), cause=cause)
    for log in LOGS:
        await view.begin(log)
    await view.fold_all("notifications", [Told(row, "too new") for row in tape.rows["notifications"]])
    assert (0, 1, "its cause is not folded yet") == await view.again("notifications", IDS.other_case)
    await take(view, tape)
    assert (1, 0, None) == await view.again("notifications", IDS.other_case)


async def test_what_an_operator_decides_about_a_parked_fact_reaches_the_view(worker, view, reading):
    """The decision is an entry of projections' own log; the worker that follows it lets go of the fact and folds those behind it."""
    tape = Tape()
    tape.tell(IDS.case, *opened(IDS))
    stored(tape, IDS.case, NEWER, version=3)
    tape.tell(IDS.case, closed(IDS))
    await take(view, tape, "cases")
    await reading.service._born(lambda: None)  # the log speaks of itself from its first entry on
    path = f"{BASE}/parked/cases"
    early = await reading.post(f"{path}/4/retries", {"reason": "try_once_more"}, groups=("operator",))
    problem(early, 409, "earlier-is-parked")
    decided = await reading.post(f"{path}/3/discards", {"reason": "not_needed"}, groups=("operator",))
    assert decided.is_success, decided.text
    follower = Follower("tables", worker.log, worker.pool, parked_in_a_view("projections", view.again, view.drop))
    await follower.step()
    assert [(3, True)] == await rows(worker, "SELECT position, discarded_at IS NOT NULL FROM parked")
    assert [("CLOSED",)] == await rows(worker, "SELECT label FROM work WHERE id = %s", IDS.case)

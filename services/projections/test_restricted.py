"""Restricted and forgotten persons: what the views show of them, today and as of every instant."""

import pytest

from chassis.log import Row
from contracts.intake import PersonForgotten, PersonRestricted, RestrictionLifted
from services.projections.test_samples import (
    ALLEGED_NAME,
    CHILD_NAME,
    DAY,
    GOALS,
    HANDLE,
    INFORMANT_NAME,
    SIBLING_NAME,
    T0,
    TAKER_NAME,
)
from services.projections.test_world import CHAIR, DATA, POLICE, PROVINCE, SUPERVISOR, problem, rows
from services.projections.views.instants import text

pytestmark = [pytest.mark.anyio, pytest.mark.real]
RESTRICTED = PersonRestricted(basis="hold")
FORGOTTEN = PersonForgotten(decision="12/QĐ", destroyed_at=T0)


async def told(world, person, *facts):
    """What intake says of a person, heard."""
    world.tape.tell(person, *facts, by="DL-01", as_="data_officer")
    await world.hear()


def paths(world):
    ids = world.ids
    files = [f"/cases/{ids.case}", f"/records/{ids.record}", f"/contacts/{ids.contact}", f"/cases/{ids.case}/timeline"]
    return [*files, f"/hand-offs/{ids.to_commune}", f"/hand-offs/{ids.to_police}", f"/cases/{ids.other_case}"]


async def shown(get, world, as_of="", **asked):
    """Everything that these eyes see of the story."""
    answers = [await get(f"{path}{as_of}", **asked) for path in paths(world)]
    return "".join(answer.text for answer in answers if answer.is_success)


async def test_a_restricted_child_is_shown_to_nobody_who_may_read_the_file_and_everybody_else_is(world, get):
    await told(world, world.ids.child, RESTRICTED)
    for groups in (SUPERVISOR, CHAIR, PROVINCE, POLICE):
        seen = await shown(get, world, groups=groups)
        assert [] == [word for word in (CHILD_NAME, *GOALS) if word in seen]
    file = (await get(f"/cases/{world.ids.case}", groups=SUPERVISOR)).json()
    assert (None, ALLEGED_NAME) == (file["child"]["name"], file["alleged"][0]["name"])
    assert [None, SIBLING_NAME] == [each["name"] for each in (await get(f"/records/{world.ids.record}")).json()["children"]]


async def test_whoever_is_restricted_today_is_so_as_of_every_instant(world, get):
    await told(world, world.ids.child, RESTRICTED)
    for mark in world.marks.values():
        assert CHILD_NAME not in await shown(get, world, f"?as_of={text(mark)}", groups=SUPERVISOR)


async def test_the_data_officer_alone_sees_the_restricted_of_a_file_for_a_reason_and_nobody_else_in_it(world, get):
    await told(world, world.ids.child, RESTRICTED)
    path = f"/cases/{world.ids.case}?view=restricted"
    problem(await get(path, groups=DATA), 400, "bad-request")
    file = (await get(path, groups=DATA, who="DL-01", hotline_reason="data_subject")).json()
    assert (CHILD_NAME, None) == (file["child"]["name"], file["alleged"][0]["name"])
    record = (await get(f"/records/{world.ids.record}?view=restricted", groups=DATA, hotline_reason="data_subject")).json()
    assert [CHILD_NAME, None] == [each["name"] for each in record["children"]]
    for groups in (SUPERVISOR, CHAIR, ("auditor",)):
        problem(await get(path, groups=groups, hotline_reason="data_subject"), 403, "not-allowed")
    assert [("restricted", "data_subject")] == [(read.view, read.reason) for read in await world.reads_of(world.ids.case)]


async def test_a_restricted_informant_and_caller_are_known_to_the_data_officer_alone(world, get):
    await told(world, world.ids.informant, RESTRICTED)
    await told(world, world.ids.caller, RESTRICTED)
    path = f"/cases/{world.ids.case}?view=informant"
    seen = (await get(path, groups=SUPERVISOR, who="GS-01", hotline_reason="safety")).json()
    assert (None, None) == (seen["informant"]["name"], seen["callers"][0]["handle"])
    seen = (await get(path, groups=DATA, who="DL-01", hotline_reason="safety")).json()
    assert (INFORMANT_NAME, HANDLE) == (seen["informant"]["name"], seen["callers"][0]["handle"])
    assert INFORMANT_NAME not in (await get(f"/hand-offs/{world.ids.to_police}", groups=POLICE)).text


async def test_who_is_no_longer_restricted_is_shown_again_and_with_nobody_restricted_the_view_is_empty(world, get):
    await told(world, world.ids.child, RESTRICTED, RestrictionLifted(reason="settled"))
    assert CHILD_NAME == (await get(f"/cases/{world.ids.case}")).json()["child"]["name"]
    empty = await get(f"/cases/{world.ids.case}?view=restricted", groups=DATA, hotline_reason="data_subject")
    assert (200, None) == (empty.status_code, empty.json()["child"]["name"])


async def test_in_doubt_a_person_is_restricted(world, get):
    """What intake said of the person cannot be read by this build."""
    newer = Row(
        world.ids.child, 1, RESTRICTED.TOPIC, b'{"v":9,"meta":{},"fact":{}}', len(world.tape.rows["intake"]) + 1, T0 + 30 * DAY
    )
    world.tape.put("intake", newer)
    await world.hear()
    assert 1 == len(await rows(world.worker, "SELECT FROM parked WHERE stream = %s", world.ids.child))
    assert (await get(f"/cases/{world.ids.case}")).json()["child"]["name"] is None


async def test_a_forgotten_person_is_gone_as_soon_as_it_is_heard_whatever_keys_this_process_remembers(world, get):
    """The key is still there and in the cache of the API, which hears no topic."""
    assert CHILD_NAME in (await get(f"/cases/{world.ids.case}")).text
    await told(world, world.ids.child, RESTRICTED, FORGOTTEN)
    await told(world, world.ids.taker, FORGOTTEN)
    for as_of in ("", *(f"?as_of={text(mark)}" for mark in world.marks.values())):
        seen = await shown(get, world, as_of, groups=SUPERVISOR)
        assert [] == [word for word in (CHILD_NAME, TAKER_NAME, *GOALS) if word in seen]
        assert as_of or (ALLEGED_NAME in seen and SIBLING_NAME in seen)
    seen = await get(f"/cases/{world.ids.case}?view=restricted", groups=DATA, hotline_reason="data_subject")
    assert (200, None) == (seen.status_code, seen.json()["child"]["name"])

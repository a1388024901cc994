"""Route × role × foreign object: who may not see it is answered like somebody who asks for nothing, and that they asked is recorded."""

from uuid import uuid4

import psycopg
import pytest

from chassis.identity import roles
from services.projections.test_samples import CAU, CHILD_NAME
from services.projections.test_world import AUDITOR, ELSEWHERE, POLICE, problem
from services.projections.views.instants import text
from tests.test_matrix import GROUPS

pytestmark = [pytest.mark.anyio, pytest.mark.real]
STRANGERS = GROUPS | {
    "commune_officer": f"commune_officer:{CAU}",
    "commune_chair": f"commune_chair:{CAU}",
    "provincial_officer": "provincial_officer:01@2025-07-01",
    "agency_user": f"agency:police@{CAU}",
}
"""Everybody from elsewhere; the line and those without a place are the same everywhere."""
FILE = ("file", "clear_part")
ROUTES = {
    "/cases/{id}": ("case", FILE),
    "/cases/{id}?view=informant": ("case", ("informant",)),
    "/cases/{id}?as_of=cases:0": ("case", FILE),
    "/cases/{id}/timeline": ("case", ("timeline", "clear_part")),
    "/cases/{id}/diff?from=cases:0": ("case", FILE),
    "/cases/{id}/reads": ("case", ("reads",)),
    "/records/{id}": ("record", FILE),
    "/records/{id}?view=informant": ("record", ("informant",)),
    "/contacts/{id}": ("contact", FILE),
    "/contacts/{id}?view=informant": ("contact", ("informant",)),
    "/hand-offs/{id}": ("to_commune", ("hand_off", "clear_part")),
    "/persons/{id}/reads": ("child", ("person_reads",)),
}
"""Route → whose, and the views of which the asker gets the first that they may have."""


def expected(role, views):
    """What somebody of this role is answered who has nothing to do with it: by the table, 200, 403 or 404."""
    held = [roles()["views"][view][role] for view in views if role in roles()["views"][view]]
    if not held:
        return 403
    return 200 if {"any", "line"} & set(held) else 404


def of_file_routes(app):
    routes = {getattr(route, "path", "") for route in app.routes}
    return {path for path in routes if path.startswith("/projections/v1/") and "{id}" in path}


async def test_no_route_of_a_file_is_left_out_here(reading):
    templates = {f"/projections/v1{route.partition('?')[0]}" for route in ROUTES}
    assert {path for path in of_file_routes(reading.service.app) if "audit" not in path} == templates


@pytest.mark.parametrize("route", ROUTES)
async def test_every_stranger_is_refused_a_foreign_file_exactly_as_one_that_does_not_exist_and_each_time_once_recorded(
    world, get, route
):
    whose, views = ROUTES[route]
    theirs, nobodys, refused = getattr(world.ids, whose), uuid4(), []
    for role, group in STRANGERS.items():
        asked = {"groups": (group,), "who": f"stranger-{role}", "hotline_reason": "safety"}
        answer = await get(route.format(id=theirs), **asked)
        unknown = await get(route.format(id=nobodys), **asked)
        status = expected(role, views)
        if status == 200:  # of an instant before the case not even those who may see it see anything
            assert answer.status_code in ((404,) if "as_of" in route else (200,)), (role, answer.text)
            problem(unknown, 404, "not-found")
        else:
            assert (status, answer.content) == (answer.status_code, unknown.content), (role, answer.text)
            refused.append((f"stranger-{role}", "not-allowed" if status == 403 else "not-found"))
    told = [each for each in await world.refusals_of(theirs) if each.fact.code != "not-yet"]
    assert refused == [(each.meta["actor"], each.fact.code) for each in told]
    assert {f"/projections/v1{route.partition('?')[0]}"} == {each.fact.route for each in told}
    assert len(STRANGERS) == len(await world.refusals_of(nobodys))


async def test_a_refusal_says_who_asked_in_which_capacities_and_which_route_and_nothing_that_was_asked(world, get):
    await get(f"/cases/{world.ids.case}?as_of={text(world.marks['silent'])}", groups=(*ELSEWHERE, "therapist"), who="CT-99803")
    (refused,) = await world.refusals_of(world.ids.case)
    assert ("CT-99803", "commune_chair@99803@2025-07-01,therapist") == (refused.meta["actor"], refused.meta["as"])
    assert {"route": "/projections/v1/cases/{id}", "code": "not-found"} == refused.fact.model_dump()
    assert [] == await world.reads_of(world.ids.case)


async def test_a_request_that_cannot_be_read_is_no_refusal_and_an_id_that_is_none_names_nothing_to_refuse(world, get):
    head = await world.worker.log.head()
    problem(await get(f"/cases/{world.ids.case}?as_of=nonsense", groups=ELSEWHERE), 400, "bad-request")
    problem(await get(f"/cases/{world.ids.case}", groups=ELSEWHERE, hotline_purpose=""), 400, "bad-request")
    problem(await get("/cases/not-an-id", groups=ELSEWHERE), 404, "not-found")
    assert head == await world.worker.log.head()


async def test_a_refusal_that_cannot_be_recorded_is_answered_with_nothing_but_try_again(world, get, postgres):
    right = "EXECUTE ON FUNCTION append"
    with psycopg.connect(postgres.uri("projections"), autocommit=True) as db:
        db.execute(f"REVOKE {right} FROM projections_api")
        try:
            answers = [await get(f"/cases/{world.ids.case}", groups=groups) for groups in (ELSEWHERE, POLICE, ("counsellor",))]
        finally:
            db.execute(f"GRANT {right} TO projections_api")
    for answer in answers:
        problem(answer, 503, "try-again")
        assert CHILD_NAME not in answer.text
    assert [] == await world.refusals_of(world.ids.case)


async def test_refusals_stand_beside_the_reads_and_do_not_count_as_somebody_who_saw_it(world, get):
    await get(f"/cases/{world.ids.case}", groups=ELSEWHERE, who="CT-99803")
    await get(f"/cases/{world.ids.case}", groups=POLICE, who="CAX-99801")
    await world.hear_reads()
    answer = (await get(f"/cases/{world.ids.case}/reads", groups=AUDITOR, hotline_purpose="audit")).json()
    assert [("CT-99803", "not-found"), ("CAX-99801", "not-allowed")] == [
        (each["actor"], each["code"]) for each in answer["refusals"]
    ]
    assert ([], True) == (answer["reads"], answer["nobody"])

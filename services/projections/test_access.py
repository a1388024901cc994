"""Who sees what: the same file through the eyes of every role, and nothing at all through those of a stranger."""

from uuid import uuid4

import pytest

from services.projections.test_samples import (
    ALLEGED_NAME,
    CHILD_NAME,
    GOALS,
    HANDLE,
    INFORMANT_NAME,
    SIBLING_NAME,
    TAKER_NAME,
    WORDS,
)
from services.projections.test_world import AUDITOR, BASE, CHAIR, DATA, ELSEWHERE, OFFICER, POLICE, PROVINCE, SUPERVISOR, problem
from services.projections.views.instants import text

pytestmark = [pytest.mark.anyio, pytest.mark.real]


@pytest.mark.parametrize("path", ["/cases/{case}", "/cases/{case}/timeline", "/cases/{case}/reads", "/records/{record}"])
async def test_a_file_of_another_commune_looks_exactly_like_one_that_does_not_exist(world, get, path):
    theirs = await get(path.format(case=world.ids.case, record=world.ids.record), groups=ELSEWHERE)
    nobodys = await get(path.format(case=uuid4(), record=uuid4()), groups=ELSEWHERE)
    problem(theirs, 404, "not-found")
    assert (theirs.content, nobodys.status_code) == (nobodys.content, 404)
    assert [] == await world.reads_of(world.ids.case)


@pytest.mark.parametrize("groups", [CHAIR, OFFICER, PROVINCE, SUPERVISOR])
async def test_the_lead_commune_its_province_and_the_line_read_the_file(world, get, groups):
    assert CHILD_NAME == (await get(f"/cases/{world.ids.case}", groups=groups)).json()["child"]["name"]
    assert 200 == (await get(f"/cases/{world.ids.case}/timeline?by=occurred", groups=groups)).status_code


async def test_an_auditor_sees_the_clear_part_and_no_name(world, get):
    for path in (f"/cases/{world.ids.case}", f"/records/{world.ids.record}", f"/hand-offs/{world.ids.to_commune}"):
        answer = await get(path, groups=AUDITOR, hotline_purpose="audit")
        assert 200 == answer.status_code
        names = (CHILD_NAME, SIBLING_NAME, ALLEGED_NAME, INFORMANT_NAME, TAKER_NAME, WORDS, *GOALS)
        assert not [name for name in names if name in answer.text]
    assert ["clear_part"] == [read.view for read in await world.reads_of(world.ids.case)]
    back = await get(f"/cases/{world.ids.case}?as_of={text(world.marks['silent'])}", groups=AUDITOR, hotline_purpose="audit")
    assert "SILENT" == back.json()["label"]["code"]


async def test_nobody_without_a_token_and_no_role_without_the_view_gets_in(world, reading, get):
    problem(await reading.http.get(f"{BASE}/cases/{world.ids.case}"), 401, "who-are-you")
    for groups in (POLICE, DATA, ("operator",)):
        problem(await get(f"/cases/{world.ids.case}", groups=groups), 403, "not-allowed")
    problem(await get("/cases/not-an-id"), 404, "not-found")


async def test_a_commune_reads_no_contact_since_its_words_may_tell_who_called(world, get):
    problem(await get(f"/contacts/{world.ids.contact}", groups=CHAIR), 404, "not-found")


async def test_the_addressee_reads_exactly_what_was_disclosed_to_it(world, get):
    police = await get(f"/hand-offs/{world.ids.to_police}", groups=POLICE)
    disclosed = police.json()["disclosed"]
    assert {str(world.ids.child): {"name": CHILD_NAME}, str(world.ids.sibling): {"name": SIBLING_NAME}} == disclosed["children"]
    assert ({}, {str(world.ids.informant): {"name": INFORMANT_NAME}}) == (disclosed["alleged"], disclosed["informant"])
    commune = await get(f"/hand-offs/{world.ids.to_commune}", groups=CHAIR)
    assert {"name", "state"} == set(commune.json()["disclosed"]["children"][str(world.ids.child)])
    assert {} == commune.json()["disclosed"]["informant"]
    assert INFORMANT_NAME not in commune.text
    assert WORDS not in commune.text
    problem(await get(f"/hand-offs/{world.ids.to_commune}", groups=POLICE), 404, "not-found")


async def test_who_told_us_is_shown_to_the_owner_and_the_supervisor_for_a_reason_and_to_nobody_else(world, get):
    path = f"/cases/{world.ids.case}?view=informant"
    body = problem(await get(path), 400, "bad-request")
    assert "Hotline-Reason" == body["header"]
    problem(await get(path, hotline_reason="just so"), 400, "bad-request")
    for groups, who in ((("counsellor",), "TVV-01"), (SUPERVISOR, "GS-01"), (DATA, "DL-01")):
        shown = (await get(path, groups=groups, who=who, hotline_reason="safety")).json()
        assert (INFORMANT_NAME, HANDLE) == (shown["informant"]["name"], shown["callers"][0]["handle"])
    problem(await get(path, who="TVV-02", hotline_reason="safety"), 404, "not-found")
    problem(await get(path, groups=CHAIR, hotline_reason="safety"), 403, "not-allowed")
    assert 3 * [("informant", "safety")] == [(read.view, read.reason) for read in await world.reads_of(world.ids.case)]
    assert HANDLE in (await get(f"/contacts/{world.ids.contact}?view=informant", hotline_reason="call_back")).text
    assert INFORMANT_NAME in (await get(f"/records/{world.ids.record}?view=informant", hotline_reason="call_back")).text
    problem(await get(f"/cases/{world.ids.case}?view=everything"), 400, "bad-request")

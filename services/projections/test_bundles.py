"""Bundles: asked for by auditors, opened only if two others agree, handed over once; every step on record."""

from functools import partial
from uuid import uuid4

import pytest

from contracts.projections import BundleApproved, BundleExported, BundleRequested, CaseRead, ReadRefused
from services.projections.bundles import ApproveBundle, ExportBundle, RequestBundle, decide, evolve
from services.projections.test_world import AUDITOR, BASE, DATA, SUPERVISOR, problem
from tests.given import STREAM
from tests.given import given as any_given

given = partial(any_given, decide=decide, evolve=evolve)
ASKED = BundleRequested(case_id=STREAM, opened=False, reason="supervision", auditor="KTV-01")
OPENED = ASKED.model_copy(update={"opened": True})
FIRST, SECOND = BundleApproved(number=1, approver="GS-01"), BundleApproved(number=2, approver="DL-01")
DIGEST, INSTANT = "ab" * 32, "intake:12,cases:7,referrals:3,notifications:2,projections:9"
EXPORT = ExportBundle(digest=DIGEST, instant=INSTANT)
EXPORTED = BundleExported(digest=DIGEST, instant=INSTANT, auditor="KTV-01")


def test_a_request_names_who_asks_for_what_and_why():
    asked = RequestBundle(case_id=STREAM, reason="supervision")
    given().when(asked, by="KTV-01").then(ASKED)
    logs = RequestBundle(logs=["cases", "intake"], instant="cases:9", reason="complaint")
    told = BundleRequested(logs=["cases", "intake"], instant="cases:9", opened=False, reason="complaint", auditor="KTV-01")
    given().when(logs, by="KTV-01").then(told)


def test_a_request_for_nothing_is_refused():
    given().when(RequestBundle(reason="supervision"), by="KTV-01").refused("scope-is-empty")


def test_somebody_else_approves_and_each_is_counted_once():
    given(OPENED).when(ApproveBundle(), by="GS-01").then(FIRST)
    given(OPENED, FIRST).when(ApproveBundle(), by="DL-01").then(SECOND)
    given(OPENED, FIRST).when(ApproveBundle(), by="GS-01").then_nothing()


def test_whoever_asked_does_not_approve():
    given(OPENED).when(ApproveBundle(), by="KTV-01").refused("own-request")


def test_sealed_parts_are_not_handed_over_before_two_have_agreed():
    given(OPENED).when(EXPORT, by="KTV-01").refused("approvals-missing", needed=2, given=0)
    given(OPENED, FIRST).when(EXPORT, by="KTV-01").refused("approvals-missing", needed=2, given=1)
    given(OPENED, FIRST, SECOND).when(EXPORT, by="KTV-01").then(EXPORTED)


def test_it_is_handed_over_to_nobody_but_who_asked():
    given(OPENED, FIRST, SECOND).when(EXPORT, by="KTV-02").refused("not-your-request")
    given(ASKED).when(EXPORT, by="KTV-02").refused("not-your-request")


def test_a_bundle_without_sealed_parts_needs_no_approval():
    given(ASKED).when(EXPORT, by="KTV-01").then(EXPORTED)


def test_what_was_handed_over_is_neither_approved_nor_handed_over_again():
    given(ASKED, EXPORTED).when(EXPORT, by="KTV-01").refused("already-exported", digest=DIGEST)
    given(OPENED, FIRST, SECOND, EXPORTED).when(ApproveBundle(), by="GS-02").refused("already-exported")


def test_a_stream_of_another_kind_is_no_bundle():
    read = CaseRead(kind="case", view="file", purpose="duty", shown=INSTANT)
    given(read).when(EXPORT, by="KTV-01").refused("not-found")
    given(read).when(ApproveBundle(), by="GS-01").refused("not-found")


def test_whoever_tries_to_read_a_file_under_the_id_of_a_bundle_changes_nothing_of_it():
    read = CaseRead(kind="case", view="file", purpose="duty", shown=INSTANT)
    given(read).when(RequestBundle(case_id=STREAM, reason="supervision"), by="KTV-01").then(ASKED)
    refused = ReadRefused(route="/projections/v1/cases/{id}", code="not-found")
    given(OPENED, FIRST, read, refused, SECOND).when(EXPORT, by="KTV-01").then(EXPORTED)
    given(refused).when(RequestBundle(case_id=STREAM, reason="supervision"), by="KTV-01").then(ASKED)


# -- over HTTP ---------------------------------------------------------------------------------------------------------------

CASE = str(uuid4())
BUNDLES = f"{BASE}/bundles"


@pytest.fixture
async def asked(reading):
    """A request that stands on record."""
    body = {"case_id": CASE, "opened": True, "reason": "supervision"}
    answer = await reading.post(BUNDLES, body, who="KTV-01", groups=AUDITOR)
    assert 201 == answer.status_code, answer.text
    return f"{BUNDLES}/{answer.json()['id']}"


@pytest.mark.anyio
@pytest.mark.real
async def test_a_bundle_is_asked_for_approved_by_two_and_handed_over(reading, asked):
    export = {"digest": DIGEST, "instant": INSTANT}
    problem(await reading.post(f"{asked}/export", export, who="KTV-01", groups=AUDITOR), 409, "approvals-missing")
    problem(await reading.post(f"{asked}/approvals", {}, who="GS-01", groups=SUPERVISOR), 428, "if-match-required")
    for version, (who, groups) in enumerate((("GS-01", SUPERVISOR), ("DL-01", DATA)), 1):
        seen = await reading.get(asked, who=who, groups=groups)
        assert (f'"{version}"', "KTV-01") == (seen.headers["etag"], seen.json()["state"]["requester"])
        agreed = await reading.post(f"{asked}/approvals", {}, who=who, groups=groups, if_match=seen.headers["etag"])
        assert {"number": version, "approver": who} == agreed.json()["told"][0]["fact"]
    done = await reading.post(f"{asked}/export", export, who="KTV-01", groups=AUDITOR)
    assert DIGEST == done.json()["state"]["exported"]


@pytest.mark.anyio
@pytest.mark.real
async def test_who_is_not_concerned_learns_nothing_of_a_bundle(reading, asked):
    for groups in (("counsellor",), ("operator",), ("commune_chair:99801@2025-07-01",)):
        problem(await reading.get(asked, who="you", groups=groups), 404, "not-found")
        problem(
            await reading.post(BUNDLES, {"case_id": CASE, "reason": "supervision"}, who="you", groups=groups), 403, "not-allowed"
        )
    problem(await reading.post(f"{asked}/approvals", {}, who="KTV-02", groups=AUDITOR, if_match='"1"'), 403, "not-allowed")
    export = {"digest": DIGEST, "instant": INSTANT}
    problem(await reading.post(f"{asked}/export", export, who="GS-01", groups=SUPERVISOR), 403, "not-allowed")


@pytest.mark.anyio
@pytest.mark.real
async def test_a_requester_with_two_roles_does_not_approve_their_own(reading, asked):
    both = ("auditor", "supervisor")
    problem(await reading.post(f"{asked}/approvals", {}, who="KTV-01", groups=both, if_match='"1"'), 409, "own-request")


@pytest.mark.anyio
@pytest.mark.real
async def test_the_reads_of_a_case_are_no_bundle(world, get, reading):
    await get(f"/cases/{world.ids.case}")
    problem(await reading.get(f"{BUNDLES}/{world.ids.case}", who="KTV-01", groups=AUDITOR), 404, "not-found")


@pytest.mark.anyio
@pytest.mark.real
@pytest.mark.parametrize("wrong", [{"instant": "yesterday"}, {"logs": ["elsewhere"]}, {"reason": "curiosity"}, {"case_id": "C-1"}])
async def test_what_is_no_position_no_log_no_code_and_no_id_is_pointed_at(reading, wrong):
    body = {"case_id": CASE, "reason": "supervision"} | wrong
    answer = await reading.post(BUNDLES, body, who="KTV-01", groups=AUDITOR)
    problem(answer, 422, "invalid-command")
    assert answer.json()["errors"][0]["pointer"].startswith(f"/{next(iter(wrong))}")

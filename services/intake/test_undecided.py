"""A child of whom a report waits is not forgotten: over a real log, from the report to the case that holds the child itself."""

from uuid import UUID, uuid4

import pytest

from chassis.commands import Call
from services.intake.domain.persons import HoldForCase
from services.intake.test_erasing import ask, follow, intake
from tests.line import child, screening
from tests.test_http import CONTACT

__all__ = ["intake"]
pytestmark = [pytest.mark.anyio, pytest.mark.real]


async def told(intake, path, body, **headers):
    answer = await intake.api.post(f"/intake/v1{path}", body, **headers)
    assert answer.is_success, answer.text
    await follow(intake)
    return answer.json()


@pytest.fixture
async def reported(intake):
    """A child of whom somebody told us, and whom a data officer proposes to forget; the record, and the child."""
    contact = await told(intake, "/contacts", CONTACT)
    one = child(name="Mẫu Thị Thử")
    body = {"contacts": [contact["id"]], "source": "neighbour", "centre": CONTACT["centre"], "received_at": CONTACT["received_at"]}
    body |= {"incident_commune": "99801@2025-07-01", "residence_commune": "99801@2025-07-01", "children": [one], "alleged": []}
    record = await told(intake, "/records", body | {"emergency": False, "procedures": ["child_protection"]})
    await ask(intake, f"/persons/{one['child_id']}/erasure-requests", {"basis": "subject"})
    return record, one["child_id"]


async def approve(intake, person):
    """What the second data officer is answered."""
    await follow(intake)
    version = (await intake.api.get(f"/intake/v1/persons/{person}", "DL-02", ("data_officer",))).headers["etag"]
    path, agreed = f"/intake/v1/persons/{person}/erasure-approvals", {"decision": "12/QĐ"}
    answer = await intake.api.post(path, agreed, "DL-02", ("data_officer",), if_match=version)
    return answer.status_code, answer.json().get("type", "").rpartition(":")[2], answer.json().get("records")


async def decided(intake, record, **decision):
    body = screening(procedures=["child_protection"], emergency=False) | decision
    await told(intake, f"/records/{record['id']}/screening", body, if_match=f'"{record["version"]}"')


async def test_while_nobody_has_decided_about_the_report_the_record_is_named(intake, reported):
    record, person = reported
    assert (409, "report-undecided", [record["id"]]) == await approve(intake, person)


async def test_once_it_is_decided_that_no_case_is_needed_the_person_may_be_forgotten(intake, reported):
    record, person = reported
    await decided(intake, record, decision="information", send_to=[])
    assert 200 == (await approve(intake, person))[0]
    await follow(intake)
    assert 1 == await intake.eraser.step()


async def test_a_case_that_is_to_be_opened_keeps_the_child_until_the_case_itself_does(intake, reported):
    record, person = reported
    await decided(intake, record)
    assert (409, "report-undecided", [record["id"]]) == await approve(intake, person)
    held = HoldForCase(case_id=uuid4())
    await intake.worker.service.loops["erasing"].__self__.commands.execute(UUID(person), held, Call("cases:1", "policy:hold-child"))
    assert (409, "hold-binds") == (await approve(intake, person))[:2]


async def test_nobody_says_himself_that_no_report_waits(intake, reported):
    _, person = reported
    body = {"decision": "12/QĐ", "undecided": []}
    answer = await intake.api.post(
        f"/intake/v1/persons/{person}/erasure-approvals", body, "DL-02", ("data_officer",), if_match='"1"'
    )
    assert 422 == answer.status_code

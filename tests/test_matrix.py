"""Role × command over HTTP, against `contracts/roles.yaml`: default deny, and no command without a row."""

from uuid import uuid4

import pytest

from chassis.identity import roles
from tests.desk import desk

pytestmark = pytest.mark.anyio
GROUPS = {
    "counsellor": "counsellor",
    "supervisor": "supervisor",
    "commune_officer": "commune_officer:99801@2025-07-01",
    "commune_chair": "commune_chair:99801@2025-07-01",
    "provincial_officer": "provincial_officer:98@2025-07-01",
    "agency_user": "agency:police@99801@2025-07-01",
    "therapist": "therapist",
    "data_officer": "data_officer",
    "auditor": "auditor",
    "operator": "operator",
}
"""A group of the provider for each role that a person can have."""
SERVICES = ("intake", "cases", "referrals", "notifications", "projections")


def command_routes(app):
    """Command → path, of every route that takes a command."""
    return {route.name: route.path for route in app.routes if "POST" in getattr(route, "methods", ()) and route.name[:1].isupper()}


@pytest.mark.parametrize("service", SERVICES)
async def test_every_command_route_has_a_row_and_every_row_for_people_has_a_route(postgres, tmp_path, service):
    async with desk(postgres, service, tmp_path) as it:
        routes = {f"{service}.{name}" for name in command_routes(it.service.app)}
    rows = {name: row for name, row in roles()["commands"].items() if name.startswith(f"{service}.")}
    assert set() == routes - rows.keys()
    not_in_the_slice = {"notifications.QueueMessage", "notifications.RetryMessage"}  # to a person: comes with safe contacts
    not_in_the_slice |= {"projections.WaiveClock"}  # no clock is started there yet
    for_people = {name for name, row in rows.items() if set(row) & GROUPS.keys()}
    assert set() == for_people - routes - not_in_the_slice


@pytest.mark.parametrize("service", SERVICES)
async def test_whoever_does_not_stand_in_a_commands_row_is_not_allowed_and_whoever_does_comes_further(postgres, tmp_path, service):
    table = roles()["commands"]
    async with desk(postgres, service, tmp_path) as it:
        found, expected = {}, {}
        for command, path in command_routes(it.service.app).items():
            for role, group in GROUPS.items():
                where = path.format(id=uuid4(), source="cases", position=1)
                answer = await it.post(where, {}, who=f"somebody-{role}", groups=(group,))
                found[command, role] = 403 != answer.status_code
                expected[command, role] = role in table[f"{service}.{command}"]
                assert answer.status_code in (200, 403, 404, 422, 428), answer.text
    assert len(found) >= len(GROUPS)
    assert expected == found


@pytest.mark.parametrize("group", GROUPS.values())
async def test_unknown_and_not_yours_look_alike(postgres, tmp_path, group):
    async with desk(postgres, "intake", tmp_path) as it:
        report = {
            "contacts": [],
            "source": "neighbour",
            "centre": "hanoi@2025-07-01",
            "received_at": "2026-02-16T15:39:41Z",
            "incident_commune": "99803@2025-07-01",
            "children": [],
            "alleged": [],
            "emergency": False,
            "procedures": [],
        }
        record = (await it.post("/intake/v1/records", report)).json()["id"]
        theirs = await it.get(f"/intake/v1/records/{record}", who="somebody", groups=(group,))
        unknown = await it.get(f"/intake/v1/records/{uuid4()}", who="somebody", groups=(group,))
    if theirs.status_code == 404:
        assert unknown.json() == theirs.json()
    else:
        whole_line = {"counsellor", "supervisor", "operator", "auditor", "data_officer", "provincial_officer:98@2025-07-01"}
        assert group in whole_line

"""What the world may send to a service, and what it answers: every error in one dialect, never a 5xx for bad input."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from tests.desk import desk, token

pytestmark = pytest.mark.anyio
CONTACT = {
    "channel": "phone",
    "line": "child",
    "form": "call",
    "received_at": "2026-02-16T15:39:41Z",
    "centre": "hanoi@2025-07-01",
    "caller_id": "5b3c0d4e-0000-4000-8000-000000000001",
    "text": "Người gọi mẫu kể (thử)",
}


@pytest.fixture
async def intake(postgres, tmp_path):
    async with desk(postgres, "intake", tmp_path) as it:
        yield it


def problem(answer, status, code):
    assert (status, f"urn:hotline111:{code}") == (answer.status_code, answer.json().get("type")), answer.text
    assert "application/problem+json" == answer.headers["content-type"]
    assert answer.json()["detail"]
    return answer.json()


async def test_a_contact_is_created_with_its_place_version_and_position(intake):
    answer = await intake.post("/intake/v1/contacts", CONTACT)
    assert 201 == answer.status_code, answer.text
    assert '"1"' == answer.headers["etag"]
    assert answer.headers["hotline-position"].startswith("intake:")
    assert answer.headers["location"].endswith(answer.json()["id"])
    assert CONTACT["text"] == answer.json()["told"][0]["fact"]["text"]


async def test_the_state_shows_no_sealed_field(intake):
    made = await intake.post("/intake/v1/contacts", CONTACT)
    seen = await intake.get(f"/intake/v1/contacts/{made.json()['id']}")
    assert 200 == seen.status_code
    assert "mẫu" not in seen.text
    assert '"1"' == seen.headers["etag"]


async def test_the_same_key_and_body_give_the_same_answer_and_another_body_is_refused(intake):
    key = str(uuid4())
    first = await intake.post("/intake/v1/contacts", CONTACT, idempotency_key=key)
    again = await intake.post("/intake/v1/contacts", CONTACT, idempotency_key=key)
    assert (first.status_code, first.content, first.headers["etag"]) == (again.status_code, again.content, again.headers["etag"])
    problem(await intake.post("/intake/v1/contacts", CONTACT | {"form": "message"}, idempotency_key=key), 422, "key-reused")
    problem(await intake.post("/intake/v1/contacts", CONTACT, who="TVV-02", idempotency_key=key), 422, "key-reused")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "bad-request"),
        (b"{", 400, "bad-request"),
        (b"\xff\xfe{}", 400, "bad-request"),
        (b'{"channel": "\xc3\x28"}', 400, "bad-request"),
        (b"[" * 100_000 + b"]" * 100_000, 400, "bad-request"),
        (b'{"channel": "\\ud800"}', 400, "bad-request"),
        (b'{"channel": NaN}', 422, "invalid-command"),
        (b"[]", 422, "invalid-command"),
        (b'"x"', 422, "invalid-command"),
        (b'{"channel": false}', 422, "invalid-command"),
        (b'{"strange": 1}', 422, "invalid-command"),
        (b" " * 1_000_001, 413, "too-large"),
        (b"x" * 10_000_000, 413, "too-large"),
    ],
)
async def test_a_body_that_cannot_be_a_command_is_told_what_to_mend(intake, body, status, code):
    problem(await intake.post("/intake/v1/contacts", body), status, code)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"channel": "pigeon"}, "/channel"),
        ({"channel": False}, "/channel"),
        ({"received_at": "2026-02-16T15:39:41"}, "/received_at"),
        ({"received_at": 7}, "/received_at"),
        ({"centre": "hanoi"}, "/centre"),
        ({"caller_id": "me"}, "/caller_id"),
        ({"actor": "chief"}, "/actor"),
        ({"text": ""}, "/text"),
    ],
)
async def test_a_wrong_field_is_named_by_pointer_and_code_and_its_value_is_not_repeated(intake, change, pointer):
    answer = problem(await intake.post("/intake/v1/contacts", CONTACT | change), 422, "invalid-command")
    assert [pointer] == [error["pointer"] for error in answer["errors"]]
    assert all({"pointer", "code"} == set(error) for error in answer["errors"])


async def test_a_nul_character_is_refused_because_no_word_contains_it(intake):
    answer = problem(await intake.post("/intake/v1/contacts", CONTACT | {"text": "a\0b"}), 400, "bad-request")
    assert "/text" == answer["pointer"]


async def test_without_an_idempotency_key_the_answer_names_the_header(intake):
    for key in ("", "seven"):
        answer = problem(await intake.post("/intake/v1/contacts", CONTACT, idempotency_key=key), 400, "bad-request")
        assert "Idempotency-Key" == answer["header"]


async def test_what_is_not_json_is_the_wrong_type(intake):
    problem(await intake.post("/intake/v1/contacts", b"{}", content_type="text/plain"), 415, "wrong-type")
    body = json.dumps(CONTACT).encode()
    for wrong in ({"content_type": "application/json; charset=utf-16"}, {"content_encoding": "gzip"}):
        problem(await intake.post("/intake/v1/contacts", body, **wrong), 415, "wrong-type")
    right = await intake.post("/intake/v1/contacts", body, content_type='application/json; charset="UTF-8"')
    assert 201 == right.status_code


async def test_unknown_paths_methods_and_ids_speak_the_same_dialect(intake):
    problem(await intake.get("/intake/v1/nothing"), 404, "not-found")
    problem(await intake.http.delete("/intake/v1/contacts"), 405, "wrong-method")
    for unknown in (str(uuid4()), "seven", "%00", "x" * 3000):
        problem(await intake.get(f"/intake/v1/contacts/{unknown}"), 404, "not-found")
        problem(await intake.post(f"/intake/v1/contacts/{unknown}/answer", {}), 404, "not-found")


NOW = int(datetime.now(UTC).timestamp())


@pytest.mark.parametrize(
    "bearer",
    [
        None,
        "Basic abc",
        "Bearer",
        "Bearer x",
        "Bearer " + "x" * 1_000_000,
        "Bearer " + token("TVV-01", "counsellor", aud=["hotline111-console"]),
        "Bearer " + token("TVV-01", "counsellor", iss="https://other.example"),
        "Bearer " + token("TVV-01", "counsellor", exp=NOW - 3600),
        "Bearer " + token("TVV-01", "counsellor", exp=None),
        "Bearer " + token("TVV-01", "counsellor", nbf=NOW + 3600),
        "Bearer " + token("TVV-01", "counsellor", nonce="n"),
        "Bearer " + token("TVV-01", "counsellor")[:-4] + "AAAA",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJUVlYtMDEifQ.",
    ],
)
async def test_a_token_that_proves_nobody_is_refused(intake, bearer):
    problem(await intake.post("/intake/v1/contacts", CONTACT, authorization=bearer or ""), 401, "who-are-you")


async def test_a_role_that_may_not_is_told_so_and_somebody_elses_stream_looks_unknown(intake):
    problem(await intake.post("/intake/v1/contacts", CONTACT, groups=("auditor",)), 403, "not-allowed")
    problem(await intake.post("/intake/v1/contacts", CONTACT, groups=()), 403, "not-allowed")


async def test_a_stale_if_match_names_what_changed_and_by_whom(intake):
    report = {
        "contacts": [],
        "source": "neighbour",
        "centre": "hanoi@2025-07-01",
        "received_at": "2026-02-16T15:39:41Z",
        "children": [],
        "alleged": [],
        "emergency": False,
        "procedures": [],
    }
    record = (await intake.post("/intake/v1/records", report)).json()
    screening = {
        "decision": "information",
        "risk": "low",
        "protection_level": "PREVENTION",
        "emergency": False,
        "procedures": [],
        "send_to": [],
    }
    path = f"/intake/v1/records/{record['id']}/screening"
    problem(await intake.post(path, screening), 428, "if-match-required")
    problem(await intake.post(path, screening, if_match="soon"), 400, "bad-request")
    answer = problem(await intake.post(path, screening, if_match='"1"'), 412, "stale-version")
    assert (1, record["version"]) == (answer["seen"], answer["current"])
    assert {"version", "type", "actor", "at"} == set(answer["changes"][0])
    done = await intake.post(path, screening, if_match=f'"{record["version"]}"')
    assert 200 == done.status_code, done.text


async def test_health_and_metrics_are_there_and_the_document_lists_the_commands(intake):
    document = (await intake.http.get("/intake/v1/openapi.json")).json()
    assert "ReceiveContact" in document["components"]["schemas"]
    assert document["openapi"].startswith("3.1")


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "1899-12-31T23:59:59Z"])
async def test_a_time_that_nobody_can_mean_is_refused_at_its_pointer(intake, at):
    answer = await intake.post("/intake/v1/contacts", CONTACT | {"received_at": at})
    problem(answer, 422, "invalid-command")
    assert [{"pointer": "/received_at", "code": "unlikely-instant"}] == answer.json()["errors"]

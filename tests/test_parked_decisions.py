"""What is parked over HTTP: list, show, and an operator's decision, which is an entry of the log; nothing sealed is opened."""

import json
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from chassis.kafka import topic_of
from contracts.ids import system_stream
from tests.desk import desk

pytestmark = [pytest.mark.anyio, pytest.mark.real]
BASE = "/cases/v1/parked"
OPERATOR = ("operator",)
MENDED = {"reason": "cause_mended"}
PERSON = str(uuid4())
BODY = {"v": 9, "meta": {"cause": "rest:1"}, "fact": {"decision": "open_case"}, "sealed": {PERSON: "a box that stays shut"}}


@asynccontextmanager
async def cases(postgres, home):
    """The cases service over a database in which nothing is parked yet."""
    async with desk(postgres, "cases", home) as it:
        await it.service._born(lambda: None)
        with psycopg.connect(postgres.uri("cases"), autocommit=True) as db:
            db.execute("TRUNCATE parked")
            it.parked = lambda position, stream, body=None: park(db, position, stream, body)
            yield it


def park(db, position, stream, body=None):
    headers = {"ce_id": str(position), "ce_type": "intake.ReportScreened", "ce_subject": str(stream), "version": "1"}
    db.execute(
        "INSERT INTO parked VALUES (%s, 0, %s, %s, %s, %s, 'forbidden-word')",
        (topic_of("intake"), position, stream, Jsonb(headers), json.dumps(BODY).encode() if body is None else body),
    )


def code(answer):
    return answer.status_code, answer.json().get("type", "").removeprefix("urn:hotline111:")


async def test_one_is_shown_with_its_clear_part_and_who_waits_before_and_behind_it(postgres, tmp_path):
    stream = uuid4()
    async with cases(postgres, tmp_path) as it:
        for position in (7, 9, 12):
            it.parked(position, stream)
        it.parked(8, uuid4())
        answer = await it.get(f"{BASE}/intake/9", "VH-01", OPERATOR)
        listed = (await it.get(BASE, "VH-01", OPERATOR)).json()["items"]
    shown = answer.json()
    assert (200, "intake", 9, str(stream)) == (answer.status_code, shown["source"], shown["position"], shown["stream"])
    assert ([7], [12]) == (shown["before"], shown["behind"])
    assert ("forbidden-word", "intake.ReportScreened") == (shown["reason"], shown["headers"]["ce_type"])
    assert BODY | {"sealed": [PERSON]} == shown["state"]
    assert "a box that stays shut" not in answer.text
    assert [7, 8, 9, 12] == [each["position"] for each in listed]


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[]", b"7", b"[" * 100_000, b'{"fact":NaN}', b'{"fact":"\\ud800"}'], ids=lambda body: repr(body[:9])
)
async def test_a_body_that_is_no_fact_is_shown_by_its_length_only(postgres, tmp_path, body):
    async with cases(postgres, tmp_path) as it:
        it.parked(7, uuid4(), body)
        shown = (await it.get(f"{BASE}/intake/7", "VH-01", OPERATOR)).json()
    assert (None, len(body)) == (shown["state"], shown["bytes"])


@pytest.mark.parametrize(("noun", "fact"), [("retries", "ParkedRetried"), ("discards", "ParkedDiscarded")])
async def test_a_decision_is_an_entry_on_the_logs_own_stream_and_the_same_key_again_is_answered_the_same(
    postgres, tmp_path, noun, fact
):
    stream, key = uuid4(), str(uuid4())
    async with cases(postgres, tmp_path) as it:
        it.parked(7, stream)
        first = await it.post(f"{BASE}/intake/7/{noun}", MENDED, "VH-01", OPERATOR, idempotency_key=key)
        with psycopg.connect(postgres.uri("cases"), autocommit=True) as db:
            db.execute("TRUNCATE parked")
        again = await it.post(f"{BASE}/intake/7/{noun}", MENDED, "VH-01", OPERATOR, idempotency_key=key)
        other = await it.post(f"{BASE}/intake/8/{noun}", MENDED, "VH-01", OPERATOR, idempotency_key=key)
        itself = system_stream(it.parts.settings.origin("cases"))
        *_, told = await it.parts.log.open(await it.parts.log.rows_of(itself))
    assert (200, 200) == (first.status_code, again.status_code), first.text
    assert (first.content, first.headers["hotline-position"]) == (again.content, again.headers["hotline-position"])
    assert (422, "key-reused") == code(other)
    assert (f"cases.{fact}", "intake", 7, stream, "cause_mended") == (
        told.fact.TOPIC,
        told.fact.source,
        told.fact.position,
        told.fact.stream,
        told.fact.reason,
    )
    assert ("VH-01", "operator", f"rest:{key}") == (told.meta["actor"], told.meta["as"], told.meta["cause"])
    assert UUID(first.json()["id"]) == itself


async def test_only_the_first_of_a_stream_is_retried_and_any_may_be_discarded(postgres, tmp_path):
    stream = uuid4()
    async with cases(postgres, tmp_path) as it:
        it.parked(7, stream)
        it.parked(9, stream)
        refused = await it.post(f"{BASE}/intake/9/retries", MENDED, "VH-01", OPERATOR)
        discarded = await it.post(f"{BASE}/intake/9/discards", {"reason": "not_needed"}, "VH-01", OPERATOR)
    assert ((409, "earlier-is-parked"), 7) == (code(refused), refused.json()["first"])
    assert 200 == discarded.status_code


async def test_what_is_not_parked_or_given_up_already_is_not_decided_about(postgres, tmp_path):
    async with cases(postgres, tmp_path) as it:
        it.parked(7, uuid4())
        with psycopg.connect(postgres.uri("cases"), autocommit=True) as db:
            db.execute("UPDATE parked SET discarded_at = now(), discarded_by = 2")
        before = await it.parts.log.head()
        for position, noun in ((7, "retries"), (7, "discards"), (8, "retries"), (8, "discards")):
            answer = await it.post(f"{BASE}/intake/{position}/{noun}", MENDED, "VH-01", OPERATOR)
            assert (409, "not-parked") == code(answer)
        assert 2 == (await it.get(f"{BASE}/intake/7", "VH-01", OPERATOR)).json()["discarded_by"]
        assert before == await it.parts.log.head()


@pytest.mark.parametrize("where", ["intake/0", "intake/-1", "intake/9223372036854775808", "intake/x", "cases%00/1", "nobody/1"])
async def test_a_place_that_cannot_be_is_unknown(postgres, tmp_path, where):
    async with cases(postgres, tmp_path) as it:
        assert (404, "not-found") == code(await it.get(f"{BASE}/{where}", "VH-01", OPERATOR))
        for noun in ("retries", "discards"):
            assert (404, "not-found") == code(await it.post(f"{BASE}/{where}/{noun}", MENDED, "VH-01", OPERATOR))


async def test_a_reason_is_a_code_and_only_an_operator_decides(postgres, tmp_path):
    async with cases(postgres, tmp_path) as it:
        it.parked(7, uuid4())
        for body in ({}, {"reason": "because I say so"}, MENDED | {"position": 7}):
            assert (422, "invalid-command") == code(await it.post(f"{BASE}/intake/7/retries", body, "VH-01", OPERATOR))
        assert (403, "not-allowed") == code(await it.post(f"{BASE}/intake/7/retries", MENDED, "GS-01", ("supervisor",)))
        assert (403, "not-allowed") == code(await it.get(f"{BASE}/intake/7"))

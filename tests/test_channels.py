"""The doors of the channels, over a real PostgreSQL: signed bytes are kept sealed before the sender hears 200, and become one contact."""

import asyncio
import base64
import hmac
import json
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import psycopg
import pytest
from structlog.testing import capture_logs

from chassis.mapper import people_in
from contracts.ids import created_stream
from services.intake.adapters import channels
from tests.desk import desk

pytestmark = [pytest.mark.anyio, pytest.mark.real]
SAMPLES = Path(__file__).parent / "channels"
OURS = json.loads((SAMPLES / "secrets.json").read_bytes())["zalo"]
ZALO, EMAIL = "/intake/v1/channels/zalo", "/intake/v1/channels/email"
TEXT = "Bé nói sợ về nhà (thử)"
MAIL_KEY = b"mail-host-secret-for-tests-only"


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def intake(postgres, tmp_path_factory):
    """The doors as the API has them, and the loop of the worker that reads what they kept."""
    home = tmp_path_factory.mktemp("channels")
    async with desk(postgres, "intake", home) as api, desk(postgres, "intake", home, role="worker") as worker:
        reading = asyncio.create_task(worker.service.loops["inbox"](lambda: None))
        with (
            psycopg.connect(postgres.uri("intake"), autocommit=True) as db,
            psycopg.connect(postgres.uri("keys"), autocommit=True) as keys,
        ):
            it = SimpleNamespace(http=api.http, log=worker.parts.log, worker=worker, db=db, keys=keys, reading=reading)
            yield it
        it.reading.cancel()


def zalo(text=TEXT, event="user_send_text", message_id=None, **more):
    """A delivery as Zalo documents it."""
    body = {
        "app_id": OURS["app_id"],
        "sender": {"id": "246000000000000111"},
        "recipient": {"id": OURS["oa_id"]},
        "event_name": event,
        "message": {"text": text, "msg_id": message_id or uuid4().hex},
        "timestamp": "1773133512000",
    }
    return json.dumps(body | more, ensure_ascii=False).encode()


def id_of(raw):
    return json.loads(raw)["message"]["msg_id"]


def zalo_headers(raw, secret=OURS["oa_secret_key"]):
    mac = sha256(OURS["app_id"].encode() + raw + b"1773133512000" + secret.encode()).hexdigest()
    return {"x-zevent-signature": f"mac={mac}", "x-zevent-timestamp": "1773133512000", "content-type": "application/json"}


def mail_headers(raw, key=MAIL_KEY, at=None, media="message/rfc822"):
    stamp, id_ = str(int(at if at is not None else time.time())), f"msg-{uuid4().hex}"
    mac = base64.b64encode(hmac.digest(key, f"{id_}.{stamp}.".encode() + raw, "sha256")).decode()
    return {"content-type": media, "webhook-id": id_, "webhook-timestamp": stamp, "webhook-signature": f"v1,{mac}"}


def eml(name, message_id):
    """A recorded mail under a Message-ID of its own."""
    raw = (SAMPLES / "email" / f"{name}.eml").read_bytes()
    head, _, rest = raw.partition(b"Message-ID: ")
    return head + f"Message-ID: <{message_id}>".encode() + rest[rest.index(b"\r\n") :]


async def deliver(intake, raw, headers=None, to=ZALO):
    return await intake.http.post(to, content=raw, headers=headers or zalo_headers(raw))


def row(intake, id_):
    query = "SELECT state, reason, repeats, conflicts, box, person FROM inbox WHERE id = %s"
    found = intake.db.execute(query, [id_]).fetchall()
    assert len(found) <= 1
    return (
        SimpleNamespace(**dict(zip(("state", "reason", "repeats", "conflicts", "box", "person"), found[0], strict=True)))
        if found
        else None
    )


async def read(intake, id_):
    """The row, once the worker is done with it."""
    async with asyncio.timeout(20):
        while row(intake, id_).state == "new":
            if intake.reading.done():
                intake.reading.result()
            await asyncio.sleep(0.01)
    return row(intake, id_)


async def facts_of(intake, cause):
    return await intake.log.open(await intake.log.rows_of(created_stream(cause, "ReceiveContact")))


# Zalo


async def test_a_message_is_answered_at_once_and_becomes_one_contact_received_on_arrival(intake):
    raw, before = zalo(), datetime.now(UTC)
    answer = await deliver(intake, raw)
    assert (200, {"kept": "new"}) == (answer.status_code, answer.json())
    assert "done" == (await read(intake, id_of(raw))).state
    contact, clock = await facts_of(intake, f"zalo:{id_of(raw)}")
    assert ("zalo", "message", TEXT) == (contact.fact.channel, contact.fact.form, contact.fact.text)
    assert before <= contact.fact.received_at <= datetime.now(UTC)
    assert datetime(2026, 3, 10, 9, 5, 12, tzinfo=UTC) == contact.fact.sent_at
    assert ("first-look", contact.fact.received_at) == (clock.fact.clock, clock.fact.counted_from)
    assert ("policy:inbox", str(contact.stream)) == (contact.meta["actor"], contact.meta["correlation"])


async def test_the_documented_bytes_are_taken_and_their_replay_three_weeks_later_is_nothing_new(intake):
    raw = (SAMPLES / "zalo/text.body").read_bytes()
    lines = (SAMPLES / "zalo/text.headers").read_text("ascii").splitlines()[1:]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name.lower() != "host"}
    first = await deliver(intake, raw, headers)
    await read(intake, id_of(raw))
    once = await facts_of(intake, f"zalo:{id_of(raw)}")
    again = await deliver(intake, (SAMPLES / "zalo/replay.body").read_bytes(), headers)
    assert (200, 200, {"kept": "known"}) == (first.status_code, again.status_code, again.json())
    await read(intake, id_of(raw))
    assert once == await facts_of(intake, f"zalo:{id_of(raw)}")


async def test_twenty_deliveries_of_one_message_at_once_are_one_contact(intake):
    raw = zalo()
    answers = await asyncio.gather(*(deliver(intake, raw) for _ in range(20)))
    assert [200] * 20 == [answer.status_code for answer in answers]
    assert ["known"] * 19 + ["new"] == sorted(answer.json()["kept"] for answer in answers)
    assert ("done", 19, 0) == ((kept := await read(intake, id_of(raw))).state, kept.repeats, kept.conflicts)
    assert 2 == len(await facts_of(intake, f"zalo:{id_of(raw)}"))


async def test_a_known_id_with_other_words_is_seen_as_a_conflict_and_the_first_words_stay(intake):
    raw = zalo()
    await deliver(intake, raw)
    await read(intake, id_of(raw))
    answer = await deliver(intake, zalo("Không có gì", message_id=id_of(raw)))
    assert (200, {"kept": "conflict"}) == (answer.status_code, answer.json())
    assert 1 == (await read(intake, id_of(raw))).conflicts
    assert TEXT == (await facts_of(intake, f"zalo:{id_of(raw)}"))[0].fact.text


@pytest.mark.parametrize("event", ["oa_send_text", "user_seen_message", "user_received_message", "follow"])
async def test_echoes_and_receipts_are_kept_and_are_no_contacts(intake, event):
    raw = zalo(event=event, tag=uuid4().hex)
    assert 200 == (await deliver(intake, raw)).status_code
    assert "no_contact" == (await read(intake, sha256(raw).hexdigest())).state


async def test_an_event_that_nobody_knows_stays_visible(intake):
    raw = zalo(event="user_does_something_new", tag=uuid4().hex)
    assert 200 == (await deliver(intake, raw)).status_code
    assert "unknown" == (await read(intake, sha256(raw).hexdigest())).state


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[]", b"[" * 50_000, b'{"event_name": NaN}', b"\0"])
async def test_signed_bytes_that_are_no_message_are_kept_and_break_nothing(intake, raw):
    raw += uuid4().hex.encode()
    assert 200 == (await deliver(intake, raw)).status_code
    assert (await read(intake, sha256(raw).hexdigest())).state in ("unreadable", "unknown")


# Signatures


async def test_a_bad_or_foreign_signature_is_refused_counted_logged_without_content_and_leaves_nothing(intake, monkeypatch):
    counted, raw = [], zalo()
    monkeypatch.setattr(channels.bad, "add", lambda *said: counted.append(said))
    wrong = [
        {},
        {"x-zevent-signature": ""},
        zalo_headers(raw, secret="somebody-elses"),
        zalo_headers(raw + b" "),
        {"x-zevent-signature": "mac=" + "0" * 64},
    ]
    with capture_logs() as said:
        answers = [await intake.http.post(ZALO, content=raw, headers=headers) for headers in wrong]
    assert {(401, "urn:hotline111:bad-signature")} == {(answer.status_code, answer.json()["type"]) for answer in answers}
    assert [(1, {"channel": "zalo"})] * len(wrong) == counted
    assert len(wrong) == sum(line["event"] == "a delivery with a bad signature was refused" for line in said)
    assert not any(part in str([said, [answer.text for answer in answers]]) for part in (TEXT, id_of(raw)))
    assert row(intake, id_of(raw)) is None


@pytest.mark.parametrize("wrong", ["key", "old", "early", "body", "none"])
async def test_a_mail_that_its_host_did_not_sign_just_now_is_refused(intake, wrong):
    raw = eml("school-report", f"{uuid4()}@truong-mau.example")
    headers = {
        "key": mail_headers(raw, key=b"somebody-elses"),
        "old": mail_headers(raw, at=time.time() - 301),
        "early": mail_headers(raw, at=time.time() + 301),
        "body": mail_headers(raw + b"."),
        "none": {"content-type": "message/rfc822"},
    }[wrong]
    answer = await deliver(intake, raw, headers, to=EMAIL)
    assert (401, "urn:hotline111:bad-signature") == (answer.status_code, answer.json()["type"])


# Mail


async def test_a_schools_mail_becomes_a_contact_with_its_subject_its_words_and_its_attachment(intake):
    message_id = f"{uuid4()}@truong-mau.example"
    raw = eml("school-report", message_id)
    assert 200 == (await deliver(intake, raw, mail_headers(raw), to=EMAIL)).status_code
    id_ = sha256(f"<{message_id}>".encode()).hexdigest()
    assert "done" == (await read(intake, id_)).state
    contact = (await facts_of(intake, f"email:{id_}"))[0].fact
    assert ("email", "mail", "gv.thu@truong-mau.example") == (contact.channel, contact.form, contact.handle)
    assert "Tiêu đề: Báo tin trẻ em bị bạo lực – lớp 5B" in contact.text
    assert [name.partition(" (")[0] for name in contact.files] == ["ảnh vết bầm.png"]


async def test_a_mail_in_a_charset_it_does_not_declare_is_not_lost(intake):
    message_id = f"{uuid4()}@mail-mau.example"
    raw = eml("wrong-encoding", message_id)
    assert 200 == (await deliver(intake, raw, mail_headers(raw), to=EMAIL)).status_code
    id_ = sha256(f"<{message_id}>".encode()).hexdigest()
    assert "done" == (await read(intake, id_)).state
    assert "windows-1258" in (await facts_of(intake, f"email:{id_}"))[0].fact.text


async def test_the_same_mail_handed_over_again_is_nothing_new(intake):
    raw = eml("school-report", f"{uuid4()}@truong-mau.example")
    kept = [(await deliver(intake, raw, mail_headers(raw), to=EMAIL)).json()["kept"] for _ in range(3)]
    assert ["new", "known", "known"] == kept


# Bytes


@pytest.mark.parametrize(
    ("to", "size", "headers", "status"),
    [
        (ZALO, 1_000_001, zalo_headers, 413),
        (EMAIL, 25_000_001, mail_headers, 413),
        (EMAIL, 10, lambda raw: mail_headers(raw, media="application/json"), 415),
    ],
)
async def test_a_body_that_is_too_long_or_of_another_type_is_refused(intake, to, size, headers, status):
    raw = b"x" * size
    assert status == (await deliver(intake, raw, headers(raw), to=to)).status_code


async def test_a_channel_without_a_door_is_not_found_and_a_door_is_for_deliveries_only(intake):
    assert 404 == (await intake.http.post("/intake/v1/channels/telegraph", content=b"x")).status_code
    for method in ("GET", "PUT", "DELETE"):
        assert 405 == (await intake.http.request(method, ZALO)).status_code


# The inbox


async def test_what_is_kept_shows_no_word_and_no_sender(intake):
    raw = zalo()
    await deliver(intake, raw)
    await read(intake, id_of(raw))
    kept = intake.db.execute("SELECT inbox::text FROM inbox WHERE id = %s", [id_of(raw)]).fetchone()[0]
    contact, _ = await intake.log.rows_of(created_stream(f"zalo:{id_of(raw)}", "ReceiveContact"))
    for where in (kept.encode(), contact.state):
        assert not any(part.encode() in where for part in (TEXT, "246000000000000111"))
    assert [row(intake, id_of(raw)).person] == people_in(contact.state)


async def test_a_worker_killed_after_its_command_and_before_its_row_repeats_the_command_under_its_id(intake):
    raw = zalo()
    await deliver(intake, raw)
    await read(intake, id_of(raw))
    once = await facts_of(intake, f"zalo:{id_of(raw)}")
    intake.db.execute("UPDATE inbox SET state = 'new' WHERE id = %s", [id_of(raw)])
    assert "done" == (await read(intake, id_of(raw))).state
    assert once == await facts_of(intake, f"zalo:{id_of(raw)}")


async def test_a_delivery_of_somebody_forgotten_meanwhile_is_set_aside_and_does_not_hold_up_the_next(intake):
    intake.reading.cancel()
    await asyncio.gather(intake.reading, return_exceptions=True)
    forgotten, other = zalo(), zalo()
    for raw in (forgotten, other):
        await deliver(intake, raw)
    intake.keys.execute("SELECT destroy_key(%s, 'decision-1', now())", [row(intake, id_of(forgotten)).person])
    intake.worker.parts.keys.flush()
    intake.reading = asyncio.create_task(intake.worker.service.loops["inbox"](lambda: None))
    assert ("refused", "person-forgotten") == ((kept := await read(intake, id_of(forgotten))).state, kept.reason)
    assert "done" == (await read(intake, id_of(other))).state
    assert [] == await facts_of(intake, f"zalo:{id_of(forgotten)}")


async def test_a_sender_whose_clock_runs_ahead_changes_nothing_about_the_receipt(intake):
    raw = zalo(timestamp=str(int((datetime.now(UTC) + timedelta(days=1)).timestamp() * 1000)))
    await deliver(intake, raw)
    assert "done" == (await read(intake, id_of(raw))).state
    contact = (await facts_of(intake, f"zalo:{id_of(raw)}"))[0].fact
    assert contact.received_at < datetime.now(UTC) < contact.sent_at

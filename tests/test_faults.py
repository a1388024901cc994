"""What breaks, while the line is at work: processes, the database, the broker, the key store, strangers in the topics. Then counting."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Event
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest
from aiokafka import AIOKafkaProducer

from chassis.kafka import topic_of
from chassis.links import token_of
from contracts.ids import referral_by
from contracts.shapes import Addressee
from deploy.local.stack import ROLES, SERVICES
from tests.invariants import broken
from tests.line import OTHER_COMMUNE, call, child, eventually, report, screening

pytestmark = [pytest.mark.real, pytest.mark.slow]
COMMUNE_PC = Addressee(role="commune_pc", place=OTHER_COMMUNE)
PROCEDURE = {"procedures": ["domestic_violence"], "emergency": False}


def problem(answer, status, code):
    assert (status, f"urn:hotline111:{code}") == (answer.status_code, answer.json().get("type")), answer.text
    return answer


def reported(line):
    """A call and a report about one child; answers the record."""
    contact = line.done("/intake/v1/contacts", call(line, text="Có người kể (thử)"))
    return line.done("/intake/v1/records", report(line, contact, child(name="Mẫu"), commune=OTHER_COMMUNE, **PROCEDURE))


def handed_over(line, record):
    """The record screened; answers the id of the hand-off that must come of it."""
    told = screening(OTHER_COMMUNE, **PROCEDURE, send_to=[COMMUNE_PC.model_dump()])
    screened = line.done(f"/intake/v1/records/{record['id']}/screening", told, seen=record["version"])
    return referral_by(UUID(record["id"]), f"intake:{screened['told'][0]['position']}", COMMUNE_PC)


def taken_over(line, referral):
    """Taken over by telephone, as soon as the hand-off is there."""
    taker = {"via": "phone", "office": "UBND (mẫu)", "taker_id": str(uuid4()), "name": "Thử Văn Nhận"}
    path = f"/referrals/v1/referrals/{referral}"
    eventually(lambda: line.surely(f"{path}/acknowledgement", taker).is_success, seconds=90, every=0.1)


def pids(line):
    return {(service, role): line.stack.process(service, role).pid for service in SERVICES for role in ROLES}


def readiness(line, name):
    answer = line.http.get(f"{line.stack.urls[name]}/readyz")
    return answer.status_code, answer.json()["down"]


def is_back(line, name, killed):
    """Runs another process there, and is it ready?"""
    if killed == line.stack.process(*name).pid:
        return False
    try:
        return 200 == readiness(line, ".".join(name).removesuffix(".api"))[0]
    except httpx2.TransportError:
        return False


# Killed processes


@pytest.fixture(scope="module")
def counted(line):
    """Stories told without a pause, while every worker and every API is killed once; then everything that is written."""
    enough = Event()

    def desk():
        stories = 0
        while not enough.is_set():
            taken_over(line, handed_over(line, reported(line)))
            stories += 1
        return stories

    asyncio.run(strangers(line))
    with ThreadPoolExecutor() as desks:
        told = desks.submit(desk)
        try:
            for n, service in enumerate(SERVICES):
                killed = [(service, "worker"), (SERVICES[n - 2], "api")]
                before = pids(line)
                for name in killed:
                    line.stack.process(*name).kill9()
                eventually(lambda killed=killed, before=before: all(is_back(line, name, before[name]) for name in killed))
        finally:
            enough.set()
        stories = told.result(120)
    return stories, line.snapshot()


async def strangers(line):
    """Records in every topic that no relay wrote."""
    producer = AIOKafkaProducer(bootstrap_servers=line.stack.kafka.bootstrap)
    await producer.start()
    try:
        for service in SERVICES:
            for headers in ([], [("ce_id", b"seven")], [("ce_id", b"7"), ("ce_type", b"x")]):
                await producer.send_and_wait(topic_of(service), b"\xff{", partition=0, headers=headers)
    finally:
        await producer.stop()


def test_nothing_that_was_answered_is_lost_and_nothing_happened_twice_whatever_was_killed(counted):
    stories, snapshot = counted
    assert stories >= len(SERVICES)
    assert len(snapshot.answered) >= 4 * stories
    assert [] == broken(snapshot)


def test_nothing_was_parked_for_a_process_that_died_or_a_stranger_that_wrote(counted):
    assert set() == counted[1].parked


def test_every_mail_that_is_told_as_sent_is_in_a_mailbox_and_a_repeat_shows_itself_by_its_message_id(line, counted):
    folders = [folder for folder in line.stack.smtp.folder.iterdir() if not folder.name.startswith("tongdai")]
    arrived = [mail["Message-ID"] for folder in folders for mail in line.mails(folder.name)]
    sent = [
        event.fact.provider_ref for event in counted[1].logs["notifications"] if event.fact.TOPIC == "notifications.MessageSent"
    ]
    assert len(sent) == len(set(sent))
    assert set() == set(sent) - set(arrived)
    assert len(arrived) <= len(sent) + 10  # at least once: at most one repeat a kill


def answered_and_lost(snapshot):
    log, position, *_ = snapshot.answered[-1].told[0]
    return replace(snapshot, logs=snapshot.logs | {log: snapshot.logs[log][: position - 1]})


def missing(snapshot, log):
    return replace(snapshot, logs=snapshot.logs | {log: snapshot.logs[log][:-1]})


def doubled(snapshot, log):
    return replace(snapshot, logs=snapshot.logs | {log: [*snapshot.logs[log], snapshot.logs[log][-1]]})


def without(snapshot, *topics):
    logs = {log: [event for event in events if event.fact.TOPIC not in topics] for log, events in snapshot.logs.items()}
    return replace(snapshot, logs=logs)


DAMAGE = {
    "an answered fact is gone": (answered_and_lost, "what_was_answered_is_there_exactly_once"),
    "a told fact is gone": (lambda s: missing(s, "cases"), "a_topic_tells_its_log_from_the_first_position_on"),
    "a fact stands twice": (lambda s: doubled(s, "referrals"), "positions_and_versions_are_dense"),
    "a command is not known": (lambda s: replace(s, commands=s.commands | {"cases": {}}), "every_command_stands_once_and_whole"),
    "a reaction did nothing": (lambda s: replace(s, commands=s.commands | {"cases": {}}), "what_is_heard_is_applied_or_parked"),
    "a topic begins late": (lambda s: replace(s, topics=s.topics | {"cases": s.topics["cases"][3:]}), "a_topic_tells_its_log"),
    "a service is behind": (lambda s: replace(s, heard=s.heard | {("cases", "intake"): 1}), "what_is_heard_is_applied_or_parked"),
    "a hand-off is nobody's": (lambda s: without(s, "referrals.ClockStarted"), "every_hand_off_is_settled"),
    "a linked case is not there": (lambda s: without(s, "cases.CaseOpened"), "every_screening_has_a_case_a_child"),
    "a child has no case": (lambda s: without(s, "intake.CaseLinked", "intake.ClockStarted"), "every_screening_has_a_case_a_child"),
    "a case was handed to nobody": (
        lambda s: without(s, "cases.HandOffNoted", "cases.ClockStarted"),
        "every_case_has_a_sent_hand_off",
    ),
    "a cause is not there": (lambda s: replace(s, logs=s.logs | {"intake": []}), "every_cause_chain_ends"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_counting_would_have_noticed(counted, damage):
    change, noticed = DAMAGE[damage]
    assert any(sentence.startswith(noticed) for sentence in broken(change(counted[1])))


def test_a_process_that_was_killed_is_ready_again(line, counted):
    for name in (f"{service}{suffix}" for service in SERVICES for suffix in ("", ".worker")):
        assert (200, []) == eventually(lambda name=name: (found := readiness(line, name))[0] == 200 and found), name


# Twins


def test_twenty_twins_at_once_get_the_same_answer_to_the_byte_and_are_one_event(line):
    body, key = call(line, text="Một lần (thử)"), uuid4()
    line.token("TVV-01")
    with ThreadPoolExecutor(20) as twins:
        answers = list(twins.map(lambda _: line.post("/intake/v1/contacts", body, key=key), range(20)))
    assert {(201, answers[0].content, answers[0].headers["hotline-position"])} == {
        (answer.status_code, answer.content, answer.headers["hotline-position"]) for answer in answers
    }
    assert 1 == len(line.facts("intake.ContactReceived", answers[0].json()["id"]))


# The key store


@contextmanager
def away(line, database):
    """Nobody gets into this database."""
    with psycopg.connect(line.stack.postgres.uri("postgres"), autocommit=True) as db:
        db.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database])
        try:
            yield
        finally:
            db.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")


def test_without_the_key_store_nothing_personal_is_recorded_and_everything_else_is(line):
    key, body = uuid4(), call(line, text="Kể (thử)", handle="0320000017")
    with away(line, "keys"):
        refused = problem(line.post("/intake/v1/contacts", body, key=key), 503, "try-again")
        plain = line.post("/intake/v1/contacts", call(line))
    assert "retry-after" in refused.headers
    assert 201 == plain.status_code
    again = eventually(lambda: (answer := line.post("/intake/v1/contacts", body, key=key)).status_code == 201 and answer)
    (contact,) = [each["fact"] for each in again.json()["told"]]
    assert ("Kể (thử)", "0320000017") == (contact["text"], contact["handle"])
    assert 1 == len(line.facts("intake.ContactReceived", again.json()["id"]))


def test_nothing_more_is_recorded_about_somebody_whose_key_was_destroyed(line):
    body = call(line, text="Kể (thử)")
    line.rows("keys", "SELECT destroy_key(%s, 'decision-1')", body["caller_id"])
    problem(line.post("/intake/v1/contacts", body), 409, "person-forgotten")
    assert 201 == line.post("/intake/v1/contacts", call(line, text="Kể (thử)")).status_code


def test_a_case_file_is_not_shown_with_holes_while_the_key_store_is_away(line):
    """Unreachable is not forgotten: no answer, rather than one without a name."""
    record = reported(line)
    path = f"/projections/v1/records/{record['id']}"
    ask = {"hotline_purpose": "duty", "hotline_wait_for": f"intake:{record['told'][-1]['position']}"}
    shown = eventually(lambda: (answer := line.get(path, **ask)).is_success and answer)
    assert "Mẫu" in shown.text
    other = reported(line)  # its keys are in nobody's memory but intake's
    ask["hotline_wait_for"] = f"intake:{other['told'][-1]['position']}"
    eventually(lambda: line.rows("projections", "SELECT FROM work WHERE id = %s", other["id"]))
    with away(line, "keys"):
        problem(line.get(f"/projections/v1/records/{other['id']}", **ask), 503, "try-again")


# The database


def test_while_postgresql_is_gone_everybody_is_told_to_try_again_and_it_recovers_without_a_restart(line):
    running, record, key = pids(line), reported(line), uuid4()
    body, _ = call(line), line.token("CB-99803")
    line.stack.postgres.kill()
    try:
        with ThreadPoolExecutor(20) as people:
            asked = [
                people.submit(line.post, "/intake/v1/contacts", body, key=key),
                people.submit(line.get, f"/intake/v1/records/{record['id']}"),
                people.submit(line.post, f"/cases/v1/cases/{uuid4()}/plans", PLAN, "CB-99803"),
                people.submit(line.get, f"/projections/v1/records/{record['id']}", hotline_purpose="duty"),
                people.submit(line.get, f"/referrals/v1/acknowledgements/{token_of(bytes(32), uuid4(), uuid4())}", None),
            ]
            ready = [people.submit(readiness, line, name) for name in SERVICES]
            alive = [people.submit(line.get, f"{line.stack.urls[name]}/healthz", None) for name in SERVICES]
        for each in asked:
            assert "retry-after" in problem(each.result(), 503, "try-again").headers
        assert [(503, ["database"])] * 5 == [each.result() for each in ready]
        assert [200] * 5 == [each.result().status_code for each in alive]
    finally:
        line.stack.postgres.start()
    assert (
        201 == eventually(lambda: (done := line.post("/intake/v1/contacts", body, key=key)).status_code == 201 and done).status_code
    )
    taken_over(line, handed_over(line, record))
    assert [] == broken(line.snapshot())
    assert running == pids(line)


PLAN = {"goals": "x", "activities": "y", "items": [], "review_on": "2030-01-01"}


# The broker


def test_while_kafka_is_gone_commands_succeed_the_workers_say_so_and_the_backlog_drains_afterwards(line):
    running, records = pids(line), [reported(line) for _ in range(2)]
    line.stack.kafka.kill()
    try:
        hand_offs = [handed_over(line, record) for record in records]
        for service in SERVICES:
            assert eventually(lambda service=service: "relay" in readiness(line, f"{service}.worker")[1]), service
            assert (200, []) == readiness(line, service)
        assert [] == [e for e in line.facts("referrals.ReferralSent") if e.stream in hand_offs]
    finally:
        line.stack.kafka.start()
    for hand_off in hand_offs:
        taken_over(line, hand_off)
    for service in SERVICES:
        assert (200, []) == eventually(lambda service=service: (found := readiness(line, f"{service}.worker"))[0] == 200 and found)
    assert [] == broken(line.snapshot())
    assert running == pids(line)

"""What is answered while a part is away, and that all goes on afterwards without a restart: the key store, the database, the broker."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest

from chassis.links import token_of
from deploy.local.environment import python
from deploy.local.process import Process, free_port
from deploy.local.stack import ROLES, SERVICES
from tests.faults.desks import MARK, handed_over, reported, taken_over
from tests.faults.invariants import broken
from tests.line import call, eventually

pytestmark = [pytest.mark.real, pytest.mark.slow]


def problem(answer, status, code):
    assert (status, f"urn:hotline111:{code}") == (answer.status_code, answer.json().get("type")), answer.text
    return answer


def pids(line):
    return {(service, role): line.stack.process(service, role).pid for service in SERVICES for role in ROLES}


def readiness(line, name):
    answer = line.http.get(f"{line.stack.urls[name]}/readyz")
    return answer.status_code, answer.json()["down"]


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
    line.rows("keys", "SELECT destroy_key(%s, 'decision-1', now())", body["caller_id"])
    problem(line.post("/intake/v1/contacts", body), 409, "person-forgotten")
    assert 201 == line.post("/intake/v1/contacts", call(line, text="Kể (thử)")).status_code


def test_a_case_file_is_not_shown_with_holes_while_the_key_store_is_away(line):
    """Unreachable is not forgotten: no answer, rather than one without a name."""
    record = reported(line)
    path = f"/projections/v1/records/{record['id']}"
    ask = {"hotline_purpose": "duty", "hotline_wait_for": f"intake:{record['told'][-1]['position']}"}
    shown = eventually(lambda: (answer := line.get(path, **ask)).is_success and answer)
    assert MARK in shown.text
    other = reported(line)  # its keys are in nobody's memory but intake's
    ask["hotline_wait_for"] = f"intake:{other['told'][-1]['position']}"
    eventually(lambda: line.rows("projections", "SELECT FROM work WHERE id = %s", other["id"]))
    with away(line, "keys"):
        problem(line.get(f"/projections/v1/records/{other['id']}", **ask), 503, "try-again")


# The database


@pytest.mark.parametrize("role", ROLES)
def test_who_is_started_while_postgresql_is_gone_ends_when_it_is_asked_to(line, role, tmp_path):
    nobody = free_port()
    env = dict(line.stack.process("cases", role).env)
    for name in ("H111_DATABASE", "H111_KEYS"):
        env[name] = env[name].replace(f":{line.stack.postgres.port}/", f":{nobody}/")
    process = Process(
        "cases", python("services", "cases", f"--role={role}"), tmp_path / "log", env=env | {"H111_PORT": str(free_port())}
    )
    process.start()
    process.wait_until(lambda: "a loop is down" in process.log_tail())
    process.stop()
    assert 0 == process.status, process.log_tail()


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
            assert eventually(lambda service=service: (200, []) == readiness(line, service)), service  # PostgreSQL was gone before
        assert [] == [e for e in line.facts("referrals.ReferralSent") if e.stream in hand_offs]
    finally:
        line.stack.kafka.start()
    for hand_off in hand_offs:
        taken_over(line, hand_off)
    for service in SERVICES:
        assert (200, []) == eventually(lambda service=service: (found := readiness(line, f"{service}.worker"))[0] == 200 and found)
    assert [] == broken(line.snapshot())
    assert running == pids(line)

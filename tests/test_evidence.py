"""The evidence on a whole line: everything that is told is signed within seconds, and what was altered is not signed any more."""

import json
from pathlib import Path

import psycopg
import pytest

from chassis.ledger.policy import Policy
from deploy.local.stack import SERVICES
from tests.faults.kills import arm
from tests.line import call, eventually

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def line(own_line):
    return own_line


def policy(line):
    return Policy.read(line.stack.policy_file.read_bytes())


def newest(line, log):
    """The newest checkpoint, as the table has it; None where there is none."""
    rows = line.rows(log, "SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1")
    return policy(line).opened(rows[0][0].encode(), f"hotline111.example/test/{log}").checkpoint if rows else None


def signed(line, log, position):
    """Wait until it is covered."""
    return eventually(lambda: (found := newest(line, log)) and found.size >= position and found)


def last_words(line, name):
    """Why this process ended, as its log says."""
    log = line.stack.home / "logs" / f"{name}.log"
    found = [json.loads(each) for each in log.read_text(encoding="utf-8").splitlines() if "the process ends" in each]
    return [each["because"] for each in found if each["because"]]


def test_every_log_is_signed_and_the_api_has_no_key(line):
    for log in SERVICES:
        signed(line, log, line.heads()[log])
    for service in SERVICES:
        assert "H111_SIGNING_KEY_FILE" not in (line.stack.process(service, "api").env or {})
        key = Path((line.stack.process(service, "worker").env or {})["H111_SIGNING_KEY_FILE"])
        assert 0o600 == key.stat().st_mode & 0o777


@pytest.mark.parametrize("place", ["signer.after-file", "signer.after-table"])
def test_a_worker_killed_between_file_table_and_topic_makes_good_for_it(line, place):
    file = line.stack.home / "failpoints" / "intake-worker"
    arm(file, place, 1, "kill")
    contact = line.done("/intake/v1/contacts", call(line))
    eventually(file.with_suffix(".hit").exists)
    position = contact["told"][-1]["position"]
    signed(line, "intake", position)
    last = line.stack.home / "checkpoints" / "intake" / "last"
    eventually(
        lambda: (
            last.read_text(encoding="utf-8") == line.rows("intake", "SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1")[0][0]
        )
    )


def test_the_signer_of_a_log_whose_row_was_altered_refuses_and_says_so(line):
    contact = line.done("/intake/v1/contacts", call(line))
    position = contact["told"][-1]["position"]
    signed(line, "intake", position)
    line.rest()
    worker = line.stack.process("intake", "worker")
    worker.stop()
    owner = psycopg.connect(line.stack.postgres.uri("intake", "intake_owner"), autocommit=True)
    with owner, pytest.raises(psycopg.errors.InsufficientPrivilege):
        owner.execute("UPDATE event SET state = '' WHERE position = 2")
    with psycopg.connect(line.stack.postgres.uri("intake", "intake_owner"), autocommit=True) as owner:
        owner.execute("ALTER TABLE event DISABLE TRIGGER USER")
        ((was,),) = owner.execute("SELECT state FROM event WHERE position = 2").fetchall()
        owner.execute("UPDATE event SET state = %s WHERE position = 2", [bytes(was) + b" "])
    try:
        worker.start()
        because = eventually(lambda: last_words(line, "intake-worker"))
    finally:
        worker.stop()
        with psycopg.connect(line.stack.postgres.uri("intake", "intake_owner"), autocommit=True) as owner:
            owner.execute("UPDATE event SET state = %s WHERE position = 2", [was])
            owner.execute("ALTER TABLE event ENABLE TRIGGER USER")
        worker.start()
    assert "rows of intake are not those that were signed: rewritten or forked" in because[-1]
    again = line.done("/intake/v1/contacts", call(line))
    signed(line, "intake", again["told"][-1]["position"])

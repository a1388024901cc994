"""The evidence on a whole line: everything that is told is signed within seconds, and what was altered is not signed any more."""

import asyncio
import itertools
import json
import time
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from typer.testing import CliRunner

from chassis.clients import producing
from chassis.kafka import headers_of, topic_of
from chassis.ledger.encoding import decode
from chassis.ledger.errors import LedgerError
from chassis.ledger.policy import Policy
from chassis.ledger.proof import Proof
from chassis.ledger.tree import consistent
from chassis.log import Row
from contracts.ids import command_id
from deploy.local.stack import SERVICES
from tests.desk import create_databases
from tests.faults.desks import handed_over, reported, taken_over
from tests.faults.invariants import broken
from tests.faults.kills import arm
from tests.line import call, eventually
from tools.commands import app
from tools.recovery.recover import Recovery

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


def answered(line, log, position):
    """The receipt, as soon as there is one."""
    return eventually(lambda: (answer := line.get(f"/projections/v1/audit/{log}/{position}/proof")).is_success and answer)


def test_a_command_is_proved_within_seconds_by_a_receipt_that_is_checked_offline(line):
    began = time.monotonic()
    answer = line.post("/intake/v1/contacts", body := call(line), key=(key := uuid4()))
    log, _, position = answer.headers["hotline-position"].partition(":")
    receipt = answered(line, log, position).content
    assert time.monotonic() - began < 10
    shown = Proof.read(receipt).checked(policy(line), "hotline111.example/test/intake")
    assert (int(position), answer.json()["id"], "intake.ContactReceived") == (
        shown.entry.position,
        shown.entry.stream,
        shown.entry.type,
    )
    ((state,),) = line.rows("intake", "SELECT state FROM event WHERE position = %s", position)
    assert sha256(state).hexdigest() == shown.entry.state  # and in the state he finds his own command:
    assert str(command_id(UUID(shown.entry.stream), f"rest:{key}", "ReceiveContact")) == json.loads(state)["meta"]["command"]
    assert body["caller_id"].encode() not in receipt


@pytest.mark.parametrize("line_number", range(1, 12))
def test_a_receipt_altered_in_any_line_proves_nothing(line, line_number):
    receipt = answered(line, "intake", 1).text.split("\n")
    text = receipt[line_number % (len(receipt) - 1)]
    receipt[line_number % (len(receipt) - 1)] = text[:-2] + ("AA" if text[-2:] != "AA" else "BB")
    with pytest.raises(LedgerError):
        Proof.read("\n".join(receipt).encode()).checked(policy(line), "hotline111.example/test/intake")


def agreed(line, log):
    """The sizes of the checkpoints that the monitor found to be right."""
    query = "SELECT size FROM audit_note WHERE log = %s AND agrees ORDER BY size"
    return [size for (size,) in line.rows("projections", query, log)]


def test_the_monitor_agrees_with_every_checkpoint_and_each_continues_the_one_before(line):
    line.rest()
    for log in SERVICES:
        signed(line, log, line.heads()[log])
        sizes = [size for (size,) in line.rows(log, "SELECT size FROM checkpoint ORDER BY size")]
        eventually(lambda log=log, sizes=sizes: sizes == agreed(line, log))
        roots = {
            size: policy(line).opened(note.encode()).checkpoint.root
            for size, note in line.rows(log, "SELECT size, note FROM checkpoint")
        }
        for old, new in itertools.pairwise(sizes):
            answer = line.http.get(f"{line.stack.urls['front']}/projections/v1/audit/{log}/consistency?from={old}&to={new}")
            assert consistent(old, roots[old], new, roots[new], [decode(each) for each in answer.text.splitlines()])
    assert [] == line.rows("projections", "SELECT FROM audit_note WHERE agrees IS DISTINCT FROM true")


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


# A restored log


@contextmanager
def restored(line, log):
    """A backup of the database, as it is now; after the block it stands where the newer one stood, on another server."""
    name = f"{log}_backup"
    postgres, roles = line.stack.postgres, [line.stack.process(log, role) for role in ("api", "worker")]
    line.rest()
    for process in roles:
        process.stop()
    line.close(log)
    with psycopg.connect(postgres.uri("postgres"), autocommit=True) as db:
        cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{log}'"
        db.execute(cut)
        db.execute(f"CREATE DATABASE {name} TEMPLATE {log} OWNER {log}_owner")
        for process in roles:
            process.start()
        yield
        line.rest()
        for process in roles:
            process.stop()
        line.close(log)
        db.execute(cut)
        db.execute(f"ALTER DATABASE {log} RENAME TO {log}_newer")
        db.execute(f"ALTER DATABASE {name} RENAME TO {log}")
        db.execute(f"GRANT CONNECT ON DATABASE {log} TO {log}_api, {log}_worker")
    with psycopg.connect(postgres.uri(log), autocommit=True) as db:
        db.execute("UPDATE head SET incarnation = '7000000000000000000:1'")


def test_a_restored_log_is_closed_until_it_is_brought_back_from_its_topic_and_then_nothing_is_missing(line):
    def hotline(*words):
        return CliRunner().invoke(app, [*words, "--home", str(line.stack.home)], catch_exceptions=False)

    referral = handed_over(line, reported(line))
    with restored(line, "referrals"):
        head, key = line.heads()["referrals"], uuid4()
        path, body = f"/referrals/v1/referrals/{referral}/attempts", {"via": "phone", "to": "Trực ban (mẫu)", "result": "no_answer"}
        attempt = eventually(lambda: (answer := line.post(path, body, key=key)).is_success and answer)
        taken_over(line, referral)
        line.rest()
        signed(line, "referrals", line.heads()["referrals"])
    rows = line.rows("referrals_newer", "SELECT * FROM event ORDER BY position")
    ((note,),) = line.rows("referrals_newer", "SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1")
    api, worker = (line.stack.process("referrals", role) for role in ("api", "worker"))
    api.start()
    closed = eventually(lambda: "log-closed" in (answer := line.post(path, body)).text and answer)
    assert (503, "urn:hotline111:log-closed", "30") == (closed.status_code, closed.json()["type"], closed.headers["retry-after"])
    refused = hotline("recover", "referrals")
    assert (2, True) == (refused.exit_code, "referrals_api still work on it" in refused.output), refused.output
    worker.start()
    eventually(lambda: any(f"first missing: {head + 1}" in each for each in last_words(line, "referrals-worker")))
    for process in (api, worker):
        process.stop()

    done = hotline("recover", "referrals")
    assert 0 == done.exit_code, done.output
    assert f"brought back {head + 1} to {len(rows)}" in done.stdout
    assert rows == line.rows("referrals", "SELECT * FROM event WHERE position <= %s ORDER BY position", len(rows))
    for process in (worker, api):
        process.start()
    again = eventually(lambda: (answer := line.post(path, body, key=key)).is_success and answer)
    assert attempt.json() == again.json()
    (said,) = line.facts("referrals.LogRecovered")
    assert (len(rows) + 1, head + 1, len(rows)) == (said.position, said.fact.first, said.fact.last)
    assert note == said.fact.checkpoint
    signed(line, "referrals", len(rows) + 1)
    assert [] == broken(line.snapshot())
    for process in (api, worker):
        process.stop()
    twice = hotline("recover", "referrals")
    for process in (worker, api):
        process.start()
    assert (0, True) == (twice.exit_code, "nothing was missing" in twice.stdout), twice.output


# A lost database


@contextmanager
def replaced(line, log):
    """A database as new in the place of one that was lost, which stays as `<log>_lost` for the test to look into."""
    postgres = line.stack.postgres
    line.rest()
    signed(line, log, line.heads()[log])
    for role in ("api", "worker"):
        line.stack.process(log, role).stop()
    line.close(log)
    with psycopg.connect(postgres.uri("postgres"), autocommit=True) as db:
        db.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{log}'")
        db.execute(f"ALTER DATABASE {log} RENAME TO {log}_lost")
    create_databases(postgres)
    yield
    for role in ("worker", "api"):
        line.stack.process(log, role).start()


def test_a_database_that_was_lost_is_not_begun_anew_and_all_of_its_log_comes_back_from_the_topic(line):
    key, body = uuid4(), call(line)
    first = line.post("/intake/v1/contacts", body, key=key)
    reported(line)
    with replaced(line, "intake"):
        rows = line.rows("intake_lost", "SELECT * FROM event ORDER BY position")
        for role in ("api", "worker"):
            process = line.stack.process("intake", role)
            process.start()
            eventually(lambda role=role: any("it was lost" in each for each in last_words(line, f"intake-{role}")))
            process.stop()
        assert 0 == line.heads()["intake"]
        where = ["--home", str(line.stack.home)]
        done = CliRunner().invoke(app, ["recover", "intake", *where], catch_exceptions=False)
        assert 0 == done.exit_code, done.output
        assert f"brought back 1 to {len(rows)}" in done.stdout
        assert rows == line.rows("intake", "SELECT * FROM event WHERE position <= %s ORDER BY position", len(rows))
        commands = "SELECT id, first, last FROM command WHERE last <= %s ORDER BY first"
        assert line.rows("intake_lost", commands, len(rows)) == line.rows("intake", commands, len(rows))
    again = eventually(lambda: (answer := line.post("/intake/v1/contacts", body, key=key)).is_success and answer)
    assert first.json() == again.json()
    new = line.done("/intake/v1/contacts", call(line))
    signed(line, "intake", new["told"][-1]["position"])
    assert [] == broken(line.snapshot())


@pytest.mark.parametrize(("signed_to", "unsigned"), [(0, range(11, 16)), (12, range(13, 16)), (15, range(16, 16))])
def test_what_comes_back_and_stands_in_no_checkpoint_is_counted(signed_to, unsigned):
    assert unsigned == Recovery("cases", "hotline111.example/test/cases", {}, head=10, missing=5).unsigned(signed_to)


# Forks, which are left as they are: so these are the last tests on this line


def test_a_log_that_somebody_appended_to_after_it_was_restored_is_a_fork_and_stays_as_it_is(line):
    with restored(line, "notifications"):
        handed_over(line, reported(line))
        eventually(lambda: line.rows("notifications", "SELECT FROM event WHERE topic = 'notifications.MessageQueued'"))
    with psycopg.connect(line.stack.postgres.uri("notifications"), autocommit=True) as db:
        ((head,),) = db.execute("SELECT position FROM head").fetchall()
        db.execute(
            "INSERT INTO event SELECT position + 1, recorded_at, originator_id, 1000, topic, state FROM event WHERE position = %s",
            [head],
        )
        db.execute("UPDATE head SET position = position + 1")
    before = line.rows("notifications", "SELECT * FROM event ORDER BY position")
    done = CliRunner().invoke(app, ["recover", "notifications", "--home", str(line.stack.home)], catch_exceptions=False)
    assert (1, True) == (done.exit_code, f"at {head + 1} the database of notifications has another" in done.stderr), done.output
    assert before == line.rows("notifications", "SELECT * FROM event ORDER BY position")


def last_row(line, log):
    (found,) = line.rows(
        log,
        "SELECT originator_id, originator_version, topic, state, position, recorded_at FROM event ORDER BY position DESC LIMIT 1",
    )
    return Row(*found)


def told_by_a_stranger(line, log, last, state):
    """A record under our headers behind the last one of a topic, as if it were the next of the same stream."""
    next_one = last._replace(position=last.position + 1, version=last.version + 1)

    async def send():
        async with producing(line.stack.kafka.bootstrap) as producer:
            headers = headers_of(log, next_one)
            await producer.send_and_wait(topic_of(log), state, key=last.stream.bytes, headers=headers, partition=0)

    asyncio.run(send())


@pytest.mark.parametrize(
    ("log", "state", "why"), [("cases", b"{garbage", "is no entry of a log"), ("intake", None, "repeats a version or a command")]
)
def test_what_no_relay_wrote_behind_the_end_of_a_log_is_not_brought_back(line, log, state, why):
    line.stack.process(log, "api").stop()
    eventually(lambda: (found := newest(line, log)) and found.size >= last_row(line, log).position)  # all of it is told and signed
    line.stack.process(log, "worker").stop()
    last = last_row(line, log)
    told_by_a_stranger(line, log, last, state or last.state)
    done = CliRunner().invoke(app, ["recover", log, "--home", str(line.stack.home)], catch_exceptions=False)
    assert (1, True) == (done.exit_code, why in done.stderr), done.output
    assert [(last.position,)] == line.rows(log, "SELECT position FROM head")

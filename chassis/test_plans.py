"""The plans of the hot queries, on tables with rows and statistics: by index, whatever the table has grown to."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent

from chassis import clocks
from chassis.log import _LOOK
from chassis.wire import PLANS
from tests.line import eventually

pytestmark = pytest.mark.real
ROWS = 20_000
STREAM = UUID(int=7)
FILL = """
INSERT INTO event SELECT n, now(), ('00000000-0000-0000-0000-' || lpad(to_hex(n / 20), 12, '0'))::uuid, n % 20 + 1, 'cases.ClockMet', '\\x7b7d'
  FROM generate_series(1, %(rows)s) n;
INSERT INTO command SELECT gen_random_uuid(), n, n, '' FROM generate_series(1, %(rows)s) n;
UPDATE head SET position = %(rows)s, recorded_at = now();
INSERT INTO clock_due SELECT gen_random_uuid(), 'plan-draft', 1, now() + n * interval '1 minute' FROM generate_series(1, %(rows)s) n;
ANALYZE"""


@dataclass
class Database:
    """A database by its name, asked as the superuser."""

    postgres: Any
    name: str

    def rows(self, query, args=(), options=""):
        with psycopg.connect(self.postgres.uri(self.name), autocommit=True, options=options) as db:
            return db.execute(query, args).fetchall()

    def plan(self, query, args=(), options=""):
        return "\n".join(line for (line,) in self.rows(f"EXPLAIN {query}", args, options))

    def scans(self):
        """table → how often it was read from end to end, and by an index, as far as sessions have reported."""
        counted = "SELECT relname, seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname IN ('event', 'command')"
        return {table: (whole, by_index) for table, whole, by_index in self.rows(counted)}


@pytest.fixture(scope="module")
def filled(templates):
    """A log of twenty thousand rows in streams of twenty, with statistics."""
    with psycopg.connect(templates.uri("postgres"), autocommit=True) as db:
        db.execute("CREATE DATABASE cases_filled TEMPLATE cases")
    with psycopg.connect(templates.uri("cases_filled"), autocommit=True) as db:
        for statement in FILL.split(";"):
            db.execute(statement.replace("%(rows)s", str(ROWS)))
    return Database(templates, "cases_filled")


@pytest.fixture
def log(filled, new_log_of):
    return new_log_of(filled.name)


ASKED = {
    "the next rows behind a position": (lambda log: log.after(ROWS - 100, 100), "event_pkey"),
    "one row by its position": (lambda log: log.after(17, 1, 18), "event_pkey"),
    "a stream": (lambda log: log.rows_of(STREAM), "event_originator_id_originator_version_key"),
    "a stream from a version on": (lambda log: log.events(STREAM, gt=17), "event_originator_id_originator_version_key"),
    "the last event of a stream": (
        lambda log: log.events(STREAM, desc=True, limit=1),
        "event_originator_id_originator_version_key",
    ),
    "what the library's readers read": (lambda log: log.notifications(ROWS - 100, 100, ROWS, []), "event_pkey"),
}


@pytest.mark.parametrize("asked", ASKED)
def test_a_reader_of_the_log_finds_its_rows_by_index(log, run, filled, monkeypatch, asked):
    ask, index = ASKED[asked]
    seen = []

    async def look(query, *args):
        seen.append((query, args))
        return []

    monkeypatch.setattr(log, "fetch", look)
    run(ask(log))
    ((query, args),) = seen
    plan = filled.plan(query, args)
    assert index in plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan  # the index gives the order


def test_the_timer_finds_what_is_due_by_index(filled):
    plan = filled.plan(clocks.DUE, (datetime.now(UTC),))
    assert "clock_due_at" in plan
    assert "Seq Scan" not in plan


def test_looking_for_a_command_and_a_stream_is_two_index_scans_for_each_however_many_ask(filled):
    query = _LOOK.replace("$1", "'{}'").replace("$2", "'{}'").replace("$3", "'{}'")
    plan = filled.plan(query, options=PLANS)
    assert "command_pkey" in plan
    assert "event_originator_id_originator_version_key" in plan
    assert "Seq Scan" not in plan


@pytest.mark.parametrize("grown", [False, True])
def test_an_append_scans_no_table_from_end_to_end(filled, database, new_log_of, run, grown):
    """The function's own statements cannot be explained from outside; the server counts what they did."""
    where = filled if grown else Database(filled.postgres, database("cases"))
    log, stream, before = new_log_of(where.name), uuid4(), where.scans()
    for version in range(1, 30):
        run(log.append([StoredEvent(stream, version, "cases.ClockMet", b"{}")], uuid4()))
    run(log.close())  # a session reports at its end
    for table, (whole, by_index) in before.items():
        assert eventually(lambda table=table, seen=by_index: where.scans()[table][1] >= seen + 29)
        assert whole == where.scans()[table][0]

"""The other end of the scale for views: read the whole log in one query, fold plain JSON in memory, write the tables with COPY, in
one transaction. Nothing is checked, upcast, parked, live or resumable; the same rows and indexes come of it."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from bench.contest import Measured
from bench.ground import Ground

QUERY = "SELECT position, recorded_at, originator_id, originator_version, topic, state FROM event ORDER BY position"
LABELS = {"CaseOpened": "TRIAGED", "EmergencyMeasureApplied": "PROTECTED", "DetailedAssessmentRecorded": "ASSESSED"}
SCHEMA = """
CREATE TABLE history (
    log text NOT NULL, position bigint NOT NULL, recorded_at timestamptz NOT NULL, stream uuid NOT NULL, version int NOT NULL,
    type text NOT NULL, state bytea NOT NULL, rests_on jsonb NOT NULL, PRIMARY KEY (log, position)
);
CREATE INDEX ON history (stream, log, position);
CREATE INDEX ON history (log, recorded_at, position);
CREATE TABLE belongs (stream uuid, to_stream uuid, kind text NOT NULL, log text, position bigint, PRIMARY KEY (stream, to_stream));
CREATE INDEX ON belongs (to_stream);
CREATE TABLE work (
    id uuid PRIMARY KEY, kind text NOT NULL, log text NOT NULL, position bigint NOT NULL, version int NOT NULL, label text NOT NULL,
    done boolean NOT NULL, emergency boolean NOT NULL, risk text, record_id uuid, lead text, incident text, centre text,
    due_at timestamptz
);
CREATE INDEX ON work ((coalesce(due_at, 'infinity')), id) WHERE NOT done;
CREATE INDEX ON work (record_id);
CREATE TABLE clock (
    stream uuid, log text, clock text, rule text NOT NULL, due_at timestamptz NOT NULL, responsible text NOT NULL,
    ended boolean NOT NULL, PRIMARY KEY (log, stream, clock)
);
"""


@dataclass
class _Boards:
    """What the events so far amount to."""

    work: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    clocks: dict[tuple[UUID, str], list[Any]] = field(default_factory=dict)

    def take(self, position: int, stream: UUID, version: int, kind: str, fact: dict[str, Any]) -> None:
        """One event."""
        if kind == "CaseOpened":
            self.work[stream] = {"position": position, "done": False, **fact}
        row = self.work[stream]
        row["version"] = version
        row["label"] = LABELS.get(kind, row.get("label"))
        if kind == "ClockStarted":
            body = f"{fact['responsible']['role']}@{fact['responsible']['place']}"
            self.clocks[stream, fact["clock"]] = [fact["rule"], datetime.fromisoformat(fact["due_at"]), body, False]
        elif kind == "ClockMet":
            self.clocks[stream, fact["clock"]][-1] = True

    def row(self, stream: UUID, row: dict[str, Any]) -> tuple[Any, ...]:
        """A line of `work`."""
        _, due_at, _, ended = self.clocks.get((stream, "emergency"), (None, None, None, True))
        place = (row["position"], row["version"], row["label"], row["done"], row["emergency"], row["risk"], row["record_id"])
        return (stream, "case", "cases", *place, row["lead"], row["incident_commune"], row["centre"], None if ended else due_at)


def rebuild(ground: Ground, source: str) -> Measured:
    """From nothing to the committed tables."""
    target = ground.database("intake")  # a place on the same server; the tables get a schema of their own
    boards, events = _Boards(), 0
    begin = time.perf_counter()
    with psycopg.connect(ground.postgres.uri(source)) as db, psycopg.connect(ground.postgres.uri(target)) as into:
        into.execute("CREATE SCHEMA once; SET search_path = once")
        into.execute(SCHEMA)
        with db.cursor("all") as cursor, into.cursor() as out, out.copy("COPY history FROM STDIN (FORMAT BINARY)") as copy:
            cursor.itersize = 10_000
            copy.set_types(["text", "int8", "timestamptz", "uuid", "int4", "text", "bytea", "jsonb"])
            for position, at, stream, version, topic, state in cursor.execute(QUERY):
                copy.write_row(("cases", position, at, stream, version, topic, state, "{}"))
                boards.take(position, stream, version, topic.partition(".")[2], json.loads(state)["fact"])
                events += 1
        belongs = ((stream, row["record_id"], "case", "cases", row["position"]) for stream, row in boards.work.items())
        _write(into, "belongs", belongs)
        _write(into, "work", (boards.row(stream, row) for stream, row in boards.work.items()))
        _write(into, "clock", ((stream, "cases", name, *rest) for (stream, name), rest in boards.clocks.items()))
    return Measured(events / (time.perf_counter() - begin))


def _write(db: psycopg.Connection[Any], table: str, rows: Iterator[tuple[Any, ...]]) -> None:
    with db.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:  # pyrefly: ignore
        for row in rows:
            copy.write_row(row)

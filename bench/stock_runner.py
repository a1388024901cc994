"""What the `eventsourcing` library offers for views: its `ProjectionRunner` over its own recorder. An event a transaction: a row of
work is written anew, and the place moves. Only a bench imports this: `eventsourcing.postgres` sets psycopg's loggers."""

import time
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.application import Application
from eventsourcing.persistence import Mapper, Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.sql import SQL

from bench.contest import Measured
from bench.ground import Ground, StoredRow
from chassis.mapper import FactMapper, Recorded

DATABASE = "stock_view"
PATIENCE = 600.0  # seconds for the whole history


class StockCases(Application[UUID]):
    """The library's application over the same facts and the same bytes."""

    name = "cases"

    def construct_mapper(self) -> Mapper[UUID]:
        return FactMapper()


class StockWork(PostgresTrackingRecorder):
    """The materialised view: less than ours, for it computes no label and keeps no bytes."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        columns = "id uuid PRIMARY KEY, log text NOT NULL, version int NOT NULL, label text NOT NULL, changed text NOT NULL"
        self.sql_create_statements.append(SQL(f"CREATE TABLE IF NOT EXISTS work ({columns})"))  # pyrefly: ignore

    def put(self, event: Recorded, tracking: Tracking) -> None:
        """Row and place in one transaction."""
        statement = (
            "INSERT INTO work VALUES (%s, %s, %s, %s, %s) ON CONFLICT (id) DO UPDATE"
            " SET version = excluded.version, label = excluded.label, changed = excluded.changed"
        )
        said = (event.stream, "cases", event.version, event.fact.TOPIC, event.meta.get("occurred_at", ""))
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(statement, said, prepare=True)


class StockProjection(Projection[StockWork]):
    """Calls the view for every event."""

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.put(domain_event, tracking)


def prepare(ground: Ground, rows: Iterable[StoredRow]) -> dict[str, str]:
    """The recorder's own table with these events in it; the environment by which the library finds it."""
    ground.postgres.create_database(DATABASE, f"{DATABASE}_owner")
    known = psycopg.conninfo.conninfo_to_dict(ground.postgres.uri(DATABASE, f"{DATABASE}_owner"))
    env = {f"POSTGRES_{name.upper()}": str(known[name]) for name in ("host", "port", "user", "password", "dbname")}
    env |= {"PERSISTENCE_MODULE": "eventsourcing.postgres", "CREATE_TABLE": "y"}
    StockCases(env).close()
    with psycopg.connect(ground.postgres.uri(DATABASE)) as db, db.cursor() as cursor:
        copy = "COPY cases_events (originator_id, originator_version, topic, state) FROM STDIN (FORMAT BINARY)"
        with cursor.copy(copy) as out:
            out.set_types(["uuid", "int8", "text", "bytea"])
            for row in rows:
                out.write_row(row)
    ground.analyze(DATABASE)
    return env


def rebuild(ground: Ground, env: dict[str, str], events: int) -> Measured:
    """Every event once, from an empty view."""
    with psycopg.connect(ground.postgres.uri(DATABASE), autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS work, stockprojection_tracking")
    begin = time.perf_counter()
    runner = ProjectionRunner(application_class=StockCases, projection_class=StockProjection, view_class=StockWork, env=env)
    with runner:
        runner.wait(events, timeout=PATIENCE)
        seconds = time.perf_counter() - begin
    ((position,),) = ground.rows(
        DATABASE, "SELECT max(notification_id) FROM stockprojection_tracking WHERE application_name = 'cases'"
    )
    if position != events:
        raise RuntimeError(f"the library's runner stands at {position} of {events}")
    return Measured(events / seconds)

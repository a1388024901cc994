"""What a view reads: the rows that records tell, the facts in them, and a row kept with the reason why it cannot be folded."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any, NamedTuple

import structlog
from aiokafka import ConsumerRecord
from eventsourcing.persistence import MapperDeserialisationError
from opentelemetry import metrics
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from chassis.kafka import STAMP, row_of, topic_of
from chassis.log import Row
from chassis.mapper import Recorded, clear_fact

log_ = structlog.get_logger("hotline.view")
meter = metrics.get_meter("hotline")
parked_ = meter.create_counter("hotline.view.parked", description="facts parked since the process started")
NAMES = ("ce_id", "ce_type", "ce_subject", "ce_time", "version")  # headers that make a row


class Told(NamedTuple):
    """A row, and the fact that it tells or why it has to be parked."""

    row: Row
    fact: Recorded | str


def rows_in(records: Sequence[ConsumerRecord[Any, Any]]) -> list[Row]:
    """The rows that these records tell; a record that is not from a relay of ours is passed over, and named in the log."""
    rows: list[Row] = []
    for record in records:
        given = dict(record.headers)
        headers = {name: (given[name] or b"").decode("utf-8", "replace") for name in NAMES if name in given}
        if row := row_of(headers, record.value or b""):
            rows.append(row)
        else:
            log_.error("a record that is not from a relay was passed over", topic=record.topic, offset=record.offset)
    return rows


def tell(log: str, rows: Sequence[Row]) -> list[Told]:
    """What these rows tell."""
    return [Told(row, _fact(log, row)) for row in rows]


def _fact(log: str, row: Row) -> Recorded | str:
    try:
        fact, meta = clear_fact(row.type, row.state)
    except MapperDeserialisationError as problem:
        return str(problem)
    except Exception as problem:  # noqa: BLE001 - a stranger's bytes may fail in ways nobody thought of
        return type(problem).__name__
    return Recorded(row.stream, row.version, fact, meta, log, row.position, row.recorded_at, row.state)


async def park(db: AsyncConnection[Any], log: str, row: Row, reason: str) -> None:
    """Keep the row beside what is folded."""
    log_.warning("parked", source=log, position=row.position, type=row.type, reason=reason)
    parked_.add(1, {"source": log})
    await db.execute(
        "INSERT INTO parked (topic, partition, position, stream, headers, body, reason) VALUES (%s, 0, %s, %s, %s, %s, %s)",
        (topic_of(log), row.position, row.stream, Jsonb(_headers(row)), row.state, reason),
    )


def _headers(row: Row) -> dict[str, str]:
    """What `row_of` needs to make the row again from the parked bytes."""
    stamp = row.recorded_at.astimezone(UTC).strftime(STAMP)
    return {
        "ce_id": str(row.position),
        "ce_type": row.type,
        "ce_subject": str(row.stream),
        "ce_time": stamp,
        "version": str(row.version),
    }

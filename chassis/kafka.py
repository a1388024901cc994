"""The record on the wire: CloudEvents 1.0 in Kafka binary mode. The value is the row's exact bytes, the headers give the rest."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis.clients import PATIENCE, consuming
from chassis.log import Row

STAMP = "%Y-%m-%dT%H:%M:%S.%fZ"  # always six digits: the text of the ledger entry
LARGEST = 4_000_000  # bytes of a record: the largest body of a command, sealed, with room to spare; the topics are made for it
LOOK_BACK = 2000  # records looked at from an end: strangers may write there, and an earlier relay that still runs may tell old rows
STAMP_LENGTH = len("2026-01-05T02:41:00.000000Z")
PASSED_ON = ("cause", "correlation", "traceparent")


def topic_of(log: str) -> str:
    """The topic that only this log's relay writes."""
    return f"hotline.{log}.events.v1"


def headers_of(log: str, row: Row) -> list[tuple[str, bytes]]:
    """Headers of the record that tells this row."""
    state = json.loads(row.state)
    meta, kind, version = state.get("meta", {}), row.type, state.get("v", 1)
    values = {
        "ce_specversion": "1.0",
        "ce_id": str(row.position),
        "ce_source": f"/hotline/{log}",
        "ce_type": kind,
        "ce_subject": str(row.stream),
        "ce_time": row.recorded_at.astimezone(UTC).strftime(STAMP),
        "ce_dataschema": f"urn:hotline111:{kind}/{version}",
        "content-type": "application/json",
        "version": str(row.version),
    }
    values |= {name: meta[name] for name in PASSED_ON if name in meta}
    return [(name, value.encode()) for name, value in values.items()]


def texts_of(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """Those headers of a record that a relay writes, as text whatever they hold: a stranger may have written them."""
    known = ("content-type", "version", *PASSED_ON)
    return {name: (value or b"").decode("utf-8", "replace") for name, value in headers if name.startswith("ce_") or name in known}


def row_of(headers: Mapping[str, str], body: bytes) -> Row | None:
    """The row a record tells; None if it is not from a relay of ours."""
    try:
        stamp = datetime.fromisoformat(headers["ce_time"])
        if len(headers["ce_time"]) != STAMP_LENGTH or stamp.tzinfo is not UTC or not headers["ce_type"].isprintable():
            return None
        return Row(UUID(headers["ce_subject"]), int(headers["version"]), headers["ce_type"], body, int(headers["ce_id"]), stamp)
    except (KeyError, ValueError):
        return None


async def told_before(topic: TopicPartition, offset: int, kafka: str) -> int:
    """The greatest position in the records just before an offset; 0 where there is none. Raises a transient error if the broker
    does not answer."""
    async with consuming(kafka) as consumer, asyncio.timeout(PATIENCE):
        consumer.assign([topic])
        begin = (await consumer.beginning_offsets([topic]))[topic]
        end = min(offset, (await consumer.end_offsets([topic]))[topic])
        return max((row.position for row in await rows_told(topic, consumer, max(begin, end - LOOK_BACK), end)), default=0)


async def rows_told(topic: TopicPartition, reader: AIOKafkaConsumer, begin: int, end: int, enough: int = LOOK_BACK) -> list[Row]:
    """The rows told between two offsets, in order; about so many are enough. A stranger's record tells none."""
    found: list[Row] = []
    reader.seek(topic, begin)
    while await reader.position(topic) < end and len(found) < enough:
        records = (await reader.getmany(topic, timeout_ms=500)).get(topic, [])
        rows = (row_of(texts_of(record.headers), record.value or b"") for record in records if record.offset < end)
        found += [row for row in rows if row]
    return found

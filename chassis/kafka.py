"""The record on the wire: CloudEvents 1.0 in Kafka binary mode. The value is the row's exact bytes, the headers give the rest."""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from eventsourcing.persistence import JSONTranscoder

from chassis.log import Row

STAMP = "%Y-%m-%dT%H:%M:%S.%fZ"  # always six digits: the text of the ledger entry
STAMP_LENGTH = len("2026-01-05T02:41:00.000000Z")
PASSED_ON = ("cause", "correlation", "traceparent")


def topic_of(log: str) -> str:
    """The topic that only this log's relay writes."""
    return f"hotline.{log}.events.v1"


def headers_of(log: str, row: Row) -> list[tuple[str, bytes]]:
    """Headers of the record that tells this row."""
    meta = JSONTranscoder().decode(row.state).get("meta", {})
    kind, version = row.type, JSONTranscoder().decode(row.state).get("v", 1)
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


def row_of(headers: Mapping[str, str], body: bytes) -> Row | None:
    """The row a record tells; None if it is not from a relay of ours."""
    try:
        stamp = datetime.fromisoformat(headers["ce_time"])
        if len(headers["ce_time"]) != STAMP_LENGTH or stamp.tzinfo is not UTC:
            return None
        return Row(UUID(headers["ce_subject"]), int(headers["version"]), headers["ce_type"], body, int(headers["ce_id"]), stamp)
    except (KeyError, ValueError):
        return None

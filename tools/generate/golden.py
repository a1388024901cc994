"""Golden files: a stored state of every fact version ever told, each of which must be readable for ever.

A file is written once and never again, for what was told cannot be told differently. Its sealed part opens with `KEY`.
"""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from eventsourcing.persistence import JSONTranscoder, StoredEvent
from pydantic import AwareDatetime

from chassis.mapper import FactMapper, Recorded
from contracts.codes import Code, codes
from contracts.kernel import NS, Fact, Shape
from contracts.places import PlaceText
from tools.generate.model import CONTRACTS, Type, all_facts, fields_of, shape_in

KEY = bytes(range(32))
PLACE = "99801@2025-07-01"  # invented, like everything here
VALUES: Mapping[Any, Any] = {AwareDatetime: datetime(2026, 3, 3, 2, 35, tzinfo=UTC), date: date(2026, 3, 4), int: 1, bool: True}


def documents() -> dict[str, Any]:
    """`golden/<log>/<Fact>.v<n>.json` → its content, for the facts that have none yet."""
    named = {f"golden/{fact.log}/{fact.__name__}.v{fact.class_version}.json": fact for fact in all_facts()}
    return {name: _told(fact) for name, fact in named.items() if not (CONTRACTS / name).exists()}


def read(file: Path) -> StoredEvent:
    """The event that a golden file keeps."""
    kept = json.loads(file.read_bytes())
    return StoredEvent(UUID(kept["stream"]), kept["version"], kept["type"], JSONTranscoder().encode(kept["state"]))


def _told(kind: type[Fact]) -> dict[str, Any]:
    stream = _id(kind.TOPIC, "stream")
    meta = {
        "command": str(_id(kind.TOPIC, "command")),
        "actor": "TVV-01",
        "as": "counsellor",
        "occurred_at": "2026-03-03T02:35:00+00:00",
        "cause": f"rest:{_id(kind.TOPIC, 'key')}",
        "correlation": str(_id(kind.TOPIC, "contact")),
        "seen": "1",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    event = FactMapper(lambda _: KEY).to_stored_event(Recorded(stream, 2, sample(kind), meta))
    return {"type": kind.TOPIC, "stream": str(stream), "version": 2, "state": JSONTranscoder().decode(event.state)}


def sample(kind: type[Shape], at: str = "") -> Any:
    """One of this shape with every field filled, sealed ones too; ids are derived from where they stand."""
    place = at or kind.__name__
    return kind(**{name: _value(field, f"{place}.{name}") for name, field in fields_of(kind).items()})


def _value(field: Type, at: str) -> Any:
    value = _one(field, at)
    return [value] if field.many else value


def _one(field: Type, at: str) -> Any:
    if inner := shape_in(field):
        return sample(inner, at)
    if field.kind is UUID:
        return _id(at)
    for mark in field.marks:
        match mark:
            case Code():
                return codes(mark.list_id)[0]
            case PlaceText():
                return PLACE
    return VALUES.get(field.kind) or f"mẫu {at.rpartition('.')[2]}"


def _id(*at: str) -> UUID:
    return uuid5(NS, ":".join(("golden", *at)))

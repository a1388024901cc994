"""Facts that nobody can digest, told by a log of ours: they are parked with their reason, once by each who would act, and block nobody."""

import asyncio
import json
from collections.abc import Iterator
from importlib import import_module
from typing import Any
from uuid import uuid4

from eventsourcing.persistence import StoredEvent
from psycopg_pool import AsyncConnectionPool

from chassis.kafka import topic_of
from chassis.log import Log
from deploy.local.stack import SERVICES
from tests.faults.chaos import Chaos, fault
from tests.line import eventually

SCREENED = "intake.ReportScreened"


def poisons() -> Iterator[tuple[str, dict[str, Any]]]:
    """(type, state): fields missing, a newer schema version, no schema version, a type that nobody knows."""
    yield SCREENED, {"v": 1, "fact": {"decision": "open_case"}}
    yield SCREENED, {"v": 99, "fact": {}}
    yield SCREENED, {"fact": {}}
    yield "intake.SomethingNew", {"v": 1, "fact": {}}


@fault(
    "poison",
    "a log holds facts with fields missing, of a newer schema version, without one, and of a type that nobody knows",
    "each who would act on it parks it with its reason; everything else goes on",
)
def poison(chaos: Chaos) -> None:
    before = _parked(chaos)
    with chaos.strike():
        told = asyncio.run(_append(chaos))
    expected = {
        (service, position)
        for position, kind in told.items()
        for service in SERVICES
        if service != "intake" and _would_act(service, kind)
    }
    eventually(lambda: expected == _parked(chaos) - before, 60)
    chaos.repetitions = len(told)


def _would_act(service: str, kind: str) -> bool:
    if service == "projections":
        return True
    return any(reaction.hears.TOPIC == kind for reaction in import_module(f"services.{service}.reactions").REACTIONS)


def _parked(chaos: Chaos) -> set[tuple[str, int]]:
    query = "SELECT position FROM parked WHERE topic = %s"
    return {(service, place) for service in SERVICES for (place,) in chaos.line.rows(service, query, topic_of("intake"))}


async def _append(chaos: Chaos) -> dict[int, str]:
    """Position → type of each, appended as the service itself would."""
    found: dict[int, str] = {}
    async with AsyncConnectionPool(
        chaos.stack.postgres.uri("intake"), min_size=1, max_size=2, open=False, kwargs={"autocommit": True}
    ) as pool:
        log = Log("intake", pool)
        for kind, state in poisons():
            stream, command = uuid4(), uuid4()
            meta = {"command": str(command), "actor": "policy:poison", "cause": "origin:poison", "correlation": str(stream)}
            written = await log.append([StoredEvent(stream, 1, kind, json.dumps({"meta": meta} | state).encode())], command)
            found[written.positions.start] = kind
    return found

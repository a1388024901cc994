"""Facts that nobody can digest, told by a log of ours: they are parked with their reason, once by each who would act, and block nobody."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any
from uuid import UUID, uuid4

from eventsourcing.persistence import StoredEvent
from psycopg_pool import AsyncConnectionPool

from chassis.kafka import topic_of
from chassis.log import Log
from deploy.local.stack import SERVICES
from tests.faults.chaos import Chaos, fault
from tests.faults.kills import arm
from tests.line import CENTRE, eventually

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
    "each who would act on it parks it with its reason, or puts it aside if it is its own; everything else goes on",
)
def poison(chaos: Chaos) -> None:
    before = _parked(chaos)
    made = [(kind, state, uuid4()) for kind, state in poisons()]
    with chaos.strike():
        told = dict(zip(asyncio.run(_append(chaos, made)), [kind for kind, _, _ in made], strict=True))
    expected = {
        (service, position)
        for position, kind in told.items()
        for service in SERVICES
        if service != "intake" and _would_act(service, kind)
    }
    eventually(lambda: expected == _parked(chaos) - before, 60)
    aside = {position for (position,) in chaos.line.rows("intake", "SELECT position FROM put_aside")}
    chaos.expect({at for at, kind in told.items() if kind == SCREENED} <= aside, "intake did not put its own damaged facts aside")
    chaos.repetitions = len(told)


@fault(
    "poison discarded, and killed while its stream goes on",
    "a person discards a fact that cannot be digested; the worker dies between the effect of the next of its stream and its row",
    "the next is digested once, and the discarded one stays in the list, marked",
)
def discarded(chaos: Chaos) -> None:
    stream, query = uuid4(), "SELECT discarded_at IS NULL FROM parked WHERE topic = %s AND position = %s"
    first, second = asyncio.run(_append(chaos, [(SCREENED, {"v": 99, "fact": {}}, stream), (SCREENED, DISMISSED, stream)]))
    where = topic_of("intake")
    eventually(lambda: chaos.line.rows("cases", query, where, second), 60)
    file = chaos.stack.home / "failpoints" / "cases-worker"
    arm(file, "retry.after-reaction", 1, "kill")
    with chaos.strike():
        answer = chaos.line.surely(f"/cases/v1/parked/intake/{first}/discards", {"reason": "not_needed"}, "VH-01")
        chaos.expect(answer.is_success, answer.text)
        eventually(lambda: file.with_suffix(".hit").exists(), 60)
        file.with_suffix(".hit").unlink()
        eventually(lambda: not chaos.line.rows("cases", query, where, second), 60)
    chaos.expect(chaos.line.rows("cases", query, where, first) == [(False,)], "the discarded fact is not marked")


DISMISSED = {
    "v": 1,
    "fact": {
        "decision": "not_protection",
        "children": [],
        "received_at": "2026-01-05T02:41:00Z",
        "centre": CENTRE,
        "risk": "low",
        "protection_level": "PREVENTION",
        "emergency": False,
        "procedures": [],
        "send_to": [],
        "quick_report": False,
    },
}
"""A screening that asks nobody to do anything."""


def _would_act(service: str, kind: str) -> bool:
    if service == "projections":
        return True
    return any(reaction.hears.TOPIC == kind for reaction in import_module(f"services.{service}.reactions").REACTIONS)


def _parked(chaos: Chaos) -> set[tuple[str, int]]:
    query = "SELECT position FROM parked WHERE topic = %s"
    return {(service, place) for service in SERVICES for (place,) in chaos.line.rows(service, query, topic_of("intake"))}


async def _append(chaos: Chaos, facts: Sequence[tuple[str, dict[str, Any], UUID]]) -> list[int]:
    """Append (type, state, stream) in turn to intake, as the service itself would; their positions."""
    found: list[int] = []
    uri, versions = chaos.stack.postgres.uri("intake"), Counter[UUID]()
    async with AsyncConnectionPool(uri, min_size=1, max_size=2, open=False, kwargs={"autocommit": True}) as pool:
        log = Log("intake", pool)
        for kind, state, stream in facts:
            versions[stream] += 1
            command = uuid4()
            meta = {"command": str(command), "actor": "policy:poison", "cause": "origin:poison", "correlation": str(stream)}
            event = StoredEvent(stream, versions[stream], kind, json.dumps({"meta": meta} | state).encode())
            found.append((await log.append([event], command)).positions.start)
    return found

"""Decide and record: one use case for every command of every service, from REST, a reaction, a webhook or a timer alike."""

import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from eventsourcing.persistence import IntegrityError
from opentelemetry import propagate

from chassis import sealing
from chassis.log import NOTHING, History, Log, Row, Written, folded, recorded, told
from chassis.mapper import FactMapper, Meta, Recorded
from chassis.transient import StoreGone
from contracts.ids import command_id
from contracts.kernel import Command, Fact, Given, Refused
from contracts.rules import Rules

KEPT = 5000  # streams whose folded state is kept: the next command on one reads only what came since
ROUNDS = 20  # a stream so contended that twenty decisions in a row come too late is answered "try again"
RECOVERED = b"?"
"""Fingerprint of a command that was brought back from the topic, which tells who sent it but not with which body."""

Permit = Callable[[Any, Command], str]
"""May this be done to this state? Answers the capacity it is done in, or raises NotFound."""


class NotFound(Refused):
    """Nothing under this id, or nothing this caller may know of: both look alike."""

    def __init__(self) -> None:
        super().__init__("not-found")


class Stale(Refused):
    """The caller decided on a version that is no longer the latest."""


class KeyReused(Refused):
    """The same idempotency key with another body."""


@dataclass(frozen=True, slots=True)
class Call:
    """Who wants a command done, and why. cause: `rest:<key>`, `<log>:<position>`, `clock:<clock>@<version>` …

    seen: the version on the screen (`If-Match`). fingerprint: HMAC of actor and body, b"" where a repeat need not be compared.
    not_before: the stamp of the cause, so that nothing is recorded before what made it happen.
    """

    cause: str
    actor: str
    as_: str = "system"
    correlation: str = ""
    seen: int | None = None
    fingerprint: bytes = b""
    not_before: datetime | None = None
    permit: Permit | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command led to: the state at the version it produced, and the facts it told, sealed fields opened."""

    stream: UUID
    state: Any
    version: int
    position: int
    told: list[Recorded]

    @property
    def created(self) -> bool:
        return bool(self.told) and self.told[0].version == 1


Enrich = Callable[[UUID, Command], Awaitable[Command]]


@dataclass(frozen=True)
class Commands:
    """A service's domain over its log. `enrich` may fill what a command's body leaves to the service: a directory look-up."""

    log: Log
    decide: Callable[[Any, Any], Iterable[Fact]]
    evolve: Callable[[Any, Any], Any]
    rules: Rules
    enrich: Enrich | None = None
    _kept: OrderedDict[UUID, History] = field(default_factory=OrderedDict)

    async def past(self, stream: UUID) -> History:
        """A stream as it stands. Raises StoreGone if the database does not answer."""
        return (await self._look(stream, stream))[0]

    async def execute(self, stream: UUID, command: Command, call: Call) -> Outcome:
        """Decide and record; the same cause again gives the first answer again.

        Raises Refused (NotFound, Stale, KeyReused among them), or StoreGone if the outcome is unknown.
        """
        key = command_id(stream, call.cause, type(command).__name__)
        salt = os.urandom(16)
        for _ in range(ROUNDS):
            enriched = await self.enrich(stream, command) if self.enrich else command
            # Of one instant, and asked last: a twin that finished meanwhile is found, not decided upon.
            past, done = await self._look(stream, key)
            if done:
                return await self._repeat(stream, done, call)
            if past.state is None and not command.creates:
                raise NotFound
            given = Given(call.actor, call.as_, self.log.time.now(), self.rules, stream, salt)
            asked = enriched.knowing(given)
            if call.permit:
                given = Given(call.actor, call.permit(past.state, asked), given.now, self.rules, stream, salt)
                asked = asked.knowing(given)
            if call.seen not in (None, past.version):
                raise await self._stale(stream, call.seen or 0, past.version)
            facts = list(self.decide(asked, past.state))
            if not facts:
                return Outcome(stream, past.state, past.version, past.position, [])
            correlation = past.correlation or call.correlation or str(asked.story or stream)
            meta = _meta(key, given, asked, call, correlation)
            try:
                written = await self.log.record(stream, past.version, facts, key, meta, call.not_before, call.fingerprint)
            except IntegrityError:
                continue  # somebody was faster: look again, and decide again
            if not written.rows:
                return await self._repeat(stream, written, call)
            # Nothing is read back: what was written reads as it was decided (`tests/test_contracts.py` holds every fact to it).
            clear = [sealing.without(fact) for fact in facts]
            now = self._keep(stream, told(past, clear, meta, written.positions[-1], self.evolve))
            events = [_event(self.log.name, row, fact, meta) for row, fact in zip(written.rows, facts, strict=True)]
            return Outcome(stream, now.state, now.version, now.position, events)
        raise StoreGone("this stream is being changed by many at once")

    async def _look(self, stream: UUID, command: UUID) -> tuple[History, Written | None]:
        """The stream and, of the same instant, whether this command was recorded."""
        kept = self._kept.get(stream, NOTHING)
        done, rows = await self.log.look(stream, command, kept.version)
        if kept.version:
            if not rows or rows[0].position != kept.position:  # not the log we knew: its database was restored
                self._kept.pop(stream, None)
                return await self._look(stream, command)
            rows = rows[1:]
        return self._keep(stream, folded(kept, rows, self.evolve)), done

    def _keep(self, stream: UUID, history: History) -> History:
        """States are immutable and a history only grows, so the longest one known serves every later look."""
        if history.version > self._kept.get(stream, NOTHING).version:
            self._kept[stream] = history
            self._kept.move_to_end(stream)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return history

    async def _repeat(self, stream: UUID, done: Written, call: Call) -> Outcome:
        rows = await self.log.after(done.positions.start - 1, len(done.positions))
        events = await self.log.open(rows)
        if not _same(call, done, events[0].meta):
            raise KeyReused("key-reused")
        past = await self.log.load(stream, self.evolve, rows[-1].version)
        return Outcome(stream, past.state, past.version, done.positions[-1], events)

    async def _stale(self, stream: UUID, seen: int, current: int) -> Stale:
        changes = [_change(self.log.name, row) for row in await self.log.rows_of(stream, gt=seen)]
        return Stale("stale-version", seen=seen, current=current, changes=changes)


def _same(call: Call, done: Written, meta: Meta) -> bool:
    """Is it the intention that was recorded?"""
    if done.fingerprint == RECOVERED:
        return bool(call.actor == meta["actor"])
    return call.fingerprint == done.fingerprint


def _event(log: str, row: Row, fact: Fact, meta: Meta) -> Recorded:
    return Recorded(row.stream, row.version, fact, meta, log, row.position, row.recorded_at, row.state)


def _meta(key: UUID, given: Given, command: Command, call: Call, correlation: str) -> dict[str, str]:
    meta = {
        "command": str(key),
        "actor": given.actor,
        "as": given.as_,
        "occurred_at": command.happened_at.isoformat(),
        "cause": call.cause,
        "correlation": correlation,
    }
    if call.seen is not None:
        meta["seen"] = str(call.seen)
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    if "traceparent" in carrier:  # one contact is followed through every service; tracestate and baggage are a stranger's words
        meta["traceparent"] = carrier["traceparent"]
    return meta


def _change(log: str, row: Row) -> dict[str, Any]:
    event = recorded(log, row, FactMapper())
    return {"version": row.version, "type": row.type, "actor": event.meta["actor"], "at": row.recorded_at.isoformat()}

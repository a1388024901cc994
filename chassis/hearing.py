"""Hearing other services: act on exactly the next position, or do nothing; park what cannot be digested; never skip, never block.

A fact whose cause is a position of another log that this service also hears waits until that one was heard.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from eventsourcing.persistence import JSONTranscoder, MapperDeserialisationError
from opentelemetry import context, metrics, propagate, trace
from psycopg import AsyncConnection, Rollback
from psycopg_pool import AsyncConnectionPool

from chassis.commands import Call, Commands
from chassis.failpoints import reach
from chassis.follow import Handler, Handlers
from chassis.kafka import topic_of
from chassis.log import Row, recorded
from chassis.mapper import FactMapper, Recorded
from chassis.parked import BEHIND, digested, first_parked, is_parked, park, parked_again
from chassis.reaction import Reaction
from chassis.transient import TRANSIENT
from contracts.kernel import Refused

_MOVE = "UPDATE heard SET position = %s WHERE topic = %s AND partition = 0 AND position = %s"
log_ = structlog.get_logger("hotline.hearing")
tracer = trace.get_tracer("hotline")
meter = metrics.get_meter("hotline")
heard_ = meter.create_gauge("hotline.heard.position", description="last position heard of a log")
parked_ = meter.create_counter("hotline.parked", description="facts parked since the process started")


@dataclass
class Ears:
    """What one service hears. reactions command its own streams; copies keep small tables; both per fact type."""

    me: str
    pool: AsyncConnectionPool
    commands: Commands
    sources: Sequence[str]
    reactions: Sequence[Reaction]
    copies: Handlers = field(default_factory=dict)
    beyond: dict[str, int] = field(default_factory=dict)
    """The last position seen behind a gap, by log."""
    _heard: dict[str, int] = field(default_factory=dict)
    _saved: dict[str, int] = field(default_factory=dict)
    """What the table says; behind `_heard` by facts that are nobody's here, which nothing is lost by hearing again."""
    _moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def hear(self, source: str, row: Row, headers: Mapping[str, str]) -> None:
        """Act on the next position of a log once. Raises only what is transient."""
        last = self._heard[source]
        if row.position != last + 1:
            if row.position > last + 1:
                self.beyond[source] = row.position
                log_.error("a gap", source=source, waiting_for=last + 1, got=row.position)
            return  # heard before, or not yet its turn: the relay sends it again behind the missing one
        try:
            if not self._concerns(row.type):
                await self._cause_heard(row)
                await self._move(source, row.position)
                return
            async with self.pool.connection() as db:
                if await is_parked(db, source, row.stream):
                    raise MapperDeserialisationError(BEHIND)
            await self._cause_heard(row)
            reach("hearing.before-reaction")
            copy = await self._react(source, row, headers)
            reach("hearing.after-reaction")
            await self._advance(source, row, headers, copy)
            reach("hearing.after-heard")
        except TRANSIENT:
            raise
        except Exception as problem:  # whatever it is: park it, with its reason, and go on
            reason = _reason(problem)
            log_.warning("parked", source=source, position=row.position, type=row.type, reason=reason, exc_info=problem)
            if not await self._advance(source, row, headers, parked=reason):
                await self.hear(source, row, headers)

    async def again(self, source: str, stream: UUID) -> None:
        """Digest what is parked of a stream, in order, until one fails again: its effect first, then its row, as always.

        A repeat finds its commands done. Raises only what is transient.
        """
        if not self._heard:
            await self.remember()  # what a fact rests on may still have to be heard
        while parked := await self._first_parked(source, stream):
            row, headers = parked
            try:
                if not self._is_heard(_cause(row)):  # nobody waits here: other streams want to be digested too
                    raise MapperDeserialisationError("its cause is not heard yet")
                copy = await self._react(source, row, headers)
                reach("retry.after-reaction")
                async with self.pool.connection() as db, db.transaction():
                    if await digested(db, source, row) and copy:
                        handler, event = copy
                        await handler(db, event)
            except TRANSIENT:
                raise
            except Exception as problem:
                reason = _reason(problem)
                log_.warning("parked again", source=source, position=row.position, reason=reason, exc_info=problem)
                async with self.pool.connection() as db:
                    await parked_again(db, source, row, reason)
                return

    def _concerns(self, type_: str) -> bool:
        return any(kind.TOPIC == type_ for kind in (*(reaction.hears for reaction in self.reactions), *self.copies))

    async def _first_parked(self, source: str, stream: UUID) -> tuple[Row, dict[str, str]] | None:
        async with self.pool.connection() as db:
            return await first_parked(db, source, stream)

    async def _react(self, source: str, row: Row, headers: Mapping[str, str]) -> tuple[Handler, Recorded] | None:
        wanted = [reaction for reaction in self.reactions if reaction.hears.TOPIC == row.type]
        copy = next((handler for kind, handler in self.copies.items() if kind.TOPIC == row.type), None)
        event = recorded(source, row, FactMapper())
        with tracer.start_as_current_span(
            f"process {topic_of(source)}",
            context=propagate.extract(dict(headers), context=context.Context()),
            kind=trace.SpanKind.CONSUMER,
            record_exception=False,  # its message may quote a value
            set_status_on_exception=False,
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.type": "process",
                "messaging.destination.name": topic_of(source),
                "messaging.consumer.group.name": f"{self.me}.{source}",
                "hotline.position": row.position,
                "hotline.type": row.type,
                "hotline.correlation": event.meta.get("correlation", ""),
            },
        ):
            for reaction in wanted:
                await self._perform(reaction, event)
        return (copy, event) if copy else None

    async def _perform(self, reaction: Reaction, event: Recorded) -> None:
        for stream, command in reaction.commands(event):
            call = Call(
                cause=event.cause,
                actor=f"policy:{reaction.name}",
                correlation=event.meta.get("correlation", ""),
                not_before=event.recorded_at,
            )
            try:
                await self.commands.execute(stream, command, call)
            except Refused as why:
                if why.code not in reaction.done:
                    raise

    async def _cause_heard(self, row: Row) -> None:
        """Causes are recorded earlier than their effects, so waiting for them cannot come full circle."""
        cause = _cause(row)
        async with self._moved:
            await self._moved.wait_for(lambda: self._is_heard(cause))

    def _is_heard(self, cause: tuple[str, int]) -> bool:
        log, position = cause
        return self._heard.get(log, position) >= position

    def place(self, source: str) -> int:
        """The last position heard of a log."""
        return self._heard[source]

    # -- what has been heard -------------------------------------------------------------------------------------------------

    async def remember(self) -> None:
        """Begin where the table says."""
        async with self.pool.connection() as db:
            for source in self.sources:
                await db.execute("INSERT INTO heard VALUES (%s, 0, 0) ON CONFLICT DO NOTHING", (topic_of(source),))
                self._saved[source] = self._heard[source] = await _saved_in(db, source)
                heard_.set(self._heard[source], {"source": source})

    async def taken_over(self, source: str) -> None:
        """Another worker may have moved the place: take its word, unless we have heard more by facts that are nobody's here.

        A place that went back is that of a database put back to an older state.
        """
        async with self.pool.connection() as db:
            told, ours = await _saved_in(db, source), self._saved[source]
        self._saved[source] = told
        await self._move(source, told if told < ours else max(told, self._heard[source]))

    async def _advance(
        self,
        source: str,
        row: Row,
        headers: Mapping[str, str],
        copy: tuple[Handler, Recorded] | None = None,
        parked: str | None = None,
    ) -> bool:
        """Move the place, and keep what moves with it. False if it should wait behind what was digested meanwhile: it need not."""
        flows = False
        async with self.pool.connection() as db, db.transaction():
            moved = await db.execute(_MOVE, (row.position, topic_of(source), self._saved[source]))
            if moved.rowcount and copy:
                handler, event = copy
                await handler(db, event)
            if moved.rowcount and parked:
                if parked == BEHIND and not await is_parked(db, source, row.stream):
                    flows = True  # asked again now that nobody digests anything of this log before we are done
                    raise Rollback
                await park(db, source, row, headers, parked)
        if flows:
            return False
        if moved.rowcount and parked:
            parked_.add(1, {"source": source})
        if not moved.rowcount:
            await self.taken_over(source)
            return True
        self._saved[source] = row.position
        heard_.set(row.position, {"source": source})
        await self._move(source, row.position)
        return True

    async def save(self, source: str) -> None:
        """Write down how far facts that are nobody's here were heard: once a batch, for a crash only means hearing them again."""
        position = self._heard[source]
        if position == self._saved[source]:
            return
        async with self.pool.connection() as db:
            moved = await db.execute(_MOVE, (position, topic_of(source), self._saved[source]))
        if not moved.rowcount:
            await self.taken_over(source)
            return
        self._saved[source] = position
        heard_.set(position, {"source": source})

    async def _move(self, source: str, position: int) -> None:
        async with self._moved:
            self._heard[source] = position
            self._moved.notify_all()


async def _saved_in(db: AsyncConnection[Any], source: str) -> int:
    cursor = await db.execute("SELECT position FROM heard WHERE topic = %s AND partition = 0", (topic_of(source),))
    ((position,),) = await cursor.fetchall()
    return int(position)


def _cause(row: Row) -> tuple[str, int]:
    """Log and position of what caused a fact; 0 for what no log holds."""
    log, _, position = JSONTranscoder().decode(row.state)["meta"].get("cause", "").partition(":")
    return log, int(position) if position.isdigit() else 0


def _reason(problem: Exception) -> str:
    """What a person at the breach board reads: a refusal's code, or what the mapper says; of anything else only its kind."""
    if isinstance(problem, Refused):
        return problem.code
    return str(problem) if isinstance(problem, MapperDeserialisationError) else type(problem).__name__

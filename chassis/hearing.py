"""Hearing other services: act on exactly the next position, or do nothing; park what cannot be digested; never skip, never block.

A fact whose cause is a position of another log that this service also hears waits until that one was heard.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from logging import getLogger
from typing import Any
from uuid import UUID

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from eventsourcing.persistence import JSONTranscoder, MapperDeserialisationError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from opentelemetry import context, metrics, propagate, trace
from psycopg import AsyncConnection, Rollback
from psycopg_pool import AsyncConnectionPool

from chassis.commands import Call, Commands
from chassis.failpoints import reach
from chassis.follow import Handler, Handlers
from chassis.kafka import row_of, texts_of, told_before, topic_of
from chassis.log import Row, recorded
from chassis.mapper import FactMapper, Recorded
from chassis.parked import BEHIND, digested, first_parked, is_parked, park, parked_again
from chassis.reaction import Reaction
from chassis.transient import TRANSIENT, pauses
from contracts.kernel import Refused

LOOK_BACK_EVERY = 2.0  # seconds
BATCH = 500  # records taken at a time: their offset, and the place behind facts that are nobody's here, are written once
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
    kafka: str
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

    async def listen(self, up: Callable[[], None]) -> None:
        """Subscribe and react until cancelled. Raises a transient error if the broker cannot be reached at the start."""
        await self._remember()
        broker = KafkaBroker(
            self.kafka,
            parser=_legible,
            decoder=_raw,
            consumer_only=True,
            allow_auto_create_topics=False,
            graceful_timeout=0.5,  # seconds: hearing may end at any instruction, so nothing is gained by waiting for a handler
            logger=getLogger("hotline.kafka"),
        )
        places = [self._subscribe(broker, source) for source in self.sources]
        try:
            await broker.start()
            up()
            while True:
                await asyncio.sleep(LOOK_BACK_EVERY)
                for place in places:
                    await _patiently(place.source, place.look_back)
        finally:
            await broker.stop()

    def _subscribe(self, broker: KafkaBroker, source: str) -> "_Place":
        place = _Place(self, source)
        place.subscriber = broker.subscriber(
            topic_of(source),
            group_id=f"{self.me}.{source}",
            group_instance_id=f"{self.me}.{source}-0",  # static member: after kill -9 the successor starts within a second
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
            max_poll_interval_ms=86_400_000,  # a transient fault is waited out in place, however long it takes
            listener=place,
            batch=True,
            max_records=BATCH,
        )

        @place.subscriber
        async def on_records(msg: KafkaMessage) -> None:
            bodies: Any = msg.body
            for headers, body in zip(msg.batch_headers, bodies, strict=True):
                row = row_of(headers, body)
                if row is None:
                    log_.error("a record that is not from a relay was passed over", topic=topic_of(source))
                    continue
                await _patiently(source, partial(self.hear, source, row, headers))
            await _patiently(source, partial(self._save, source))

        return place

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
            await self._remember()  # what a fact rests on may still have to be heard
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

    async def _remember(self) -> None:
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

    async def _save(self, source: str) -> None:
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


@dataclass
class _Place(ConsumerRebalanceListener):
    """Where hearing begins. The group's offset is a hint; a database restored from a backup has heard less than it says."""

    ears: Ears
    source: str
    subscriber: Any = None
    missing: int = -1

    async def look_back(self) -> None:
        """At the end of a topic with something missing: another worker heard it, or the place went back: hear it again."""
        consumer = self.subscriber.consumer
        for topic in consumer.assignment() if consumer else ():
            end, place = consumer.highwater(topic), self.ears.place(self.source)
            if not end or await consumer.position(topic) < end or self.ears.beyond.get(self.source, 0) <= place:
                continue
            await self.ears.taken_over(self.source)
            if self.ears.place(self.source) == place and self.missing == place:  # still so at the second look
                log_.warning("looking back", source=self.source, heard=place)
                consumer.seek(topic, place)
            self.missing = place

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:  # pyrefly: ignore  # the library awaits it
        """A position stands at the offset before it or later, so to go back that far is always enough."""
        for topic in assigned:
            self.subscriber.consumer.seek(topic, await self._begin(topic, self.ears.place(self.source)))

    async def _begin(self, topic: TopicPartition, heard: int) -> int:
        """Where to go on. The group's offset is asked for once and then said: if the library asked again, another worker might have
        committed in between, and this one would begin behind what it has heard."""
        try:
            offset = await self.subscriber.consumer.committed(topic) or 0
            if offset <= heard or await told_before(topic, offset, self.ears.kafka) <= heard:
                return offset
        except TRANSIENT:  # the library would swallow it; what was heard before is passed over, so going back is never wrong
            return heard
        log_.warning("the group was ahead of what is heard", source=self.source, heard=heard)
        return heard

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # pyrefly: ignore
        """Nothing is kept that could be lost."""


async def _saved_in(db: AsyncConnection[Any], source: str) -> int:
    cursor = await db.execute("SELECT position FROM heard WHERE topic = %s AND partition = 0", (topic_of(source),))
    ((position,),) = await cursor.fetchall()
    return int(position)


async def _patiently(source: str, what: Callable[[], Awaitable[None]]) -> None:
    """Do it; what is transient is waited out in place, however long it takes."""
    for pause in pauses(longest=2):
        try:
            await what()
        except TRANSIENT as problem:
            log_.warning("waiting", source=source, seconds=pause, error=type(problem).__name__)
            await asyncio.sleep(pause)
        else:
            return


def _cause(row: Row) -> tuple[str, int]:
    """Log and position of what caused a fact; 0 for what no log holds."""
    log, _, position = JSONTranscoder().decode(row.state)["meta"].get("cause", "").partition(":")
    return log, int(position) if position.isdigit() else 0


def _reason(problem: Exception) -> str:
    """What a person at the breach board reads: a refusal's code, or what the mapper says; of anything else only its kind."""
    if isinstance(problem, Refused):
        return problem.code
    return str(problem) if isinstance(problem, MapperDeserialisationError) else type(problem).__name__


async def _legible(records: Any, parse: Callable[[Any], Awaitable[KafkaMessage]]) -> KafkaMessage:
    """The library's parser over headers that it can read: one that is no text would come back for ever, and one called `reply_to`
    would have our answer sent wherever a stranger likes."""
    return await parse(tuple(replace(record, headers=_encoded(texts_of(record.headers))) for record in records))


def _encoded(texts: Mapping[str, str]) -> list[tuple[str, bytes]]:
    return [(name, text.encode()) for name, text in texts.items()]


async def _raw(msg: KafkaMessage) -> Any:
    """A decoder that cannot fail: a bad body is ours to judge, not the acknowledgement policy's."""
    return msg.body

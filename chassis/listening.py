"""Listening to the topics of other services: begin where this service stopped hearing, in batches, and look back where something is
missing. What is done about a record is `chassis/hearing.py`."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from logging import getLogger
from typing import Any, cast

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from chassis.clients import PATIENCE, SILENT
from chassis.hearing import Ears
from chassis.kafka import row_of, texts_of, told_before, topic_of
from chassis.transient import TRANSIENT, pauses

LOOK_BACK_EVERY = 2.0  # seconds
BATCH = 500  # records taken at a time: their offset, and the place behind facts that are nobody's here, are written once
log_ = structlog.get_logger("hotline.hearing")


@dataclass(frozen=True)
class Listening:
    """What one service hears, and the broker that tells it."""

    ears: Ears
    kafka: str

    async def run(self, up: Callable[[], None]) -> None:
        """Subscribe and react until cancelled. Raises a transient error if the broker cannot be reached at the start."""
        await self.ears.remember()
        broker = KafkaBroker(
            self.kafka,
            parser=_legible,
            decoder=_raw,
            consumer_only=True,
            allow_auto_create_topics=False,
            graceful_timeout=0.5,  # seconds: hearing may end at any instruction, so nothing is gained by waiting for a handler
            logger=getLogger("hotline.kafka"),
        )
        places = [self._subscribe(broker, source) for source in self.ears.sources]
        try:
            await broker.start()
            up()
            while True:
                await asyncio.sleep(LOOK_BACK_EVERY)
                for place in places:
                    await _patiently(place.source, place.look_back)
                    await place.look_alive()
        finally:
            await broker.stop()

    def _subscribe(self, broker: KafkaBroker, source: str) -> "_Place":
        place = _Place(self.ears, self.kafka, source)
        place.subscriber = broker.subscriber(
            topic_of(source),
            group_id=f"{self.ears.me}.{source}",
            group_instance_id=f"{self.ears.me}.{source}-0",  # static member: after kill -9 the successor starts within a second
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
            max_poll_interval_ms=86_400_000,  # a transient fault is waited out in place, however long it takes
            listener=place,
            batch=True,
            max_records=BATCH,
        )

        @place.subscriber
        async def on_records(msg: KafkaMessage) -> None:
            bodies, records = cast("Any", msg.body), cast("Any", msg.raw_message)
            with place.at_work(records[-1].offset + 1):
                for headers, body in zip(msg.batch_headers, bodies, strict=True):
                    row = row_of(headers, body)
                    if row is None:
                        log_.error("a record that is not from a relay was passed over", topic=topic_of(source))
                        continue
                    await _patiently(source, partial(self.ears.hear, source, row, headers))
                await _patiently(source, partial(self.ears.save, source))

        return place


@dataclass
class _Place(ConsumerRebalanceListener):
    """Where hearing begins. The group's offset is a hint; a database restored from a backup has heard less than it says."""

    ears: Ears
    kafka: str
    source: str
    subscriber: Any = None
    missing: int = -1
    read: int = 0
    """The offset behind the last record that was taken, or where reading was begun."""
    works: bool = False
    since: float = field(default_factory=time.monotonic)
    """When this was last seen to be alive."""

    async def look_back(self) -> None:
        """At the end of a topic with something missing: another worker heard it, or the place went back: hear it again."""
        consumer = self.subscriber.consumer
        for topic in consumer.assignment() if consumer else ():
            end, place, read = consumer.highwater(topic), self.ears.place(self.source), 0
            with suppress(TimeoutError):  # whether anything is read at all is asked below
                async with asyncio.timeout(PATIENCE):
                    read = await consumer.position(topic)
            if not end or read < end or self.ears.beyond.get(self.source, 0) <= place:
                continue
            await self.ears.taken_over(self.source)
            if self.ears.place(self.source) == place and self.missing == place:  # still so at the second look
                log_.warning("looking back", source=self.source, heard=place)
                consumer.seek(topic, place)
                self.read = place
            self.missing = place

    @contextmanager
    def at_work(self, behind: int) -> Iterator[None]:
        """The records before this offset are being heard, however long that takes."""
        self.works = True
        try:
            yield
            self.read = behind
        finally:
            self.works, self.since = False, time.monotonic()

    async def look_alive(self) -> None:
        """Raises ConnectionError if for a while more was told than was read, and nobody is at work on what was, or nobody says how
        much was told: after an outage the library may fall silent for ever, without a word. Then the loop begins anew."""
        topic, end = TopicPartition(topic_of(self.source), 0), None
        with suppress(*TRANSIENT):
            async with asyncio.timeout(PATIENCE):
                end = (await self.subscriber.consumer.end_offsets([topic]))[topic]
        if self.works or (end is not None and end <= self.read):
            self.since = time.monotonic()
        elif time.monotonic() - self.since > SILENT:
            log_.error("nothing is heard though more was told", source=self.source, heard=self.ears.place(self.source), told=end)
            raise ConnectionError("nothing is heard")

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:  # pyrefly: ignore  # the library awaits it
        """A position stands at the offset before it or later, so to go back that far is always enough."""
        for topic in assigned:
            self.read = await self._begin(topic, self.ears.place(self.source))
            self.subscriber.consumer.seek(topic, self.read)

    async def _begin(self, topic: TopicPartition, heard: int) -> int:
        """Where to go on. The group's offset is asked for once and then said: if the library asked again, another worker might have
        committed in between, and this one would begin behind what it has heard."""
        try:
            offset = await self.subscriber.consumer.committed(topic) or 0
            if offset <= heard or await told_before(topic, offset, self.kafka) <= heard:
                return offset
        except TRANSIENT:  # the library would swallow it; what was heard before is passed over, so going back is never wrong
            return heard
        log_.warning("the group was ahead of what is heard", source=self.source, heard=heard)
        return heard

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # pyrefly: ignore
        """Nothing is kept that could be lost."""


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


async def _legible(records: Any, parse: Callable[[Any], Awaitable[KafkaMessage]]) -> KafkaMessage:
    """The library's parser over headers that it can read: one that is no text would come back for ever, and one called `reply_to`
    would have our answer sent wherever a stranger likes."""
    return await parse(tuple(replace(record, headers=_encoded(texts_of(record.headers))) for record in records))


def _encoded(texts: Mapping[str, str]) -> list[tuple[str, bytes]]:
    return [(name, text.encode()) for name, text in texts.items()]


async def _raw(msg: KafkaMessage) -> Any:
    """A decoder that cannot fail: a bad body is ours to judge, not the acknowledgement policy's."""
    return msg.body

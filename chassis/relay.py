"""Tells the log to its topic. The topic's last record is the checkpoint, so there is none to lose.

Any number of relays, zombies included, only ever append runs that start at or before end + 1: first occurrences stay in order and
without a gap, and hearers act on exactly the next position.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError
from opentelemetry import metrics

from chassis.clients import consuming, producing
from chassis.failpoints import reach
from chassis.kafka import LARGEST, LOOK_BACK, headers_of, rows_told, topic_of
from chassis.log import Log, Row

log_ = structlog.get_logger("hotline.relay")
told = metrics.get_meter("hotline").create_gauge("hotline.relay.position", description="last position told to the topic")
BATCH, BYTES = 1000, 500_000  # records read at once, and bytes that make a batch for the broker
PATIENCE, ASK_EVERY = 5.0, 2.0  # seconds


class TopicAheadError(Exception):
    """The topic tells more than the log holds, or something else: restored from an old backup, or rewritten. A person must look."""


class SomebodyElseWrote(KafkaError):
    """The topic does not lie as this relay left it: another one tells it too, or it was emptied. Starting over puts it right."""


@dataclass(frozen=True, slots=True)
class Told:
    """How a topic lies: the offsets of its first record and behind its last, the first position that it tells, and the greatest
    with what it tells there: one state, or also that of a stranger."""

    begin: int
    end: int
    first: int = 0
    last: int = 0
    states: frozenset[bytes] = frozenset()


@dataclass(slots=True)
class Acknowledged:
    """The last position that the relay of this process knows to be in the topic; 0 while it knows nothing."""

    position: int = 0


async def relay(log: Log, kafka: str, up: Callable[[], None], acknowledged: Acknowledged | None = None) -> None:
    """Runs until cancelled; calls `up` once it works. Raises a transient error to be started again, TopicAheadError to end all."""
    topic = TopicPartition(topic_of(log.name), 0)
    async with consuming(kafka) as reader:
        lies = await _ready(log, topic, kafka, reader)
        async with producing(kafka, max_batch_size=BYTES, max_request_size=LARGEST) as producer:
            await _Teller(log, topic, reader, producer, acknowledged or Acknowledged()).tell(lies, up)


async def not_ahead(log: Log, kafka: str) -> None:
    """Raises TopicAheadError if the topic tells more than the log holds. Asked before anything in a worker may append: a clock that
    is due in a restored log would be breached at a position of which the topic tells something else, and hide what is missing."""
    async with consuming(kafka) as reader:
        await _known(log, await how_it_lies(TopicPartition(topic_of(log.name), 0), reader))


async def _known(log: Log, lies: Told) -> None:
    if lies.last > (head := await log.head()):
        raise TopicAheadError(
            f"the topic is at {lies.last} but the log at {head}: restored from an old backup? first missing: {head + 1}"
        )
    rows = await log.after(lies.last - 1, 1) if lies.last else []
    if rows and rows[0].state not in lies.states:  # the log went on after it was restored, and grew past what is missing
        raise TopicAheadError(
            f"at {lies.last} the topic tells something else than the log: restored from an old backup and written to?"
        )


async def _ready(log: Log, topic: TopicPartition, kafka: str, reader: AIOKafkaConsumer) -> Told:
    """How the topic lies, fit to be told on. One that lost its beginning is emptied: nobody new could read it from position 1."""
    lies = await how_it_lies(topic, reader)
    await _known(log, lies)
    if lies.first > 1:
        log_.error("the topic lost its beginning and is told anew", log=log.name, begins_with=lies.first)
        await empty(topic, kafka)
        return await how_it_lies(topic, reader)
    return lies


@dataclass(frozen=True, slots=True)
class _Teller:
    log: Log
    topic: TopicPartition
    reader: AIOKafkaConsumer
    producer: AIOKafkaProducer
    acknowledged: Acknowledged

    async def tell(self, lies: Told, up: Callable[[], None]) -> None:
        """Everything behind what the topic tells, then what comes."""
        up()
        position, end, rows = lies.last, lies.end, await self.log.after(lies.last, BATCH)
        self.acknowledged.position = position
        asked = time.monotonic()
        while True:
            if rows:
                offset, following = await self._run(position, rows)
                position, end = rows[-1].position, end + len(rows)
                told.set(position, {"log": self.log.name})
                if offset != end - 1:
                    raise SomebodyElseWrote
                self.acknowledged.position = position
                rows = following
            elif time.monotonic() - asked > ASK_EVERY:  # an idle producer notices neither that the broker is gone nor who writes
                if await _ends(self.topic, self.reader) != (lies.begin, end):
                    raise SomebodyElseWrote
                asked = time.monotonic()
            else:
                await self.log.grown(position)
                rows = await self.log.after(position, BATCH)

    async def _run(self, position: int, rows: list[Row]) -> tuple[int, list[Row]]:
        """Tell these rows, reading on meanwhile if there are more; the offset of the last one, and the rows that follow."""
        if rows[-1].position != position + len(rows):
            last = next(last for last, row in enumerate(rows, position) if row.position != last + 1)
            raise RuntimeError(f"the log of {self.log.name} has a hole after {last}: tampering or loss")
        reach("relay.before-send")
        following: list[Row] = []
        async with asyncio.timeout(PATIENCE):  # starting over is always safe, so waiting for ever never is
            if len(rows) < BATCH:
                offset = await self._send(rows)
            else:
                offset, following = await asyncio.gather(self._send(rows), self.log.after(rows[-1].position, BATCH))
        reach("relay.after-send")
        return offset, following

    async def _send(self, rows: Sequence[Row]) -> int:
        """Hand the rows over in order and wait until the broker has them all; the offset of the last one."""
        offset, now = -1, int(time.time() * 1000)
        for part in _parts(rows):
            if part[-1] is rows[-1]:
                reach("relay.mid-batch")
            batch = self.producer.create_batch()
            for row in part:
                batch.append(timestamp=now, key=row.stream.bytes, value=row.state, headers=headers_of(self.log.name, row))
            placed = await (await self.producer.send_batch(batch, self.topic.topic, partition=self.topic.partition))
            offset = placed.offset + len(part) - 1
        return offset


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Runs of rows that fit into one batch for the broker; a row that is larger than that is one of its own."""
    begin, size = 0, 0
    for n, row in enumerate(rows):
        size += len(row.state) + 700  # what headers and key take at most
        if size > BYTES and n > begin:
            yield rows[begin:n]
            begin, size = n, len(row.state) + 700
    yield rows[begin:]


# -- the topic as it lies ----------------------------------------------------------------------------------------------------------


async def how_it_lies(topic: TopicPartition, reader: AIOKafkaConsumer) -> Told:
    """What the topic tells, from a look at both its ends. A stranger's record tells nothing."""
    begin, end = await _ends(topic, reader)
    if end > begin:
        reader.assign([topic])
        async with asyncio.timeout(3 * PATIENCE):
            heads = await rows_told(topic, reader, begin, min(end, begin + LOOK_BACK), enough=1)
            tails = await rows_told(topic, reader, max(begin, end - LOOK_BACK), end)
        reader.unsubscribe()
        last = max((row.position for row in tails), default=0)
        states = frozenset(row.state for row in tails if row.position == last)
        return Told(begin, end, heads[0].position if heads else 0, last, states)
    return Told(begin, end)


async def _ends(topic: TopicPartition, reader: AIOKafkaConsumer) -> tuple[int, int]:
    """Raises a transient error if the broker does not answer."""
    async with asyncio.timeout(PATIENCE):
        begin, end = await asyncio.gather(reader.beginning_offsets([topic]), reader.end_offsets([topic]))
    return begin[topic], end[topic]


async def empty(topic: TopicPartition, kafka: str) -> None:
    """Delete every record of a topic; offsets go on."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_records({topic: RecordsToDelete(before_offset=-1)})
    finally:
        await admin.close()

"""Clients of the broker that leave nothing behind, however they end: a loop may start anew a thousand times in one outage."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

from chassis.transient import is_ending

log_ = structlog.get_logger("hotline.kafka")
FLUSH = 1.0  # seconds for what a producer still holds; the next one tells it again
SILENT = 20.0  # seconds: longer than a reader takes to come back after an outage
PATIENCE = 10.0  # seconds for the broker to say where a topic ends


@contextlib.asynccontextmanager
async def consuming(kafka: str, **settings: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer. Raises a transient error if the broker does not answer."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, **settings)
    try:
        await consumer.start()
        yield consumer
    finally:
        try:
            with _ours():
                await consumer.stop()
        finally:
            await consumer._client.close()


@contextlib.asynccontextmanager
async def producing(kafka: str, **settings: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer, idempotent, that waits for every replica. Raises a transient error if the broker does not answer."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True, acks="all", **settings)
    try:
        await producer.start()
        yield producer
    finally:
        try:
            with _ours(), contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH):
                    await producer.stop()
            if sender := producer._sender:  # else it goes on sending when nobody waits for it any more
                with _ours():
                    await sender.close()
        finally:
            await producer.client.close()


@dataclass
class Watch:
    """Over a reader of one topic, for its loop to ask while nothing comes: after an outage the library may fall silent for ever,
    without a word."""

    consumer: AIOKafkaConsumer
    topic: TopicPartition
    _read: int = -1
    _since: float = field(default_factory=time.monotonic)

    async def at_end(self) -> bool:
        """Is everything read that was told? Raises a transient error if the broker does not answer, and ConnectionError if for a
        while more was told than was read and nothing came: then the loop begins anew."""
        async with asyncio.timeout(PATIENCE):  # else it would wait for ever for a client that lost its way
            end = (await self.consumer.end_offsets([self.topic]))[self.topic]
            read = await self.consumer.position(self.topic)
        if read >= end or read != self._read:
            self._read, self._since = read, time.monotonic()
        elif time.monotonic() - self._since > SILENT:
            log_.error("nothing is read though more was told", topic=self.topic.topic, read=read, told=end)
            raise ConnectionError("nothing is read")
        return bool(read >= end)


def _or_broken(send: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(send)
    def sends(self: AIOKafkaConnection, *args: Any, **given: Any) -> Any:
        try:
            return send(self, *args, **given)
        except RuntimeError as problem:
            self.close(reason=CloseReason.CONNECTION_BROKEN, exc=problem)
            raise KafkaConnectionError("the connection is closed") from problem

    return sends


for name in ("send", "_send_sasl_token"):
    setattr(AIOKafkaConnection, name, _or_broken(getattr(AIOKafkaConnection, name)))
"""uvloop raises RuntimeError where one writes to a connection that the broker has just closed; aiokafka expects OSError there (its
issue 1038, open in 0.14). The task that hit it died in silence: it was the one that learns where the broker is, or one that joins a
group, and whatever hung on it waited for ever while everything else came back."""


@contextlib.contextmanager
def _ours() -> Iterator[None]:
    """Only a cancellation that is meant for this task passes.

    aiokafka cancels tasks of its own and waits for them. One that had not begun by then, because what followed the start failed at
    once, lets its cancellation escape: the connections then stayed open for ever, and the error that ended the loop was lost.
    """
    try:
        yield
    except asyncio.CancelledError:
        if is_ending():
            raise

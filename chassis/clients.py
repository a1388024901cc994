"""Clients of the broker that leave nothing behind, however they end: a loop may start anew a thousand times in one outage."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from chassis.transient import is_ending

FLUSH = 1.0  # seconds for what a producer still holds; the next one tells it again


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

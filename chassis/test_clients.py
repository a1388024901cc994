"""Clients of a real broker: whatever ends them, no connection stays open, and the caller's own error comes through."""

import asyncio

import psutil
import pytest

from chassis.clients import consuming, producing
from chassis.transient import StoreGone

pytestmark = [pytest.mark.anyio, pytest.mark.real]
AGAIN = 3


def connections(kafka):
    """Of this process to the broker."""
    port = int(kafka.rpartition(":")[2])
    return sum(each.raddr and each.raddr.port == port for each in psutil.Process().net_connections("tcp"))


async def fetching(consumer, topic):
    """At the end of a topic, where a fetch is always under way."""
    consumer.assign([topic.partition])
    await consumer.seek_to_beginning(topic.partition)
    await consumer.getmany(topic.partition, timeout_ms=300)


async def nothing(consumer, topic):
    """The next thing fails before anything else was done."""


@pytest.mark.parametrize("work", [nothing, fetching])
async def test_a_consumer_lets_the_error_through_that_ends_it_and_leaves_no_connection(world, work):
    topic = await world.topic()
    before = connections(topic.kafka)
    for _ in range(AGAIN):
        with pytest.raises(StoreGone):
            async with consuming(topic.kafka) as consumer:
                await work(consumer, topic)
                raise StoreGone
    assert before == connections(topic.kafka)


async def test_a_consumer_whose_task_is_cancelled_leaves_no_connection_and_lets_the_cancellation_through(world):
    topic = await world.topic()
    before, started = connections(topic.kafka), asyncio.Event()

    async def work():
        async with consuming(topic.kafka) as consumer:
            await fetching(consumer, topic)
            started.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert before == connections(topic.kafka)


async def test_a_producer_whose_broker_hangs_is_not_waited_for_and_leaves_no_connection(world, kafka):
    topic = await world.topic()
    before = connections(topic.kafka)
    async with producing(topic.kafka) as producer:
        await producer.send_and_wait(topic.partition.topic, b"{}", partition=0)
        process = psutil.Process(kafka.process.pid)
        process.suspend()
        try:
            await producer.send(topic.partition.topic, b"{}", partition=0)
        finally:
            asyncio.get_running_loop().call_later(3, process.resume)
    assert before == connections(topic.kafka)

"""Clients of a real broker: whatever ends them, no connection stays open, and the caller's own error comes through."""

import asyncio

import psutil
import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from chassis import clients
from chassis.clients import Watch, consuming, producing
from chassis.loop import on_its_loop
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


async def test_a_reader_that_has_read_everything_may_be_silent_for_long(world, monkeypatch):
    monkeypatch.setattr(clients, "SILENT", 0.2)
    topic = await world.topic()
    async with consuming(topic.kafka, auto_offset_reset="earliest") as consumer:
        await fetching(consumer, topic)
        watch = Watch(consumer, topic.partition)
        for _ in range(5):
            assert await watch.at_end()
            await asyncio.sleep(0.1)


async def test_a_reader_that_gets_nothing_of_what_is_told_is_noticed(world, monkeypatch):
    """As was seen after a kill of the broker: one topic was read no more, nothing was said, and everything else went on."""
    monkeypatch.setattr(clients, "SILENT", 1.0)
    topic, before = await world.topic(), asyncio.all_tasks()
    async with consuming(topic.kafka, auto_offset_reset="earliest") as consumer, producing(topic.kafka) as producer:
        await fetching(consumer, topic)
        watch = Watch(consumer, topic.partition)
        assert await watch.at_end()
        for each in asyncio.all_tasks() - before:
            if each.get_coro().__name__ == "_fetch_requests_routine":
                each.cancel()
        for _ in range(2):  # a fetch that was under way may still bring the first
            await producer.send_and_wait(topic.partition.topic, b"{}", partition=0)
            await consumer.getmany(topic.partition, timeout_ms=1000)
        with pytest.raises(ConnectionError, match="nothing is read"):
            async with asyncio.timeout(20):
                while not await watch.at_end():
                    await consumer.getmany(topic.partition, timeout_ms=100)


def test_on_uvloop_a_connection_that_was_just_closed_is_a_broken_one_and_the_broker_is_found_again(kafka):
    """As after a kill of the broker: to write to a closed connection is a RuntimeError there, and the task that did so died."""

    async def cut():
        async with consuming(kafka.bootstrap) as consumer:
            client = consumer._client
            assert await client.force_metadata_update()
            (connection,) = client._conns.values()
            connection._writer.transport.abort()
            await asyncio.sleep(0)  # the handle is closed; the library has not seen it yet
            with pytest.raises(KafkaConnectionError):
                await connection.send(MetadataRequest(None))
            async with asyncio.timeout(10):
                await client.force_metadata_update()  # on its way when the connection broke, perhaps
                return await client.force_metadata_update()

    assert on_its_loop(cut())

"""Telling a log, over a real broker: every row once and in order, its exact bytes, whatever else is in the topic."""

import asyncio
from uuid import uuid4

import psycopg
import pytest
from aiokafka.admin import RecordsToDelete

from chassis.kafka import headers_of
from chassis.log import Log
from chassis.relay import SomebodyElseWrote, TopicAheadError, not_ahead, relay
from tests.topics import Said, relaying, running, say

pytestmark = [pytest.mark.anyio, pytest.mark.real]


async def test_every_row_is_told_once_in_order_and_as_its_exact_bytes(world):
    topic = await world.topic()
    log = await world.log(topic.log)
    await say(log, "one", "two")
    async with relaying(log, topic):
        await say(log, "three")
        await topic.holds(3)
    rows = await log.after(0, 10)
    records = await topic.records()
    assert [(r.stream.bytes, r.state, headers_of(log.name, r)) for r in rows] == [
        (record.key, record.value, list(record.headers)) for record in records
    ]


async def test_a_relay_that_starts_again_goes_on_where_the_topic_ends(world):
    topic = await world.topic()
    log = await world.log(topic.log)
    for words in (["one"], ["two", "three"], []):
        await say(log, *words)
        async with relaying(log, topic):
            await topic.holds(await log.head())
    assert [1, 2, 3] == await topic.positions()


async def test_two_relays_at_once_notice_each_other_and_first_occurrences_stay_in_order_without_a_gap(world):
    topic = await world.topic()
    log = await world.log(topic.log)
    noticed = 0

    async def zombie():
        nonlocal noticed
        while not asyncio.current_task().cancelling():  # the library may swallow it while it stops, as in chassis/service.py
            try:
                await relay(log, topic.kafka, lambda: None)
            except SomebodyElseWrote:
                noticed += 1

    await say(log, *(f"w{n}" for n in range(10)))
    async with running(zombie()), running(zombie()):
        for n in range(10):
            await say(log, f"x{n}", f"y{n}")
            await topic.tells(12 + 2 * n)
    assert noticed
    assert list(range(1, 31)) == list(dict.fromkeys(await topic.positions()))


async def test_a_relay_that_finds_somebody_else_writing_its_topic_starts_over(world):
    topic = await world.topic()
    log = await world.log(topic.log)
    await say(log, "one", "two")
    with pytest.raises(SomebodyElseWrote):
        async with relaying(log, topic) as task:
            await topic.tells(2)
            await topic.stranger()
            await say(log, "three")
            await asyncio.wait([task], timeout=20)


async def test_an_emptied_topic_is_refilled_from_the_first_position(world):
    topic = await world.topic()
    log = await world.log(topic.log)
    await say(log, "one", "two", "three")
    async with relaying(log, topic):
        await topic.holds(3)
    await topic.empty()
    assert [] == await topic.positions()
    async with relaying(log, topic):
        await topic.holds(3)
    assert [1, 2, 3] == await topic.positions()


async def test_an_idle_relay_notices_that_its_topic_lost_its_beginning_and_the_next_one_tells_it_anew(world):
    topic = await world.topic()
    log = await world.log(topic.log)
    await say(log, "one", "two", "three")
    with pytest.raises(SomebodyElseWrote):
        async with relaying(log, topic) as task:
            await topic.holds(3)
            await topic.admin.delete_records({topic.partition: RecordsToDelete(before_offset=2)})
            await asyncio.wait([task], timeout=20)
    assert [3] == await topic.positions()
    async with relaying(log, topic):
        await topic.tells(3)
    assert [1, 2, 3] == await topic.positions()


async def test_many_rows_and_one_of_megabytes_are_told_in_order_in_as_many_batches_as_it_takes(world):
    topic = await world.topic()
    log = await world.log(topic.log)
    words = ["x" * size for size in (300_000, 300_000, 1_600_000, 5)]
    stream = await say(log, *words)
    facts = [Said(word=str(n), to=stream) for n in range(2500)]
    await log.record(stream, len(words), facts, uuid4(), {"cause": "rest:1", "correlation": str(stream)})
    async with relaying(log, topic):
        await topic.tells(2504)
    assert list(range(1, 2505)) == await topic.positions()
    assert [row.state for row in await log.after(0, 4)] == [record.value for record in (await topic.records())[:4]]


async def test_a_topic_ahead_of_its_log_is_refused_and_what_is_missing_is_named(world):
    topic = await world.topic()
    log = await world.log(topic.log)
    await say(log, "one", "two", "three", "four")
    async with relaying(log, topic):
        await topic.holds(4)
    restored = await world.log(topic.log)
    await say(restored, "one", "two")
    for asked in (relay(restored, topic.kafka, lambda: None), not_ahead(restored, topic.kafka)):
        with pytest.raises(TopicAheadError, match="at 4 but the log at 2.*first missing: 3"):
            await asyncio.wait_for(asked, 20)
    await not_ahead(log, topic.kafka)
    assert [1, 2, 3, 4] == await topic.positions()


async def test_a_restored_log_that_was_written_to_before_its_relay_looked_is_refused(world):
    topic = await world.topic()
    log = await world.log(topic.log)
    await say(log, "one", "two", "three")
    async with relaying(log, topic):
        await topic.holds(3)
    restored = await world.log(topic.log)
    await say(restored, "one", "two", "another three", "four")
    with pytest.raises(TopicAheadError, match="at 3 the topic tells something else than the log"):
        await asyncio.wait_for(relay(restored, topic.kafka, lambda: None), 20)
    assert [1, 2, 3] == await topic.positions()


async def test_a_hole_in_the_log_stops_the_relay_in_front_of_it(world, templates):
    topic = await world.topic()
    database, pool = await world.open_pool()
    log = Log(topic.log, pool)
    await say(log, "one", "two", "three")
    with psycopg.connect(templates.uri(database), autocommit=True) as db:
        db.execute("ALTER TABLE event DISABLE TRIGGER ALL")
        db.execute("DELETE FROM event WHERE position = 2")
    with pytest.raises(RuntimeError, match="hole after 1"):
        await asyncio.wait_for(relay(log, topic.kafka, lambda: None), 20)
    assert 3 not in await topic.positions()


async def test_a_strangers_record_at_the_end_keeps_no_relay_from_going_on(world):
    topic = await world.topic()
    log = await world.log(topic.log)
    await say(log, "one")
    async with relaying(log, topic):
        await topic.holds(1)
    await topic.stranger()
    await topic.stranger(ce_id="seven", version=None)
    await topic.stranger(ce_id="7", ce_type="spoken.Said")
    await say(log, "two")
    async with relaying(log, topic):
        await topic.holds(5)
    assert [b"1", None, b"seven", b"7", b"2"] == [dict(record.headers).get("ce_id") for record in await topic.records()]

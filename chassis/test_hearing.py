"""Hearing other logs, over a real broker and real databases: act on exactly the next position, or do nothing; park, and go on."""

import asyncio
import json
from dataclasses import replace
from types import SimpleNamespace
from uuid import uuid4

import psycopg
import pytest
import structlog
from aiokafka import AIOKafkaConsumer

from chassis import listening
from chassis.hearing import Ears
from tests.listeners import listener_to
from tests.topics import Said, relaying, row, say, until

pytestmark = [pytest.mark.anyio, pytest.mark.real]


@pytest.fixture(autouse=True)
def said_in_the_log():
    with structlog.testing.capture_logs() as lines:
        yield lines


async def test_everything_said_is_noted_once_with_its_cause(world):
    topic = await world.topic()
    log, listener = await world.log(topic.log), await listener_to(world, topic)
    async with relaying(log, topic), listener.listening():
        stream = await say(log, "one", "two", "three")
        await listener.has_heard(topic.log, 3)
    assert ["one", "two", "three"] == await listener.words(stream)
    assert [f"{topic.log}:{n}" for n in (1, 2, 3)] == [cause for cause, _ in await listener.notes()]
    (first, *_) = [json.loads(noted.state)["meta"] for noted in await listener.log.after(0, 1)]
    assert ("policy:note", str(stream)) == (first["actor"], first["correlation"])


POISON = {
    "not UTF-8": (b"\xff\xfe\x00", "UnicodeDecodeError"),
    "empty": (b"", "JSONDecodeError"),
    "no fact": (b'{"v":1,"meta":{"cause":"rest:1"}}', "spoken.Said cannot be read: KeyError"),
    "fields missing": (b'{"v":1,"meta":{"cause":"rest:1"},"fact":{}}', "spoken.Said has an unexpected shape"),
    "a newer version": (b'{"v":2,"meta":{"cause":"rest:1"},"fact":{}}', "spoken.Said version 2 is newer than this reader"),
    "no meta": (b'{"v":1,"fact":{}}', "KeyError"),
    "a list": (b"[]", "TypeError"),
}


async def test_what_cannot_be_digested_is_parked_once_with_its_reason_and_everything_else_goes_on(world):
    topic = await world.topic()
    listener = await listener_to(world, topic)
    good, last = uuid4(), len(POISON) + 2
    async with listener.listening():
        await topic.send(row(1, Said(word="before", to=good), stream=good))
        for position, (body, _) in enumerate(POISON.values(), 2):
            await topic.send(row(position, Said(word="x", to=good), stream=uuid4()), body=body)
        await topic.send(row(last, Said(word="after", to=good), stream=good, version=2))
        await listener.has_heard(topic.log, last)
    assert ["before", "after"] == await listener.words(good)
    assert list(enumerate((reason for _, reason in POISON.values()), 2)) == await listener.parked()
    ((body, headers),) = await listener.fetch("SELECT body, headers FROM parked WHERE position = 2")
    assert (b"\xff\xfe\x00", "2", "spoken.Said") == (bytes(body), headers["ce_id"], headers["ce_type"])


async def test_the_rest_of_a_parked_stream_is_parked_too_and_no_other_stream(world):
    topic = await world.topic()
    listener = await listener_to(world, topic)
    sick, well = uuid4(), uuid4()
    async with listener.listening():
        await topic.send(row(1, Said(word="one", to=sick), stream=sick))
        await topic.send(row(2, Said(word="two", to=sick), stream=sick, version=2), body=b"{")
        await topic.send(row(3, Said(word="three", to=sick), stream=sick, version=3))
        await topic.send(row(4, Said(word="four", to=well), stream=well))
        await listener.has_heard(topic.log, 4)
    async with listener.listening():  # after a restart, too
        await topic.send(row(5, Said(word="five", to=sick), stream=sick, version=4))
        await topic.send(row(6, Said(word="six", to=well), stream=well, version=2))
        await listener.has_heard(topic.log, 6)
    behind = "an earlier event of this stream is parked"
    assert [(2, "JSONDecodeError"), (3, behind), (5, behind)] == await listener.parked()
    assert (["one"], ["four", "six"]) == (await listener.words(sick), await listener.words(well))


async def test_a_refusal_parks_with_its_code_unless_it_means_that_it_is_done_and_a_fault_parks_with_its_name(world):
    topic = await world.topic()
    log, listener = await world.log(topic.log), await listener_to(world, topic)
    for word in ("forbidden", "known", "fault", "fine"):
        stream = await say(log, word)
    async with relaying(log, topic), listener.listening():
        await listener.has_heard(topic.log, 4)
    assert [(1, "forbidden-word"), (3, "ZeroDivisionError")] == await listener.parked()
    assert ["fine"] == await listener.words(stream)


async def test_a_strangers_record_is_passed_over(world):
    topic = await world.topic()
    listener = await listener_to(world, topic)
    stream = uuid4()
    first = row(1, Said(word="one", to=stream), stream=stream)
    async with listener.listening():
        await topic.stranger()
        await topic.stranger(ce_id="1", ce_type="spoken.Said")
        await topic.send(first, ce_id="one")
        await topic.send(first, ce_subject="nobody")
        await topic.send(first, ce_time="yesterday")
        await topic.send(first, ce_type="spoken.Said\0")
        await topic.stranger(ce_id=None, version=None)
        await topic.send(first)
        await listener.has_heard(topic.log, 1)
    assert (["one"], []) == (await listener.words(stream), await listener.parked())


async def test_a_record_heard_twice_has_no_second_effect(world):
    topic = await world.topic()
    listener = await listener_to(world, topic)
    stream = uuid4()
    rows = [row(n, Said(word=f"w{n}", to=stream), stream=stream, version=n) for n in (1, 2, 3)]
    async with listener.listening():
        for each in (rows[0], rows[0], rows[1], rows[0], rows[1], rows[1], rows[2], rows[0]):
            await topic.send(each)
        await listener.has_heard(topic.log, 3)
    assert ["w1", "w2", "w3"] == await listener.words(stream)
    assert [] == await listener.parked()


async def test_a_gap_waits_for_what_is_missing_and_then_goes_on(world):
    topic = await world.topic()
    listener = await listener_to(world, topic)
    stream = uuid4()
    rows = {n: row(n, Said(word=f"w{n}", to=stream), stream=stream, version=n) for n in range(1, 6)}
    async with listener.listening():
        for n in (1, 2, 4, 5):
            await topic.send(rows[n])
        await listener.has_heard(topic.log, 2)
        await topic.send(rows[1])  # heard after 4 and 5, so these were looked at
        for n in (3, 4, 5):
            await topic.send(rows[n])
        await listener.has_heard(topic.log, 5)
    assert [f"w{n}" for n in range(1, 6)] == await listener.words(stream)


async def test_a_worker_that_began_too_late_looks_back_and_hears_what_it_passed(world):
    topic = await world.topic()
    listener = await listener_to(world, topic)
    stream = uuid4()
    for n in range(1, 5):
        await topic.send(row(n, Said(word=f"w{n}", to=stream), stream=stream, version=n))
    async with listener.listening():
        await listener.has_heard(topic.log, 4)
        await listener.fetch("UPDATE heard SET position = 2 WHERE topic = %s RETURNING 1", topic.partition.topic)
        await topic.send(row(6, Said(word="w6", to=stream), stream=stream, version=6))
        await topic.send(row(5, Said(word="w5", to=stream), stream=stream, version=5))
        await topic.send(row(6, Said(word="w6", to=stream), stream=stream, version=6))
        await listener.has_heard(topic.log, 6)
    assert [f"w{n}" for n in range(1, 7)] == list(dict.fromkeys(await listener.words(stream)))


async def test_an_effect_is_not_noted_before_its_cause_in_another_log(world):
    causes, effects = await world.topic(), await world.topic()
    listener = await listener_to(world, effects, causes)
    stream = uuid4()
    async with listener.listening():
        await effects.send(row(1, Said(word="effect", to=stream), stream=uuid4(), cause=f"{causes.log}:2"))
        for n, word in ((1, "before"), (2, "cause")):
            assert 0 == await listener.heard(effects.log)
            await causes.send(row(n, Said(word=word, to=stream), stream=uuid4()))
            await listener.has_heard(causes.log, n)
        await listener.has_heard(effects.log, 1)
    assert ["before", "cause", "effect"] == await listener.words(stream)


async def test_a_worker_killed_between_its_command_and_its_place_repeats_the_command_under_its_id(world, monkeypatch):
    topic = await world.topic()
    log, listener = await world.log(topic.log), await listener_to(world, topic)
    stream = await say(log, "one", "two")
    async with relaying(log, topic):
        with monkeypatch.context() as killed:
            killed.setattr(Ears, "_advance", lambda *_, **__: asyncio.Event().wait())
            async with listener.listening():
                await until(lambda: _noted(listener, 1))
        assert (["one"], 0) == (await listener.words(stream), await listener.heard(topic.log))
        async with listener.listening():
            await listener.has_heard(topic.log, 2)
    assert ["one", "two"] == await listener.words(stream)


async def _noted(listener, head):
    return head == await listener.log.head()


async def test_offsets_set_back_to_the_beginning_change_nothing(world):
    topic = await world.topic()
    log, listener = await world.log(topic.log), await listener_to(world, topic)
    async with relaying(log, topic):
        stream = await say(log, "one", "two", "three")
        async with listener.listening():
            await listener.has_heard(topic.log, 3)
        await _set_back(topic, f"{listener.ears.me}.{topic.log}")
        async with listener.listening():
            await say(log, "four", stream=stream)
            await listener.has_heard(topic.log, 4)
    assert ["one", "two", "three", "four"] == await listener.words(stream)


async def test_facts_that_are_nobodys_here_are_passed_and_their_place_is_kept(world):
    topic = await world.topic()
    listener = await listener_to(world, topic)
    stream = uuid4()
    rows = [row(n, Said(word=f"w{n}", to=stream), stream=stream, version=n) for n in range(1, 41)]
    async with listener.listening():
        for each in rows:
            await topic.send(each, **({} if each.position == 20 else {"ce_type": "spoken.Hummed"}))
        await listener.has_heard(topic.log, 40)
    async with listener.listening():  # after a restart, too
        await topic.send(row(41, Said(word="last", to=stream), stream=stream, version=41))
        await listener.has_heard(topic.log, 41)
    assert ["w20", "last"] == await listener.words(stream)


async def test_bytes_that_cannot_be_read_are_parked_though_they_may_be_nobodys_here(world):
    topic = await world.topic()
    listener = await listener_to(world, topic)
    async with listener.listening():
        await topic.send(row(1, Said(word="x", to=uuid4()), stream=uuid4()), body=b"{", ce_type="spoken.Hummed")
        await listener.has_heard(topic.log, 1)
    assert [(1, "JSONDecodeError")] == await listener.parked()


@pytest.mark.parametrize("heard", [0, 2])
async def test_a_database_that_was_restored_from_a_backup_hears_again_what_it_has_not_heard(world, heard):
    """The group has heard everything, and would wait for ever for what comes next."""
    topic = await world.topic()
    log, listener = await world.log(topic.log), await listener_to(world, topic)
    async with relaying(log, topic):
        stream = await say(log, "one", "two", "three")
        async with listener.listening():
            await listener.has_heard(topic.log, 3)
        restored = await listener_to(world, topic)
        await restored.fetch("INSERT INTO heard VALUES (%s, 0, %s) RETURNING 1", topic.partition.topic, heard)
        restored = replace(restored, ears=replace(restored.ears, me=listener.ears.me))
        async with restored.listening():
            await restored.has_heard(topic.log, 3)
            await say(log, "four", stream=stream)
            await restored.has_heard(topic.log, 4)
    assert ["one", "two", "three", "four"][heard:] == await restored.words(stream)


async def _set_back(topic, group):
    """Joins as the same static member, which needs no waiting for a session to end, and commits offset 0."""
    consumer = AIOKafkaConsumer(
        topic.partition.topic,
        bootstrap_servers=topic.kafka,
        group_id=group,
        group_instance_id=f"{group}-0",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        await until(lambda: _assigned(consumer))
        assert 3 == await consumer.committed(topic.partition)
        await consumer.commit({topic.partition: 0})
    finally:
        await consumer.stop()


async def _assigned(consumer):
    return consumer.assignment()


async def test_a_topic_that_was_emptied_and_refilled_is_heard_on_without_a_second_effect(world):
    topic = await world.topic()
    log, listener = await world.log(topic.log), await listener_to(world, topic)
    async with listener.listening():
        async with relaying(log, topic):
            stream = await say(log, "one", "two")
            await listener.has_heard(topic.log, 2)
        await topic.empty()
        async with relaying(log, topic):
            await say(log, "three", stream=stream)
            await listener.has_heard(topic.log, 3)
    assert [1, 2, 3] == await topic.positions()
    assert ["one", "two", "three"] == await listener.words(stream)


async def test_a_database_that_is_away_is_waited_for_and_nothing_is_parked(world, templates):
    topic = await world.topic()
    log, listener = await world.log(topic.log), await listener_to(world, topic)
    listener.pool.timeout = 0.3
    async with relaying(log, topic), listener.listening():
        stream = await say(log, "one")
        await listener.has_heard(topic.log, 1)
        with psycopg.connect(templates.uri("postgres"), autocommit=True) as db:
            db.execute(f"ALTER DATABASE {listener.database} ALLOW_CONNECTIONS false")
            db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [listener.database])
            await say(log, "two", stream=stream)
            await topic.holds(2)
            db.execute(f"ALTER DATABASE {listener.database} ALLOW_CONNECTIONS true")
        listener.pool.timeout = 30  # the worker waited; now this test asks, and the pool tries again once a second
        await listener.has_heard(topic.log, 2)
    assert (["one", "two"], []) == (await listener.words(stream), await listener.parked())


async def test_a_copy_and_the_place_move_together_and_a_copy_that_fails_is_parked(world):
    async def copy(db, event):
        await db.execute("INSERT INTO clock_due VALUES (%s, %s, %s, now())", (event.stream, event.fact.word, event.position))
        if event.fact.word == "bad":
            raise ValueError("half done")

    topic = await world.topic()
    listener = await listener_to(world, topic, copies={Said: copy})
    log = await world.log(topic.log)
    for word in ("good", "bad", "better"):
        await say(log, word)
    async with relaying(log, topic), listener.listening():
        await listener.has_heard(topic.log, 3)
    assert [("good",), ("better",)] == await listener.fetch("SELECT clock FROM clock_due ORDER BY started")
    assert [(2, "ValueError")] == await listener.parked()


async def test_two_workers_of_one_service_note_everything_once(world):
    """The lock that keeps a second worker away is economy: a zombie beside its successor does no harm."""
    topic = await world.topic()
    log, listener = await world.log(topic.log), await listener_to(world, topic)
    zombie = replace(listener, ears=replace(listener.ears, me=f"{listener.ears.me}z"))
    async with relaying(log, topic), listener.listening(), zombie.listening():
        stream = await say(log, *(f"w{n}" for n in range(20)))
        await listener.has_heard(topic.log, 20)
    assert [f"w{n}" for n in range(20)] == await listener.words(stream)
    assert [] == await listener.parked()


@pytest.mark.parametrize("task", ["_run_consume_loop", "_fetch_requests_routine"])
async def test_a_library_that_falls_silent_is_noticed_and_the_loop_begins_anew(world, monkeypatch, task):
    """As was seen after a kill of the broker: one topic was read no more, nothing was said, and everything else went on."""
    monkeypatch.setattr(listening, "LOOK_BACK_EVERY", 0.1)
    monkeypatch.setattr(listening, "SILENT", 1.0)
    topic = await world.topic()
    listener, stream = await listener_to(world, topic), uuid4()
    before = asyncio.all_tasks()
    with pytest.raises(ConnectionError):
        async with listener.listening() as working:
            await topic.send(row(1, Said(word="heard", to=stream), stream=stream))
            await listener.has_heard(topic.log, 1)
            for each in asyncio.all_tasks() - before:
                if each.get_coro().__name__ == task:
                    each.cancel()
            await topic.send(row(2, Said(word="perhaps", to=stream), stream=stream, version=2))
            await asyncio.sleep(1)  # a fetch that was under way may still bring it
            await topic.send(row(3, Said(word="unheard", to=stream), stream=stream, version=3))
            await asyncio.wait([working], timeout=20)
    async with listener.listening():
        await listener.has_heard(topic.log, 3)
    assert ["heard", "perhaps", "unheard"] == await listener.words(stream)


async def test_a_reaction_that_takes_long_is_no_silence(world, monkeypatch):
    monkeypatch.setattr(listening, "LOOK_BACK_EVERY", 0.1)
    monkeypatch.setattr(listening, "SILENT", 0.5)
    topic = await world.topic()
    listener, stream = await listener_to(world, topic), uuid4()
    decided = listener.ears.commands.execute

    async def slowly(*args):
        await asyncio.sleep(2)
        return await decided(*args)

    commands = SimpleNamespace(execute=slowly)
    async with replace(listener, ears=replace(listener.ears, commands=commands)).listening() as working:
        await topic.send(row(1, Said(word="one", to=stream), stream=stream))
        await topic.send(row(2, Said(word="two", to=stream), stream=stream, version=2))
        await listener.has_heard(topic.log, 2)
        assert not working.done()

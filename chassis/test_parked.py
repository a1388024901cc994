"""What is parked is digested again when an operator wants it, in order, with its effect once; or given up, and its stream goes on."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
import structlog

from chassis import hearing
from chassis.kafka import headers_of
from chassis.parked import BEHIND
from tests.listeners import ParkedDiscarded, ParkedRetried, listener_to
from tests.topics import Said, relaying, row, say, until

pytestmark = [pytest.mark.anyio, pytest.mark.real]


@pytest.fixture(autouse=True)
def said_in_the_log():
    with structlog.testing.capture_logs() as lines:
        yield lines


async def nothing_is_parked(listener):
    await until(lambda: _empty(listener))


async def _empty(listener):
    return not await listener.parked()


async def refused(world, *words):
    """A log with one stream of these words, and a listener that has heard them all."""
    topic = await world.topic()
    log, listener = await world.log(topic.log), await listener_to(world, topic)
    async with relaying(log, topic), listener.working():
        stream = await say(log, *words)
        await listener.has_heard(topic.log, len(words))
    return topic, log, listener, stream


async def test_what_was_refused_is_digested_once_the_cause_is_mended_in_order_and_then_new_ones_flow(world):
    topic, log, listener, stream = await refused(world, "one", "forbidden", "three", "forbidden", "five")
    assert [(2, "forbidden-word"), *((n, BEHIND) for n in (3, 4, 5))] == await listener.parked()
    async with relaying(log, topic), listener.mended().working():
        await listener.decide(ParkedRetried, topic, 2, stream)
        await nothing_is_parked(listener)
        await say(log, "six", stream=stream)
        await listener.has_heard(topic.log, 6)
    assert ["one", "forbidden", "three", "forbidden", "five", "six"] == await listener.words(stream)
    assert [f"{topic.log}:{n}" for n in range(1, 7)] == [cause for cause, _ in await listener.notes()]
    assert [] == await listener.parked()


async def test_a_retry_goes_on_until_one_fails_again_and_the_others_wait_behind_that_one(world):
    topic, _, listener, stream = await refused(world, "forbidden", "two", "fault", "four")
    before = await listener.fetch("SELECT parked_at FROM parked ORDER BY position")

    decide, mended = listener.ears.commands.decide, listener.mended().ears.commands.decide

    def all_but_a_fault(command, notes):
        return decide(command, notes) if command.word == "fault" else mended(command, notes)

    half = replace(listener, ears=replace(listener.ears, commands=replace(listener.ears.commands, decide=all_but_a_fault)))
    async with half.working():
        await listener.decide(ParkedRetried, topic, 1, stream)
        await until(lambda: _first(listener, (3, "ZeroDivisionError")))
    assert [(3, "ZeroDivisionError"), (4, BEHIND)] == await listener.parked()
    assert ["forbidden", "two"] == await listener.words(stream)
    after = await listener.fetch("SELECT parked_at, retry_by FROM parked ORDER BY position")
    assert (True, True) == (after[0][0] > before[2][0], after[1][0] == before[3][0])
    assert [None, None] == [retry_by for _, retry_by in after]


async def _first(listener, wanted):
    return wanted == (await listener.parked())[0]


async def test_other_streams_stay_as_they_are(world):
    topic, log, listener, stream = await refused(world, "forbidden")
    async with relaying(log, topic), listener.working():
        other = await say(log, "forbidden")
        await listener.has_heard(topic.log, 2)
    async with listener.mended().working():
        await listener.decide(ParkedRetried, topic, 1, stream)
        await until(lambda: _first(listener, (2, "forbidden-word")))
    assert (["forbidden"], []) == (await listener.words(stream), await listener.words(other))


async def test_a_copy_that_failed_is_made_after_all_and_the_reaction_beside_it_has_no_second_effect(world):
    fails = True

    async def copy(db, event):
        await db.execute("INSERT INTO clock_due VALUES (%s, %s, %s, now())", (event.stream, event.fact.word, event.position))
        if fails:
            raise ValueError("half done")

    topic = await world.topic()
    log, listener = await world.log(topic.log), await listener_to(world, topic, copies={Said: copy})
    async with relaying(log, topic), listener.working():
        stream = await say(log, "one", "two")
        await listener.has_heard(topic.log, 2)
        assert [(1, "ValueError"), (2, BEHIND)] == await listener.parked()
        assert (["one"], []) == (await listener.words(stream), await listener.fetch("SELECT clock FROM clock_due"))
        fails = False
        await listener.decide(ParkedRetried, topic, 1, stream)
        await nothing_is_parked(listener)
    assert ["one", "two"] == await listener.words(stream)
    assert [("one", 1), ("two", 2)] == await listener.fetch("SELECT clock, started FROM clock_due ORDER BY started")


async def test_a_worker_that_ends_between_the_effect_and_its_row_repeats_it_without_a_second_effect(world, monkeypatch):
    topic, _, listener, stream = await refused(world, "forbidden", "two", "three")
    await listener.decide(ParkedRetried, topic, 1, stream)
    for done in range(3):
        with monkeypatch.context() as killed:
            killed.setattr(hearing, "digested", _not_after(done, hearing.digested))
            async with listener.mended().working():
                await until(lambda wanted=done + 1: _length(listener, stream, wanted))
        assert 3 - done == len(await listener.parked())
    async with listener.mended().working():
        await nothing_is_parked(listener)
    assert ["forbidden", "two", "three"] == await listener.words(stream)


def _not_after(times, digested):
    """The first of a worker is digested as ever, unless it is to end there at once; the next is not."""
    left = [min(times, 1)]

    async def stopped(*args):
        if left[0] == 0:
            await asyncio.Event().wait()
        left[0] -= 1
        return await digested(*args)

    return stopped


async def _length(listener, stream, wanted):
    return len(await listener.words(stream)) >= wanted


async def test_a_fact_that_was_about_to_be_parked_behind_one_that_is_digested_meanwhile_is_not(world, monkeypatch):
    topic, log, listener, stream = await refused(world, "forbidden")
    mended, looked = listener.mended(), []
    is_parked = hearing.is_parked

    async def and_then_it_is_digested(db, source, parked):
        found = await is_parked(db, source, parked)
        if found and not looked:
            looked.append(parked)
            await mended.ears.again(source, parked)
        return found

    monkeypatch.setattr(hearing, "is_parked", and_then_it_is_digested)
    async with relaying(log, topic), mended.listening():
        await say(log, "two", stream=stream)
        await listener.has_heard(topic.log, 2)
    assert [stream] == looked
    assert (["forbidden", "two"], []) == (await listener.words(stream), await listener.parked())


async def test_while_a_stream_is_digested_again_by_two_workers_and_told_on_nothing_is_lost_doubled_or_out_of_order(world):
    topic, log, listener, stream = await refused(world, "forbidden", *(f"w{n}" for n in range(2, 41)))
    one = listener.mended()
    zombie = replace(one, ears=replace(one.ears, me=f"{one.ears.me}z"))
    async with relaying(log, topic), one.working(), zombie.working():
        await listener.decide(ParkedRetried, topic, 1, stream)
        await say(log, *(f"w{n}" for n in range(41, 81)), stream=stream)
        await listener.has_heard(topic.log, 80)
        await nothing_is_parked(listener)
    assert ["forbidden", *(f"w{n}" for n in range(2, 81))] == await listener.words(stream)


async def test_what_rests_on_a_fact_that_is_not_heard_yet_is_parked_again_and_digested_once_it_is(world):
    causes, effects = await world.topic(), await world.topic()
    listener = await listener_to(world, effects, causes)
    stream = uuid4()
    async with listener.listening():
        await effects.send(row(1, Said(word="forbidden", to=stream), stream=stream))
        await effects.send(row(2, Said(word="effect", to=stream), stream=stream, version=2, cause=f"{causes.log}:1"))
        await listener.has_heard(effects.log, 2)
    async with listener.mended().working():
        await listener.decide(ParkedRetried, effects, 1, stream)
        await until(lambda: _first(listener, (2, "its cause is not heard yet")))
        await causes.send(row(1, Said(word="cause", to=stream), stream=uuid4()))
        await listener.has_heard(causes.log, 1)
        await listener.decide(ParkedRetried, effects, 2, stream)
        await nothing_is_parked(listener)
    assert ["forbidden", "cause", "effect"] == await listener.words(stream)


async def test_a_discarded_fact_stays_and_says_so_and_no_longer_holds_back_its_stream(world):
    topic, log, listener, stream = await refused(world, "one", "forbidden")
    async with relaying(log, topic), listener.working():
        decision = await listener.decide(ParkedDiscarded, topic, 2, stream)
        await nothing_is_parked(listener)
        await say(log, "three", stream=stream)
        await listener.has_heard(topic.log, 3)
    assert ["one", "three"] == await listener.words(stream)
    assert [(2, decision.positions[0])] == await listener.discarded()


async def test_what_waited_behind_a_discarded_fact_goes_on_without_it_until_one_fails(world):
    topic, log, listener, stream = await refused(world, "forbidden", "two", "three", "fault", "five")
    async with relaying(log, topic), listener.working():
        await listener.decide(ParkedDiscarded, topic, 1, stream)
        await until(lambda: _first(listener, (4, "ZeroDivisionError")))
        await say(log, "six", stream=stream)
        await listener.has_heard(topic.log, 6)
    assert [(4, "ZeroDivisionError"), (5, BEHIND), (6, BEHIND)] == await listener.parked()
    assert ["two", "three"] == await listener.words(stream)
    assert [1] == [position for position, _ in await listener.discarded()]


async def test_a_discarded_fact_that_was_not_the_first_leaves_the_first_as_it_is(world):
    topic, _, listener, stream = await refused(world, "forbidden", "two", "three")
    async with listener.mended().working():
        last = await listener.decide(ParkedDiscarded, topic, 2, stream)
        await until(lambda: _followed(listener, last.positions[0]))
        assert [(1, "forbidden-word"), (3, BEHIND)] == await listener.parked()
        await listener.decide(ParkedRetried, topic, 1, stream)
        await nothing_is_parked(listener)
    assert ["forbidden", "three"] == await listener.words(stream)


async def test_decisions_that_come_too_late_or_twice_change_nothing(world):
    topic, _, listener, stream = await refused(world, "forbidden", "two")
    async with listener.mended().working():
        for _ in range(2):
            await listener.decide(ParkedRetried, topic, 1, stream)
        await nothing_is_parked(listener)
        for kind in (ParkedDiscarded, ParkedRetried, ParkedDiscarded):
            last = await listener.decide(kind, topic, 1, stream)
        await until(lambda: _followed(listener, last.positions[0]))
    assert (["forbidden", "two"], []) == (await listener.words(stream), await listener.discarded())


async def _followed(listener, position):
    return [(position,)] == await listener.fetch("SELECT position FROM follower WHERE name = 'clocks'")


@pytest.mark.parametrize("text", [None, b"\x00", b"\xff\xfe", b"\xed\xa0\x80"])
async def test_a_header_that_no_table_can_hold_does_not_keep_a_fact_from_being_parked(world, text):
    topic = await world.topic()
    listener = await listener_to(world, topic)
    stream, said = uuid4(), Said(word="forbidden", to=uuid4())
    async with listener.listening():
        first = row(1, said, stream=stream)
        headers = [*headers_of(topic.log, first), ("x-stranger", text), ("traceparent", text)]
        await topic.producer.send_and_wait(topic.partition.topic, first.state, partition=0, headers=headers)
        await topic.send(row(2, said, stream=stream, version=2))
        await listener.has_heard(topic.log, 2)
    assert [(1, "forbidden-word"), (2, BEHIND)] == await listener.parked()

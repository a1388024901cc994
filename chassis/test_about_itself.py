"""What a log says of itself, over a real database."""

import asyncio

import pytest

import contracts.cases
from chassis.about_itself import adopt, heartbeat, say
from chassis.ledger.note import SigningKey
from chassis.ledger.policy import Policy
from chassis.mapper import clear_fact
from contracts.ids import system_stream

pytestmark = [pytest.mark.real]
ORIGIN = "hotline111.example/test/cases"


def types(run, log):
    return [event.topic for event in run(log.events(system_stream(ORIGIN)))]


def test_the_same_cause_says_it_once(new_log, run):
    log = new_log()
    for _ in range(2):
        run(say(log, ORIGIN, "KeyRetired", {"key": f"{ORIGIN}+35e44fec", "size": 3}, "key:35e44fec@3"))
    assert ["cases.KeyRetired"] == types(run, log)


def test_many_say_something_at_once_and_each_is_said(new_log, run):
    log = new_log()

    async def all_at_once():
        await asyncio.gather(*(say(log, ORIGIN, "HeartbeatRecorded", {"period": n}, f"heartbeat:{n}") for n in range(1, 9)))

    run(all_at_once())
    assert 8 * ["cases.HeartbeatRecorded"] == types(run, log)


def test_a_log_that_is_idle_says_so_once_a_period_however_many_workers_there_are(new_log, run):
    log = new_log()

    async def idle():
        up = asyncio.Event()
        loops = [asyncio.create_task(heartbeat(log, ORIGIN, 1, up.set)) for _ in range(2)]
        await asyncio.sleep(3.5)
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        return up.is_set()

    assert run(idle())
    rows = run(log.after(0, 100))
    assert len(rows) in {1, 2, 3}
    assert [contracts.cases.HeartbeatRecorded.TOPIC] * len(rows) == [row.type for row in rows]
    assert len({row.recorded_at.replace(microsecond=0) for row in rows}) == len(rows)


def policy(epoch):
    return Policy.read(f"# epoch {epoch}\nlog {SigningKey.of_seed(ORIGIN, bytes(32)).verifier}\nquorum none\n".encode())


def test_the_policy_it_is_judged_by_is_said_once_and_again_whenever_it_is_another(new_log, run):
    log = new_log()
    for epoch in (1, 1, 2, 2, 1):
        run(adopt(log, ORIGIN, policy(epoch)))
    rows = run(log.rows_of(system_stream(ORIGIN)))
    assert ["cases.PolicyAdopted"] * 3 == [row.type for row in rows]
    said = [clear_fact(row.type, row.state)[0] for row in rows]
    assert [(epoch, policy(epoch).digest) for epoch in (1, 2, 1)] == [(fact.epoch, fact.sha256) for fact in said]


def test_two_workers_that_begin_at_once_say_it_once(new_log, run):
    log = new_log()

    async def at_once():
        await asyncio.gather(*(adopt(log, ORIGIN, policy(1)) for _ in range(4)))

    run(at_once())
    assert ["cases.PolicyAdopted"] == types(run, log)

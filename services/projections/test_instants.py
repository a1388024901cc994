"""As-of on random histories: a file at an instant is the fold of exactly that prefix, and an instant is closed or it is refused."""

import random
from datetime import timedelta
from uuid import uuid4

import pytest

from chassis.problems import Problem
from services.projections.test_samples import (
    POLICE,
    T0,
    Ids,
    Tape,
    approved,
    assessed,
    ended,
    measure,
    message,
    noted,
    opened,
    plan,
    reported,
    reviewed,
    sent,
    silent,
    taken,
)
from services.projections.test_world import take
from services.projections.views import instants
from services.projections.views.case_file import case_file
from services.projections.views.files import Files
from services.projections.views.hand_offs import hand_off_file
from services.projections.views.history import LOGS, Reader
from services.projections.views.instants import note_end
from services.projections.views.shown import answer_bytes

pytestmark = [pytest.mark.anyio, pytest.mark.real]
SEEDS = range(4)


def history(seed):
    """A random telling: the streams' own order is kept, everything else is mixed; some facts name causes in other logs."""
    dice, ids, tape = random.Random(seed), Ids(uuid4().int), Tape()
    steps = [noted(ids, step) for step in ("sent", "delivered", "escalated", "acknowledged")]
    decided = [plan(ids, 1), plan(ids, 2), approved(ids, 2), reviewed(ids, 2), ended(ids, "risk_remains")]
    dice.shuffle(steps)
    queues = {
        ids.contact: [fact for stream, facts in reported(ids) if stream == ids.contact for fact in facts],
        ids.record: [fact for stream, facts in reported(ids) if stream == ids.record for fact in facts],
        ids.case: [*opened(ids), *steps, *measure(ids), assessed(ids), *decided],
        ids.to_commune: [*sent(ids), *silent(ids), *taken(ids)],
        ids.to_police: sent(ids, POLICE, "crime_report"),
        ids.thread: message(ids),
    }
    while queues:
        stream = dice.choice(list(queues))
        cause = dice.choice(tape.events) if tape.events and dice.random() < 0.5 else None
        seen = {"seen": str(len(tape.of(stream)))} if stream == ids.case else {}
        tape.tell(stream, queues[stream].pop(0), cause=f"{cause.log}:{cause.position}" if cause else "rest:1", **seen)
        queues = {stream: facts for stream, facts in queues.items() if facts}
    return tape, ids


def prefix(tape, vector):
    return [event for event in tape.events if event.position <= vector[event.log]]


def folded_by_hand(tape, ids, vector):
    """The file of the case from the prefix alone, without any table."""
    events = prefix(tape, vector)
    streams = {stream: [event for event in events if event.stream == stream] for stream in vars(ids).values()}
    promises = [(streams[stream], stream) for stream in (ids.to_commune, ids.to_police) if streams[stream]]
    promises.sort(key=lambda promise: promise[0][0].position)
    threads = streams[ids.thread] if streams[ids.to_commune] else []
    hand_offs = [hand_off_file(facts, threads if stream == ids.to_commune else []) for facts, stream in promises]
    return case_file(streams[ids.case], streams[ids.record] if streams[ids.case] else [], hand_offs, incomplete=False)


def is_closed(tape, vector):
    causes = [event.meta["cause"].split(":") for event in prefix(tape, vector)]
    return all(log not in LOGS or vector[log] >= int(position) for log, position in causes)


def prefixes(tape):
    """Every instant that was once the latest."""
    vector = dict.fromkeys(LOGS, 0)
    for event in tape.events:
        vector = {**vector, event.log: event.position}
        yield vector


@pytest.fixture
async def told(worker, view, request):
    tape, ids = history(request.param)
    await take(view, tape)
    return tape, ids, worker


class _Store:
    """A key store that knows everybody, under the one key of the tape."""

    async def get(self, persons):
        return dict.fromkeys(persons, bytes(32))


@pytest.mark.parametrize("told", SEEDS, indirect=True)
async def test_the_file_at_every_instant_is_the_fold_of_exactly_that_prefix(told):
    tape, ids, worker = told
    for vector in prefixes(tape):
        file = await Files(Reader(worker.pool, _Store(), vector), sealed=True).case(ids.case)
        expected = folded_by_hand(tape, ids, vector)
        if expected is None or file is None:
            assert expected == file
        else:
            assert answer_bytes(expected) == answer_bytes(file), vector


@pytest.mark.parametrize("told", SEEDS, indirect=True)
async def test_an_instant_is_accepted_if_and_only_if_every_fact_in_it_finds_its_cause_in_it(told):
    tape, _, worker = told
    dice, heads = random.Random(7), tape.at()
    verdicts = set()
    for _ in range(60):
        vector = {log: dice.choice([dice.randint(0, heads[log]), heads[log]]) for log in LOGS}
        try:
            await instants.closed(worker.pool, vector)
            accepted = True
        except Problem as problem:
            accepted = False
            log, position = problem.extra["missing"].split(":")
            assert int(position) > vector[log]
        assert is_closed(tape, vector) == accepted
        verdicts.add(accepted)
    assert {True, False} == verdicts


@pytest.mark.parametrize("told", SEEDS, indirect=True)
async def test_a_time_of_day_is_the_last_position_of_each_log_by_then_and_always_closed(told):
    tape, _, worker = told
    for log in LOGS:
        await note_end(worker.pool, log, T0 + timedelta(days=2))
    for minute in range(-1, len(tape.events) + 1, 3):
        at = T0 + timedelta(minutes=minute, seconds=30)
        vector = await instants.resolved(worker.pool, at)
        by_then = [event for event in tape.events if event.recorded_at <= at]
        assert {log: max((e.position for e in by_then if e.log == log), default=0) for log in LOGS} == vector
        await instants.closed(worker.pool, vector)


async def test_a_time_after_the_last_thing_known_is_not_answered(worker, view, monkeypatch):
    monkeypatch.setattr(instants, "PATIENCE", 0.05)
    tape = Tape()
    tape.tell(Ids(3).case, *opened(Ids(3)))
    await take(view, tape)
    for log in LOGS:
        await note_end(worker.pool, log, T0 + timedelta(minutes=5))
    assert 2 == (await instants.resolved(worker.pool, T0 + timedelta(minutes=4)))["cases"]
    with pytest.raises(Problem) as refused:
        await instants.resolved(worker.pool, T0 + timedelta(minutes=5))
    assert (503, "not-caught-up") == (refused.value.status, refused.value.code)


def test_an_instant_reads_back_as_it_is_quoted_and_a_log_not_named_stands_before_its_first_entry():
    vector = {"intake": 812, "cases": 18421, "referrals": 903, "notifications": 77, "projections": 51}
    assert "intake:812,cases:18421,referrals:903,notifications:77,projections:51" == instants.text(vector)
    assert vector == instants.parse(instants.text(vector))
    assert {**dict.fromkeys(LOGS, 0), "cases": 3} == instants.parse(" cases:3")

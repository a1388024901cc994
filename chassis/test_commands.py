"""Commands against a real log: one intention happens once, whoever repeats it, however many at a time, whatever got lost."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import ClassVar
from uuid import UUID, uuid4

import psycopg
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from chassis.commands import ROUNDS, Call, Commands, KeyReused, NotFound, Stale
from chassis.log import Log
from chassis.transient import StoreGone
from contracts.kernel import Command, Fact, Refused
from contracts.rules import LAW

SEATS = 5


class RoomFact(Fact):
    log: ClassVar[str] = "room"


class Seated(RoomFact):
    who: str


class TakeSeat(Command):
    creates: ClassVar[bool] = True
    who: str
    contact: UUID | None = None

    @property
    def story(self):
        return self.contact


class LeaveWord(Command):
    word: str


def decide(command: Command, seated: tuple[str, ...] | None) -> Iterator[Fact]:
    seated = seated or ()
    if isinstance(command, TakeSeat) and command.who not in seated:
        if len(seated) == SEATS:
            raise Refused("full")
        yield Seated(who=command.who)


def evolve(fact: Fact, seated: tuple[str, ...] | None) -> tuple[str, ...]:
    return (*(seated or ()), fact.who) if isinstance(fact, Seated) else seated or ()


@pytest.fixture
def process(database, open_pool):
    """Each call is another process over the same log."""
    name = database("cases")

    def start(enrich=None):
        return Commands(Log("room", open_pool(name, "cases_api")), decide, evolve, LAW, enrich)

    start.database = name
    return start


@pytest.fixture
def room(process):
    return process()


def call(key="k", actor="officer-7", **more):
    return Call(cause=f"rest:{key}", actor=actor, **more)


def shown(outcome):
    return (outcome.stream, outcome.state, outcome.version, outcome.position, outcome.told)


def told(run, room):
    return [(row.position, row.version) for row in run(room.log.after(0, 1000))]


def test_the_same_key_gives_the_same_answer_when_it_is_asked_again_later(room, run):
    stream = uuid4()
    first = run(room.execute(stream, TakeSeat(who="an"), call("1")))
    run(room.execute(stream, TakeSeat(who="binh"), call("2")))
    again = run(room.execute(stream, TakeSeat(who="an"), call("1")))

    assert shown(first) == shown(again)
    assert (("an",), 1, True) == (again.state, again.version, again.created)
    assert [(1, 1), (2, 2)] == told(run, room)


def test_twenty_twins_at_once_in_two_processes_are_one_event_and_twenty_equal_answers(process, run):
    one, other, stream = process(), process(), uuid4()

    async def race():
        return await asyncio.gather(*(room.execute(stream, TakeSeat(who="an"), call()) for room in [one, other] * 10))

    answers = [shown(outcome) for outcome in run(race())]
    assert [answers[0]] * 20 == answers
    assert [(1, 1)] == told(run, one)


def test_a_twin_that_finishes_while_this_one_still_reads_is_repeated_and_not_decided_upon(process, run):
    twin, stream = process(), uuid4()

    async def meanwhile(_, command):
        await twin.execute(stream, command, call())
        return command

    late = run(process(meanwhile).execute(stream, TakeSeat(who="an"), call()))
    assert (("an",), 1, True) == (late.state, late.version, late.created)
    assert [(1, 1)] == told(run, twin)


def test_the_same_key_with_another_body_is_refused_and_records_nothing(room, run):
    stream = uuid4()
    run(room.execute(stream, TakeSeat(who="an"), call(fingerprint=b"officer-7 an")))
    with pytest.raises(KeyReused):
        run(room.execute(stream, TakeSeat(who="binh"), call(fingerprint=b"officer-7 binh")))
    assert [(1, 1)] == told(run, room)


def test_writers_who_come_too_late_decide_again_on_what_is_there_now(process, run):
    """Forty people, two processes, five seats: without If-Match nobody fails for being late, only for there being no seat."""
    rooms, stream = [process(), process()], uuid4()

    async def race():
        tries = [rooms[n % 2].execute(stream, TakeSeat(who=f"person-{n}"), call(str(n))) for n in range(40)]
        return await asyncio.gather(*tries, return_exceptions=True)

    outcomes = run(race())
    refused = [outcome.code for outcome in outcomes if isinstance(outcome, Refused)]
    assert ["full"] * (40 - SEATS) == refused
    assert [(n, n) for n in range(1, SEATS + 1)] == told(run, rooms[0])


def test_of_two_who_decided_on_the_same_version_one_is_told_what_changed_and_by_whom(process, run):
    rooms, stream = [process(), process()], uuid4()
    run(rooms[0].execute(stream, TakeSeat(who="an"), call("0")))

    async def race():
        tries = [rooms[n].execute(stream, TakeSeat(who=f"p{n}"), call(f"x{n}", actor=f"chair-{n}", seen=1)) for n in (0, 1)]
        return await asyncio.gather(*tries, return_exceptions=True)

    outcomes = run(race())
    ((winner, _),) = [(n, outcome) for n, outcome in enumerate(outcomes) if not isinstance(outcome, Exception)]
    stale = outcomes[1 - winner]
    assert isinstance(stale, Stale)
    assert ("stale-version", 1, 2) == (stale.code, stale.details["seen"], stale.details["current"])
    assert [(2, "room.Seated", f"chair-{winner}")] == [(c["version"], c["type"], c["actor"]) for c in stale.details["changes"]]
    assert [(1, 1), (2, 2)] == told(run, rooms[0])


def test_a_stale_writer_who_was_first_after_all_gets_the_first_answer_again(room, run):
    """A repeat under the same key is no new decision, whatever happened since."""
    stream = uuid4()
    run(room.execute(stream, TakeSeat(who="an"), call("0")))
    first = run(room.execute(stream, TakeSeat(who="binh"), call("1", seen=1)))
    run(room.execute(stream, TakeSeat(who="chi"), call("2")))
    assert shown(first) == shown(run(room.execute(stream, TakeSeat(who="binh"), call("1", seen=1))))


@pytest.mark.parametrize("lost", ["before", "after"])
def test_an_unknown_outcome_is_cleared_up_by_repeating_under_the_same_key(room, run, lost, monkeypatch):
    """The connection breaks around the append: the caller cannot know whether it happened, and need not."""
    stream, append = uuid4(), room.log._call_append

    async def broken(batch):
        if lost == "after":
            await append(batch)
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as network, pytest.raises(StoreGone):
        network.setattr(room.log, "_call_append", broken)
        run(room.execute(stream, TakeSeat(who="an"), call()))
    assert ([(1, 1)] if lost == "after" else []) == told(run, room)

    outcome = run(room.execute(stream, TakeSeat(who="an"), call()))
    assert (("an",), 1, 1) == (outcome.state, outcome.version, outcome.position)
    assert [(1, 1)] == told(run, room)


def test_a_back_end_killed_while_it_waits_for_the_head_leaves_nothing_and_the_repeat_everything(process, run, templates):
    room, stream = process(), uuid4()
    with (
        psycopg.connect(templates.uri(process.database)) as rival,
        psycopg.connect(templates.uri("postgres"), autocommit=True) as db,
    ):
        rival.execute("SELECT FROM head FOR UPDATE")

        async def killed():
            task = asyncio.create_task(room.execute(stream, TakeSeat(who="an"), call()))
            waiting = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
            async with asyncio.timeout(10):
                while not (pids := db.execute(waiting, [process.database]).fetchall()):
                    await asyncio.sleep(0.01)
            db.execute("SELECT pg_terminate_backend(%s)", pids[0])
            return await task

        with pytest.raises(StoreGone):
            run(killed())
    assert [] == told(run, room)
    assert 1 == run(room.execute(stream, TakeSeat(who="an"), call())).position


def test_a_caller_who_goes_away_takes_neither_its_command_nor_its_neighbours_along(room, run):
    stream, other = uuid4(), uuid4()

    async def impatient():
        tasks = [asyncio.create_task(room.execute(where, TakeSeat(who="an"), call())) for where in (stream, other)]
        while room.log._appends._server is None:
            await asyncio.sleep(0)
        tasks[0].cancel()
        await room.log.close()
        return await tasks[1]

    assert other == run(impatient()).stream
    again = run(room.execute(stream, TakeSeat(who="an"), call()))
    assert (("an",), 1) == (again.state, again.version)
    assert [1, 1] == [version for _, version in told(run, room)]


def test_a_stream_changed_by_others_in_every_round_is_answered_try_again(process, run, monkeypatch):
    rival, stream = process(), uuid4()
    numbers = iter(range(ROUNDS))
    room = replace(process(), decide=lambda *_: [Seated(who="an")])
    append = room.log.append

    async def too_late(*args):
        await rival.log.record(stream, next(numbers), [Seated(who="somebody")], uuid4(), {"cause": "rest:x"})
        return await append(*args)

    monkeypatch.setattr(room.log, "append", too_late)
    with pytest.raises(StoreGone):
        run(room.execute(stream, TakeSeat(who="an"), call()))
    assert ROUNDS == run(room.log.head())


def test_a_command_that_changes_nothing_succeeds_and_leaves_no_trace(room, run):
    stream = uuid4()
    run(room.execute(stream, TakeSeat(who="an"), call("1")))
    outcome = run(room.execute(stream, TakeSeat(who="an"), call("2")))
    assert (("an",), 1, 1, []) == (outcome.state, outcome.version, outcome.position, outcome.told)
    assert [(1, 1)] == told(run, room)


def test_what_does_not_exist_is_not_found_unless_the_command_may_begin_it(room, run):
    with pytest.raises(NotFound):
        run(room.execute(uuid4(), LeaveWord(word="x"), call()))


def test_whoever_may_not_is_told_nothing_is_there_and_nothing_is_recorded(room, run):
    def nobody(_state, _command):
        raise NotFound

    with pytest.raises(NotFound):
        run(room.execute(uuid4(), TakeSeat(who="an"), call(permit=nobody)))
    assert [] == told(run, room)


def test_nobody_without_leave_learns_whether_a_version_is_stale(room, run):
    stream = uuid4()
    run(room.execute(stream, TakeSeat(who="an"), call("1")))

    def nobody(_state, _command):
        raise NotFound

    with pytest.raises(NotFound):
        run(room.execute(stream, TakeSeat(who="binh"), call("2", seen=99, permit=nobody)))


def test_an_event_says_who_did_it_as_what_why_when_and_on_what_they_saw(room, run):
    stream, at = uuid4(), datetime(2026, 3, 3, 2, 41, tzinfo=UTC)
    run(room.execute(stream, TakeSeat(who="an"), call("0")))
    asked = TakeSeat(who="binh", occurred_at=at)
    (event,) = run(room.execute(stream, asked, call("1", seen=1, permit=lambda *_: "chair@99801@2025-07-01"))).told

    expected = {"actor": "officer-7", "as": "chair@99801@2025-07-01", "cause": "rest:1", "seen": "1", "occurred_at": at.isoformat()}
    assert expected == {name: event.meta[name] for name in expected}


def test_the_correlation_is_the_contacts_id_and_stays_that_of_the_streams_first_event(room, run):
    stream, contact = uuid4(), uuid4()
    (first,) = run(room.execute(stream, TakeSeat(who="an", contact=contact), call("1"))).told
    (second,) = run(room.execute(stream, TakeSeat(who="binh", contact=uuid4()), call("2", correlation="other"))).told
    (alone,) = run(room.execute(other := uuid4(), TakeSeat(who="an"), call("3"))).told
    assert [str(contact), str(contact), str(other)] == [event.meta["correlation"] for event in (first, second, alone)]


def test_an_event_remembers_the_trace_of_the_request_that_told_it(room, run):
    tracer = TracerProvider().get_tracer("test")

    async def traced():
        with trace.use_span(span := tracer.start_span("request")):
            outcome = await room.execute(uuid4(), TakeSeat(who="an"), call())
        return outcome.told[0].meta["traceparent"], span.get_span_context()

    traceparent, span = run(traced())
    assert f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}" == traceparent


def test_an_effect_is_stamped_no_earlier_than_its_cause(room, run):
    ahead = datetime.now(UTC) + timedelta(minutes=5)
    (event,) = run(room.execute(uuid4(), TakeSeat(who="an"), call(not_before=ahead))).told
    assert ahead == event.recorded_at


def test_a_refusal_of_the_rules_records_nothing_and_the_key_stays_free(room, run):
    stream = uuid4()
    for n in range(SEATS):
        run(room.execute(stream, TakeSeat(who=f"p{n}"), call(str(n))))
    late = partial(room.execute, stream, TakeSeat(who="late"), call("late"))
    with pytest.raises(Refused, match="full"):
        run(late())
    assert SEATS == run(room.log.head())
    assert (
        "p0"
        == run(replace(room, decide=lambda *_: [Seated(who="late")]).execute(stream, TakeSeat(who="late"), call("late"))).state[0]
    )
    assert SEATS + 1 == run(room.log.head())

"""Folding into a real PostgreSQL: rows and place move together, exactly in order, once; what cannot be read is parked."""

import asyncio
from datetime import timedelta

import psycopg
import pytest

from chassis.view import View, positions, wait_for
from contracts import notifications
from services.projections.bootstrap import HEARS
from services.projections.test_samples import T0, Ids, Tape, clock, closed, measure, noted, opened, stored, tell_story
from services.projections.test_world import everything, forget_everything, rows, take, told_to, view_of
from services.projections.views.history import LOGS
from services.projections.views.instants import note_end
from services.projections.views.standing import Standing
from services.projections.views.work import fold
from tests.topics import running, until

pytestmark = [pytest.mark.anyio, pytest.mark.real]
IDS = Ids(2)
NEWER = b'{"v":9,"meta":{"cause":"rest:1"},"fact":{}}'


async def test_a_story_is_folded_up_to_its_last_position_with_every_byte_kept(worker, view):
    tape = Tape()
    tell_story(tape, IDS)
    await take(view, tape)
    assert tape.at() == await positions(worker.pool)
    for log in LOGS:
        kept = await rows(worker, "SELECT position, state FROM history WHERE log = %s ORDER BY position", log)
        assert [(row.position, row.state) for row in tape.rows[log]] == kept
    assert [("CLOSED", True)] == await rows(worker, "SELECT label, done FROM work WHERE id = %s", IDS.case)


async def test_hearing_everything_again_changes_nothing(worker, view):
    tape = Tape()
    tell_story(tape, IDS)
    await take(view, tape)
    before = await everything(worker)
    await take(view, tape)
    await take(view_of(worker), tape)
    assert before == await everything(worker)


async def test_two_workers_folding_the_same_rows_at_once_fold_each_row_once(worker, view):
    tape = Tape()
    tell_story(tape, IDS)
    await asyncio.gather(take(view, tape), take(view_of(worker), tape))
    assert tape.at() == await positions(worker.pool)
    assert [(len(tape.rows["cases"]),)] == await rows(worker, "SELECT count(*) FROM history WHERE log = 'cases'")


async def test_folded_one_by_one_or_in_one_batch_the_views_are_the_same(worker, view, postgres):
    tape = Tape()
    tell_story(tape, IDS)
    await take(view, tape)
    at_once = await everything(worker)
    await forget_everything(postgres)
    for log in LOGS:
        await view.begin(log)
    heard = dict.fromkeys(LOGS, 0)
    for event in tape.events:  # in the order of the story, so that no cause is waited for
        assert 1 == await view.take(event.log, [tape.rows[event.log][heard[event.log]]])
        heard[event.log] += 1
    assert at_once == await everything(worker)


async def test_a_long_stream_costs_one_more_fact_and_not_all_of_them_again(worker, view, monkeypatch):
    taken, take_one = [], Standing.take

    def counted(self, event):
        taken.append(event.position)
        return take_one(self, event)

    monkeypatch.setattr(Standing, "take", counted)
    tape = Tape()
    tape.tell(IDS.case, *opened(IDS), *[noted(IDS, "sent")] * 300)
    told = tape.rows["cases"]
    await view.begin("cases")
    for n in range(0, len(told), 10):
        await view.take_all("cases", told[n : n + 10])
    assert list(range(1, 303)) == taken
    assert [("FORWARDED", 302)] == await rows(worker, "SELECT label, version FROM work")


async def test_behind_a_gap_nothing_is_folded_until_the_missing_row_comes(worker, view):
    tape = Tape()
    tape.tell(IDS.case, *opened(IDS), *measure(IDS))
    first, second, *others = tape.rows["cases"]
    await view.begin("cases")
    await view.take_all("cases", [first, *others])
    assert {"cases": 1} == await positions(worker.pool)
    await view.take_all("cases", [second, *others])
    assert {"cases": 4} == await positions(worker.pool)


async def test_a_fact_waits_for_its_cause_in_another_log(worker, view):
    tape = Tape()
    cause = tape.tell(IDS.case, opened(IDS)[0])
    tape.tell(IDS.other_case, clock(notifications, "delivery", T0), cause=cause)
    for log in LOGS:
        await view.begin(log)
    assert 0 == await view.take("notifications", tape.rows["notifications"])
    assert 0 == (await positions(worker.pool))["notifications"]
    assert 1 == await view.take("cases", tape.rows["cases"])
    assert 1 == await view.take("notifications", tape.rows["notifications"])


@pytest.mark.parametrize(
    "body", [NEWER, b"\xff\x00", b"[]", b'{"v":1,"meta":{},"fact":{"clock":1}}', b'{"v":1,"meta":[],"fact":{}}']
)
async def test_what_cannot_be_read_is_parked_with_the_rest_of_its_stream_and_everything_else_goes_on(worker, view, body):
    tape = Tape()
    tape.tell(IDS.case, *opened(IDS))
    stored(tape, IDS.case, body, version=3)
    tape.tell(IDS.other_case, *opened(IDS, IDS.sibling))
    tape.tell(IDS.case, closed(IDS))
    await take(view, tape, "cases")
    assert {"cases": 6} == {log: at for log, at in (await positions(worker.pool)).items() if at}
    parked = await rows(worker, "SELECT position, stream, body, reason FROM parked ORDER BY position")
    assert [(3, IDS.case, body), (6, IDS.case, tape.rows["cases"][5].state)] == [row[:3] for row in parked]
    assert "an earlier event of this stream is parked" == parked[1][3]
    assert 4 == len(await rows(worker, "SELECT FROM history"))
    assert {(IDS.case, "TRIAGED"), (IDS.other_case, "TRIAGED")} == set(await rows(worker, "SELECT id, label FROM work"))


async def test_a_fact_that_the_fold_cannot_digest_is_found_in_its_batch_and_parked_alone(worker, view):
    async def fussy(db, events, memory):
        if any(event.stream == IDS.other_case for event in events):
            raise ZeroDivisionError
        return await fold(db, events, memory)

    tape = Tape()
    for number in range(10, 20):
        tape.tell(Ids(number).case, opened(Ids(number))[0])
    tape.tell(IDS.other_case, opened(IDS, IDS.sibling)[0])
    tape.tell(IDS.case, opened(IDS)[0])
    await take(View(view.pool, view.kafka, view.own, view.hears, fussy, view.at_end), tape, "cases")
    assert [(11, "ZeroDivisionError")] == await rows(worker, "SELECT position, reason FROM parked")
    assert [(11,)] == await rows(worker, "SELECT count(*) FROM history")


async def test_no_table_of_the_views_holds_a_personal_value_in_plain_text(worker, view):
    tape = Tape()
    tell_story(tape, IDS)
    await take(view, tape)
    held = str(await everything(worker)) + str(await rows(worker, "SELECT encode(state, 'escape') FROM history"))
    for value in ("Mẫu Văn Tí", "Thử Văn Láng", "Giả Văn Hung", "0320000017", "an toàn"):
        assert value not in held
        assert value.encode().decode("latin-1") not in held


async def test_the_api_role_may_look_at_the_views_and_change_nothing(worker, postgres, tmp_path):
    async with await psycopg.AsyncConnection.connect(postgres.uri("projections", "projections_api"), autocommit=True) as db:
        for table in ("history", "belongs", "reached", "work", "clock", "heard", "parked"):
            await db.execute(f"SELECT FROM {table}")  # by hand, whichever build is live
            await db.execute(f"SELECT FROM build_1.{table}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await db.execute(f"DELETE FROM build_1.{table}")
        for table in ("live", "build"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await db.execute(f"DELETE FROM {table}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await db.execute("SELECT begin_build()")


async def test_waiting_for_a_position_ends_when_it_is_folded_or_in_vain(worker, view):
    tape = Tape()
    tape.tell(IDS.case, *opened(IDS))
    await view.begin("cases")
    waiting = asyncio.create_task(wait_for(worker.pool, {"cases": 2}))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await view.take_all("cases", tape.rows["cases"])
    assert await waiting
    assert not await wait_for(worker.pool, {"cases": 3}, seconds=0.05)
    assert not await wait_for(worker.pool, {"nobody": 1}, seconds=0)


async def test_a_view_of_real_topics_comes_to_the_end_is_killed_and_goes_on_where_it_was(worker, kafka):
    tape = Tape()
    tell_story(tape, IDS)
    await told_to(kafka.bootstrap, tape, zombie=3)
    heard = {log: at for log, at in tape.at().items() if log in HEARS}

    async def run(until):
        ups = {name: asyncio.Event() for name in view_of(worker).loops()}
        loops = view_of(worker, kafka.bootstrap).loops()
        tasks = [asyncio.create_task(loop(ups[name].set)) for name, loop in loops.items()]
        try:
            assert await wait_for(worker.pool, until, seconds=30)
            async with asyncio.timeout(20):
                await asyncio.gather(*(up.wait() for up in ups.values()))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    await run(dict.fromkeys(HEARS, 1))
    await run(heard)
    found = await positions(worker.pool)
    assert heard == {log: found[log] for log in HEARS}
    counts = dict(await rows(worker, "SELECT log, count(*) FROM history GROUP BY log"))
    assert heard == {log: counts[log] for log in HEARS}

    async def reached():
        return set(LOGS) == {log for (log,) in await rows(worker, "SELECT log FROM reached")}

    async def to_the_end():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(loop(lambda: None)) for loop in view_of(worker, kafka.bootstrap).loops().values()]
            await until(reached)
            for task in tasks:
                task.cancel()

    await to_the_end()


async def test_a_view_that_never_comes_to_an_end_works_all_the_same(worker, kafka, monkeypatch):
    """Where facts come all the time, nobody ever finds it idle."""
    monkeypatch.setattr("chassis.view.AT_END", float("inf"))
    tape, up = Tape(), asyncio.Event()
    tell_story(tape, IDS)
    await told_to(kafka.bootstrap, tape)
    async with running(view_of(worker, kafka.bootstrap).loops()["view of cases"](up.set)):
        async with asyncio.timeout(20):
            await up.wait()


async def test_the_end_of_a_log_is_noted_and_a_clock_set_back_changes_nothing(worker):
    await note_end(worker.pool, "cases", T0)
    await note_end(worker.pool, "cases", T0 - timedelta(days=1))
    assert [("cases", T0)] == await rows(worker, "SELECT log, at FROM reached")

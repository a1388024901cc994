"""Views rebuilt beside the live build from a real broker, compared, swapped: equal or refused, killed and gone on, read all the while."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from aiokafka import AIOKafkaProducer

from chassis.kafka import topic_of
from chassis.view import positions
from chassis.view_builds import LOCKS, BuildGoneError, folding
from chassis.view_rebuild import ONE_REBUILDER, BuildsDifferError, Filler, RebuildRunsError, begun
from chassis.wiring import commands_of
from contracts.projections import ViewSwapped
from services.projections import swaps
from services.projections.bootstrap import HEARS
from services.projections.reads import decide, evolve
from services.projections.test_samples import Ids, Tape, closed, measure, opened, reported, stored, tell_story
from services.projections.test_world import everything, rows, send, take, take_as_before, told_to, view_of
from services.projections.views.work import fold
from tests.desk import settings_for
from tests.topics import until

pytestmark = [pytest.mark.anyio, pytest.mark.real]
NEWER = b'{"v":9,"meta":{"cause":"rest:1"},"fact":{}}'
ROOT = Path(__file__).parents[2]
HOTLINE = [sys.executable, "-c", "from tools.hotline import main; main()", "views"]
FAILPOINTS = ("rebuild.before-commit", "swap.before", "swap.before-commit", "swap.after-commit")


@pytest.fixture
async def tape(worker, view, kafka):
    """Stories of several cases, told to the live view and to the topics."""
    tape = Tape()
    for number in range(50, 56):
        tell_story(tape, Ids(number))
    await take(view, tape)
    await told_to(kafka.bootstrap, tape, zombie=5)
    return tape


@pytest.fixture
def rebuild(worker, kafka):
    """A rebuild of the view; `fold` and `accept` may be others."""

    def make(accept=None, progress=lambda *_: None, fold=fold):
        view = replace(view_of(worker, kafka.bootstrap), fold=fold)
        return swaps.rebuild_of(view, progress, accept)

    return make


@pytest.fixture
def cli(postgres, kafka, tmp_path):
    """`hotline views …` in a process of its own, as the worker of projections; `die` names a fail-point."""
    settings = settings_for(postgres, "projections", tmp_path, "worker").model_copy(
        update={"kafka": kafka.bootstrap, "clock_file": None, "failpoints": tmp_path / "failpoints"}
    )

    async def run(*arguments, die=None, **others):
        if die:
            (tmp_path / "failpoints").write_text(f"{die} 1 kill")
        given = {name: value for name, value in settings if value not in (None, "")}
        given |= {name: settings.__getattribute__(name).get_secret_value() for name in ("database", "keys")} | others
        variables = {f"H111_{name.upper()}": str(value) for name, value in given.items()}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("H111_")}
        process = await asyncio.create_subprocess_exec(
            *HOTLINE, *arguments, cwd=ROOT, env=clean | variables, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
        return process.returncode, said.decode()

    return run


async def live(worker):
    ((build,),) = await rows(worker, "SELECT build FROM live")
    return build


async def schemas(worker):
    found = await rows(worker, "SELECT nspname FROM pg_namespace WHERE nspname ~ '^build_' ORDER BY nspname")
    return [name for (name,) in found]


async def contents(worker, build):
    """What the tables of one build hold, whichever is live."""
    found = {}
    for table in ("history", "belongs", "work", "clock"):
        found[table] = sorted(map(str, await rows(worker, f"SELECT to_jsonb(t) FROM build_{build}.{table} t")))
    return found


@pytest.mark.parametrize("command", ["list", "status", "cancel", "drop", "rebuild"])
async def test_in_the_database_of_another_service_a_command_says_so_and_does_nothing(cli, postgres, worker, command):
    status, said = await cli(command, database=postgres.uri("intake", "intake_worker"))
    assert (1, 1) == (status, said.count("\n")), said
    assert "not the database of projections" in said


async def test_a_role_that_may_not_rebuild_is_told_so_in_a_sentence(cli, postgres, worker):
    status, said = await cli("rebuild", database=postgres.uri("projections", "projections_api"))
    assert (1, 1) == (status, said.count("\n")), said
    assert "this role may not do that" in said


async def test_a_rebuilt_view_equals_the_live_one_is_swapped_in_and_the_worker_folds_into_it_without_a_restart(
    worker, view, tape, rebuild
):
    old, before = await live(worker), await everything(worker)
    new, digest = await rebuild().run()
    assert (old + 1, old + 1) == (new, await live(worker))
    assert before == await everything(worker)
    assert tape.at() == await positions(worker.pool)
    kept = await contents(worker, old)
    tape.tell(Ids(60).case, *opened(Ids(60)))
    await take(view, tape)  # the same view as before the swap
    assert tape.at() == await positions(worker.pool)
    assert [("case",)] == await rows(worker, "SELECT kind FROM work WHERE id = %s", Ids(60).case)
    assert kept == await contents(worker, old)
    assert 64 == len(digest)


async def test_two_builds_of_the_same_facts_have_the_same_digest(worker, tape, rebuild):
    _, first = await rebuild().run()
    _, second = await rebuild().run()
    assert first == second


async def test_a_swap_is_told_once_however_often_the_teller_dies(worker, tape, rebuild):
    build, digest = await rebuild().run()
    for _ in range(3):  # killed before it noted that it had told
        async with worker.pool.connection() as db:
            await db.execute("UPDATE build SET told_at = NULL WHERE number = %s", (build,))
        up = asyncio.Event()
        telling = asyncio.create_task(swaps.told_of_swaps(worker.pool, commands_of(worker, decide, evolve))(up.set))
        await up.wait()
        telling.cancel()
    events = [event for event in await worker.log.open(await worker.log.rows_of(swaps.STREAM)) if event.fact.build == build]
    instant = ",".join(f"{log}:{position}" for log, position in tape.at().items())
    assert [ViewSwapped(view=swaps.NAME, build=build, digest=digest, instant=instant)] == [event.fact for event in events]
    assert ("policy:swap view", f"build:{build}") == (events[0].meta["actor"], events[0].meta["cause"])


@pytest.mark.parametrize("place", FAILPOINTS)
async def test_a_rebuild_that_is_killed_leaves_one_whole_build_live_and_the_next_call_goes_on(worker, tape, cli, place):
    old, before = await live(worker), await everything(worker)
    status, said = await cli("rebuild", die=place)
    assert -9 == status, said
    assert (old + 1 if place == "swap.after-commit" else old) == await live(worker)
    assert before == await everything(worker)
    status, said = await cli("rebuild")
    assert 0 == status, said
    assert (old + 2 if place == "swap.after-commit" else old + 1) == await live(worker)
    assert before == await everything(worker)


async def test_a_rebuild_goes_on_where_it_was_killed_and_folds_nothing_twice(worker, tape, rebuild, view, kafka):
    async with worker.pool.connection() as db:
        build = await begun(db)
        assert build == await begun(db)
    half = {log: at // 2 for log, at in tape.at().items()}
    part = replace(view_of(worker, kafka.bootstrap), build=build, recall=swaps.recall)
    for log in HEARS:
        filler = Filler(part, log, await part.begin(log))
        reading = asyncio.create_task(filler.read())
        await filler.to(half[log])
        reading.cancel()
    before = await contents(worker, build)
    assert sum(half.values()) == len(before["history"])
    seen = []
    assert (build, build) == ((await rebuild(progress=lambda _, at, to: seen.append(dict(at))).run())[0], await live(worker))
    assert half == seen[0]
    assert set(before["history"]) < set((await contents(worker, build))["history"])


async def test_two_processes_that_fill_one_build_at_once_fold_each_fact_once(worker, tape, rebuild, kafka):
    async with worker.pool.connection() as db:
        build = await begun(db)
    twins = [replace(view_of(worker, kafka.bootstrap), build=build, recall=swaps.recall) for _ in range(2)]
    for log in HEARS:
        await twins[0].begin(log)
        for n in range(0, len(tape.rows[log]), 7):
            await asyncio.gather(*(twin.take_all(log, tape.rows[log][n : n + 7]) for twin in twins))
    assert (await contents(worker, await live(worker))) == await contents(worker, build)


async def test_a_second_rebuild_is_told_that_one_runs(worker, tape, rebuild, cli):
    async with worker.pool.connection() as db:
        await db.execute("SELECT pg_advisory_lock(%s, %s)", (LOCKS, ONE_REBUILDER))
        try:
            with pytest.raises(RebuildRunsError):
                await rebuild().run()
            status, said = await cli("rebuild")
            assert (2, True) == (status, "a rebuild is running" in said)
        finally:
            await db.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCKS, ONE_REBUILDER))


async def test_a_cancelled_rebuild_leaves_no_tables_and_whoever_fills_them_ends(worker, tape, cli, kafka):
    old = await live(worker)
    async with worker.pool.connection() as db:
        build = await begun(db)
    part = replace(view_of(worker, kafka.bootstrap), build=build)
    await part.begin("cases")
    status, said = await cli("status")
    assert (0, True) == (status, f"build {build}: nobody works on it" in said)
    status, said = await cli("cancel")
    assert 0 == status, said
    assert [f"build_{old}"] == await schemas(worker)
    with pytest.raises(BuildGoneError):
        await part.take_all("cases", tape.rows["cases"])
    assert (1, True) == ((await cli("status"))[0], "no rebuild" in (await cli("cancel"))[1])
    assert old == await live(worker)


async def test_the_live_build_is_never_dropped_and_the_one_before_it_not_while_somebody_may_read_it(worker, tape, rebuild, cli):
    old = await live(worker)
    new, _ = await rebuild().run()
    async with worker.pool.connection() as db:
        with pytest.raises(psycopg.errors.ObjectInUse):
            await db.execute("SELECT drop_build(%s)", (new,))
        with pytest.raises(psycopg.errors.ObjectInUse, match="a read may still look"):
            await db.execute("SELECT drop_build(%s)", (old,))
        await db.execute("UPDATE build SET swapped_at = swapped_at - interval '61 s' WHERE number = %s", (new,))
    status, said = await cli("list")
    assert (0, True, True) == (status, f"build {old}  kept" in said, f"build {new}  live" in said)
    assert (0, f"build {old} is dropped\n") == await cli("drop")
    assert [f"build_{new}"] == await schemas(worker)


async def other_labels(db, events, memory):
    """New code: it labels closed cases in another way."""
    touched = await fold(db, events, memory)
    await db.execute("UPDATE work SET label = 'ENDED' WHERE label = 'CLOSED'")
    return touched


async def test_a_build_that_folds_differently_is_swapped_in_only_with_a_reason(worker, tape, rebuild):
    old, before = await live(worker), await everything(worker)
    with pytest.raises(BuildsDifferError) as refused:
        await rebuild(fold=other_labels).run()
    assert ([("work", 6, 6)], 0) == ([tuple(each) for each in refused.value.found], refused.value.stray)
    assert (old, before) == (await live(worker), await everything(worker))
    build, _ = await rebuild(fold=other_labels, accept="closed cases are ENDED from now on").run()
    assert build == await live(worker)
    assert [("closed cases are ENDED from now on",)] == await rows(worker, "SELECT accepted FROM build WHERE number = %s", build)
    assert [(6,)] == await rows(worker, "SELECT count(*) FROM work WHERE label = 'ENDED'")


async def test_other_bytes_are_refused_whatever_the_reason(worker, tape, rebuild, postgres):
    with pytest.raises(BuildsDifferError):
        await rebuild(fold=other_labels).run()
    async with worker.pool.connection() as db:
        build = await begun(db)
    async with await psycopg.AsyncConnection.connect(postgres.uri("projections"), autocommit=True) as db:
        await db.execute(f"UPDATE build_{build}.history SET state = 'other' WHERE log = 'cases' AND position = 3")
    with pytest.raises(BuildsDifferError) as refused:
        await rebuild(accept="please").run()
    assert {"history", "work"} == {table for table, *_ in refused.value.found}
    assert 2 == refused.value.stray
    assert build != await live(worker)


async def test_what_is_parked_is_folded_anew_and_shown_for_both_builds(worker, view, tape, kafka, cli):
    ids = Ids(70)
    tape.tell(ids.case, *opened(ids))

    await take_as_before(view, tape, ids.case)
    stored(tape, Ids(71).case, NEWER, version=1)
    await take(view, tape)
    await told_to(kafka.bootstrap, tape)
    status, said = await cli("rebuild")
    assert (1, True) == (status, "every fact is the same bytes" in said)
    assert "parked: cases 3 (and 0 discarded)" in said
    assert "parked: cases 1 (and 0 discarded)" in said
    status, said = await cli("rebuild", "--accept-difference", "the new reader digests them")
    assert (0, True) == (status, "parked: cases 1 (and 0 discarded)" in said), said
    assert [("TRIAGED",)] == await rows(worker, "SELECT label FROM work WHERE id = %s", ids.case)


async def test_what_a_person_gave_up_stays_given_up_in_a_rebuilt_view(worker, view, tape, kafka, rebuild):
    ids = Ids(72)
    tape.tell(ids.case, opened(ids)[0])
    stored(tape, ids.case, NEWER, version=2)
    tape.tell(ids.case, closed(ids))
    await take(view, tape)
    await told_to(kafka.bootstrap, tape)
    await view.drop("cases", len(tape.rows["cases"]) - 1)
    before = await everything(worker)
    await rebuild().run()
    strip = {table: [row.replace("'revised': 1", "'revised': 0") for row in found] for table, found in before.items()}
    after = await everything(worker)
    assert [(1,)] == await rows(worker, "SELECT count(*) FROM parked WHERE discarded_at IS NOT NULL")
    assert {t: strip[t] for t in ("history", "work", "clock", "heard")} == {
        t: after[t] for t in ("history", "work", "clock", "heard")
    }


@asynccontextmanager
async def hammered(work, n=4):
    """Do this again and again in several tasks meanwhile; what it raises is raised here. Answers how often it was done."""
    done, ending = [0], asyncio.Event()

    async def again():
        while not ending.is_set():
            await work()
            done[0] += 1

    tasks = [asyncio.create_task(again()) for _ in range(n)]
    try:
        yield done
    finally:
        ending.set()
        await asyncio.gather(*tasks)


async def test_reads_go_on_during_a_rebuild_and_a_swap_and_none_is_older_than_one_before(view, tape, kafka, rebuild, get):
    latest = [dict.fromkeys(tape.at(), 0)]
    ids = Ids(51)
    case = f"/cases/{ids.case}"
    paths = [("/worklists/team", ("supervisor",)), ("/breaches", ("supervisor",)), (case, ("supervisor",))]

    async def look():
        for path, groups in paths:
            seen = latest[0]
            answer = await get(path, groups, "GS-01")
            assert 200 == answer.status_code, answer.text
            at = {
                log: int(position) for log, position in (part.split(":") for part in answer.headers["hotline-instant"].split(","))
            }
            assert all(at[log] >= seen[log] for log in seen), (path, seen, at)
            latest[0] = {log: max(at[log], latest[0][log]) for log in at}

    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all")
    await producer.start()
    number = iter(range(100, 10_000))

    async def go_on():
        before, story = tape.at(), Ids(next(number))
        for stream, facts in reported(story):
            tape.tell(stream, *facts)
        tape.tell(story.case, *opened(story), *measure(story))
        await send(producer, {log: tape.rows[log][before[log] :] for log in HEARS})
        for log in HEARS:
            await view.take_all(log, tape.rows[log][before[log] :])

    try:
        async with hammered(look, 3) as looks, hammered(go_on, 1) as folds:
            for _ in range(3):
                at, build = looks[0], await live(view)
                assert build + 1 == (await rebuild().run())[0]
                await until(lambda at=at: done(looks, at))
                assert folds[0]
    finally:
        await producer.stop()
    assert tape.at() == await positions(view.pool)
    assert [(sum(len(tape.rows[log]) for log in HEARS),)] == await rows(view, "SELECT count(*) FROM history")


async def done(looks, at):
    return looks[0] > at + 2


async def test_nobody_folds_into_a_build_that_is_live_no_more(worker, tape, rebuild):
    """A fold that holds the pointer makes the swap wait; one that comes after it finds the new build."""
    async with folding(worker.pool, None) as (_, build):
        swapping = asyncio.create_task(rebuild().run())
        await until(lambda: waits_for_the_pointer(worker))
        assert build == await live(worker)
    new, _ = await swapping
    async with folding(worker.pool, None) as (_, build):
        assert new == build


async def waits_for_the_pointer(worker):
    query = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = 0 AND NOT granted"
    return bool(await rows(worker, query, LOCKS))


async def test_a_topic_that_is_refilled_is_read_on(worker, tape, kafka, rebuild):
    """The rebuild has read a part when the topics are emptied and told anew from position 1."""
    told = asyncio.Event()

    def progress(_, at, to):
        if sum(at.values()):
            told.set()

    running = asyncio.create_task(rebuild(progress=progress).run())
    await told.wait()
    await told_to(kafka.bootstrap, tape)
    build, _ = await running
    assert build == await live(worker)
    assert topic_of("cases") in {topic for (topic,) in await rows(worker, "SELECT topic FROM heard")}

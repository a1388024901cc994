"""The key store against a real PostgreSQL: one key a person, for ever or never again, and no answer is never taken for a no."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar
from uuid import UUID, uuid4

import psycopg
import pytest
from cryptography.exceptions import InvalidTag

from chassis import keys
from chassis.keys import KeyStore
from chassis.log import Log
from chassis.transient import StoreGone
from chassis.wiring import flushing
from contracts.kernel import Fact, Personal, Refused

META = {"actor": "officer-7", "cause": "rest:1", "correlation": str(UUID(int=9))}
MASTER = bytes(range(32))
ERASER = "intake_eraser"
AT = datetime(2026, 3, 3, 2, 35, tzinfo=UTC)


class Killed(Exception):
    """The process is gone at this instruction."""


class KeysFact(Fact):
    log: ClassVar[str] = "keys-test"


class NameTold(KeysFact):
    person: UUID
    place: str
    name: Annotated[str | None, Personal("person")] = None


@pytest.fixture
def store(templates, database, open_pool):
    """A new key store; `store()` is another process that uses it, `store.name` its database."""
    name = database("keys")

    def process(service="cases", master=MASTER, role=None):
        return KeyStore(open_pool(name, role or f"{service}_keys"), master)

    process.name = name
    return process


@pytest.fixture
def as_owner(templates, store):
    with psycopg.connect(templates.uri(store.name, "postgres"), autocommit=True) as db:
        yield db


def destroy(as_owner, person):
    as_owner.execute("SELECT destroy_key(%s, 'decision-1', now())", [person])


def test_rivals_for_a_new_person_share_one_key(store, run):
    person = uuid4()
    rivals = [store() for _ in range(4)]

    async def race():
        return await asyncio.gather(*(rival.create([person]) for rival in rivals for _ in range(5)))

    found = [answer[person] for answer in run(race())]
    assert 1 == len(set(found))
    assert {person: found[0]} == run(store().get([person]))


def test_a_key_comes_back_the_same_to_every_process_and_differs_from_person_to_person(store, run):
    boy, girl = uuid4(), uuid4()
    made = run(store().create([boy, girl, boy]))
    assert made == run(store().get([girl, boy]))
    assert 2 == len(set(made.values()))
    assert {32} == {len(key) for key in made.values()}


def test_an_unknown_person_is_absent_and_gets_no_key_by_being_asked_for(store, run):
    person = uuid4()
    assert {} == run(store().get([person]))
    assert {} == run(store().get([person]))


def test_a_box_whose_key_nobody_knows_is_counted_as_an_alarm_and_a_destroyed_one_is_not(store, run, as_owner, monkeypatch):
    counted = []
    monkeypatch.setattr(keys.lost_, "add", counted.append)
    lost, forgotten, known = uuid4(), uuid4(), uuid4()
    destroy(as_owner, forgotten)
    run(store().create([known]))
    assert [known] == list(run(store().get([lost, forgotten, known])))
    assert [1] == counted


def test_a_destroyed_person_never_gets_another_key_and_a_command_is_refused(store, run, as_owner):
    person = uuid4()
    run(store().create([person]))
    destroy(as_owner, person)
    destroy(as_owner, person)  # repeatable

    assert {} == run(store().get([person]))
    with pytest.raises(Refused) as refused:
        run(store().create([person, uuid4()]))
    assert "person-forgotten" == refused.value.code


def test_whoever_was_destroyed_before_there_was_a_key_stays_without_one(store, run, as_owner):
    person = uuid4()
    destroy(as_owner, person)
    with pytest.raises(Refused, match="person-forgotten"):
        run(store().create([person]))


def test_what_a_process_remembers_of_a_destroyed_person_is_gone_once_it_forgets(store, run, as_owner):
    person, process = uuid4(), store()
    run(process.create([person]))
    destroy(as_owner, person)
    process.flush()
    assert {} == run(process.get([person]))


def test_a_worker_that_hears_that_somebody_was_forgotten_remembers_no_key_any_more(store, run, as_owner):
    person, process = uuid4(), store()
    run(process.create([person]))
    destroy(as_owner, person)
    run(flushing(process)(None, None))
    assert {} == run(process.get([person]))


def test_a_remembered_key_is_forgotten_after_thirty_seconds(store, run, as_owner, monkeypatch):
    person, process = uuid4(), store()
    known = run(process.create([person]))
    destroy(as_owner, person)
    assert known == run(process.get([person]))

    later = time.monotonic() + 30.1
    monkeypatch.setattr("chassis.keys.time.monotonic", lambda: later)
    assert {} == run(process.get([person]))


def test_a_store_that_does_not_answer_is_an_error_and_never_an_empty_answer(store, run, as_owner, templates):
    person, process = uuid4(), store()
    run(process.create([person]))
    process.flush()
    with psycopg.connect(templates.uri("postgres"), autocommit=True) as db:
        db.execute(f"ALTER DATABASE {store.name} ALLOW_CONNECTIONS false")
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [store.name])
        process._pool.timeout = 0.5
        for ask in (process.get, process.create):
            with pytest.raises(StoreGone):
                run(ask([person]))
        db.execute(f"ALTER DATABASE {store.name} ALLOW_CONNECTIONS true")
    process._pool.timeout = 10
    assert [person] == list(run(process.get([person])))


def test_a_key_wrapped_under_another_master_does_not_open(store, run):
    person = uuid4()
    run(store().create([person]))
    with pytest.raises(InvalidTag):
        run(store(master=bytes(32)).get([person]))


def test_a_wrapped_key_moved_to_another_person_does_not_open(store, run, as_owner):
    mine, yours = uuid4(), uuid4()
    run(store().create([mine, yours]))
    as_owner.execute(
        "UPDATE person_key SET wrapped = (SELECT wrapped FROM person_key WHERE person = %s) WHERE person = %s", [mine, yours]
    )
    with pytest.raises(InvalidTag):
        run(store().get([yours]))


def test_the_stored_key_is_wrapped(store, run, as_owner):
    person = uuid4()
    key = run(store().create([person]))[person]
    ((wrapped,),) = as_owner.execute("SELECT wrapped FROM person_key WHERE person = %s", [person]).fetchall()
    assert key not in wrapped


@pytest.mark.parametrize(
    "attack",
    [
        "SELECT wrapped FROM person_key",
        "INSERT INTO person_key (person, master) VALUES (gen_random_uuid(), '1')",
        "UPDATE person_key SET wrapped = ''",
        "DELETE FROM person_key",
        "TRUNCATE person_key",
        "SELECT destroy_key(gen_random_uuid(), 'why not', now())",
        "CREATE TABLE mine ()",
    ],
)
def test_a_service_may_call_get_and_create_and_has_no_right_to_the_table(templates, store, attack):
    with (
        psycopg.connect(templates.uri(store.name, "cases_keys"), autocommit=True) as db,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        db.execute(attack)


# Forgetting


@pytest.fixture
def eraser(store):
    """The key store as intake's worker asks it."""
    return store(role=ERASER)


def test_a_destroyed_key_is_gone_for_every_process_and_its_time_and_decision_stay(store, eraser, run, as_owner):
    boy, girl = uuid4(), uuid4()
    kept = run(eraser.create([boy, girl]))[girl]
    assert (AT, True) == run(eraser.destroy(boy, "12/QĐ", AT))

    for process in (store(), eraser):
        assert {girl: kept} == run(process.get([boy, girl]))
        with pytest.raises(Refused, match="person-forgotten"):
            run(process.create([boy]))
    query = "SELECT wrapped, destroyed_at, decision FROM person_key WHERE person = %s"
    assert [(None, AT, "12/QĐ")] == as_owner.execute(query, [boy]).fetchall()


def test_to_destroy_again_is_nothing_and_answers_the_first_time(eraser, run):
    person = uuid4()
    run(eraser.create([person]))
    assert (AT, True) == run(eraser.destroy(person, "12/QĐ", AT))
    assert (AT, False) == run(eraser.destroy(person, "13/QĐ", AT + timedelta(days=1)))


def test_rivals_destroy_a_key_once(store, run):
    person, first = uuid4(), AT
    rivals = [store(role=ERASER) for _ in range(4)]
    run(rivals[0].create([person]))

    async def race():
        return await asyncio.gather(*(rival.destroy(person, "12/QĐ", first) for rival in rivals))

    assert [False, False, False, True] == sorted(done.lived for done in run(race()))


def test_a_key_that_came_back_with_a_backup_dies_again_and_that_is_told(eraser, run, as_owner):
    person = uuid4()
    run(eraser.create([person]))
    ((backup,),) = as_owner.execute("SELECT wrapped FROM person_key WHERE person = %s", [person]).fetchall()
    run(eraser.destroy(person, "12/QĐ", AT))
    restored = "UPDATE person_key SET wrapped = %s, destroyed_at = NULL, decision = NULL WHERE person = %s"
    as_owner.execute(restored, [backup, person])
    assert (AT, True) == run(eraser.destroy(person, "12/QĐ", AT))
    assert {} == run(eraser.get([person]))


def test_no_copy_of_a_destroyed_key_stays_in_the_file_of_the_table_once_it_is_swept(templates, store, eraser, run, as_owner):
    persons = [uuid4() for _ in range(500)]
    run(eraser.create(persons))
    wrapped = dict(as_owner.execute("SELECT person, wrapped FROM person_key").fetchall())
    gone, kept = persons[::7], persons[1::7]
    for person in gone:
        run(eraser.destroy(person, "12/QĐ", AT))

    run(eraser.sweep())
    as_owner.execute("CHECKPOINT")
    ((file,),) = as_owner.execute("SELECT pg_relation_filepath('person_key')").fetchall()
    heap = (templates.home / "data" / file).read_bytes()
    assert [] == [person for person in gone if wrapped[person] in heap]
    assert [] == [person for person in kept if wrapped[person] not in heap]
    assert set(kept) == set(run(store().get([*gone, *kept])))


def test_a_sweep_is_not_done_while_somebody_still_sees_what_was_destroyed(templates, store, eraser, run):
    """A transaction that began before the deed keeps the key in the file, whether it ever looks at the table or not."""
    person = uuid4()
    run(eraser.create([person]))
    with psycopg.connect(templates.uri(store.name, "postgres")) as older:
        older.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        older.execute("SELECT FROM pg_class LIMIT 1")
        run(eraser.destroy(person, "12/QĐ", AT))
        with pytest.raises(StoreGone):
            run(eraser.sweep())
    run(eraser.sweep())


def test_a_sweep_gives_way_to_whoever_holds_the_table(templates, store, eraser, run):
    with psycopg.connect(templates.uri(store.name, "postgres")) as backup:
        backup.execute("LOCK TABLE person_key IN ACCESS SHARE MODE")
        with pytest.raises(StoreGone):
            run(eraser.sweep())
    run(eraser.sweep())


@pytest.mark.parametrize(
    "attack", ["SELECT wrapped FROM person_key", "UPDATE person_key SET wrapped = ''", "DELETE FROM person_key"]
)
def test_whoever_may_destroy_a_key_may_not_reach_into_the_table(templates, store, attack):
    with (
        psycopg.connect(templates.uri(store.name, ERASER), autocommit=True) as db,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        db.execute(attack)


# Facts, when a key is not there


@pytest.fixture
def log(store, database, open_pool):
    return Log("cases", open_pool(database("cases"), "cases_api"), store())


def test_a_fact_whose_persons_key_is_destroyed_still_folds_and_its_sealed_fields_are_unknown(log, run, as_owner):
    person, stream = uuid4(), uuid4()
    told = NameTold(person=person, place="99801@2025-07-01", name="Mẫu Văn Bi")
    run(log.record(stream, 0, [told], uuid4(), META))
    assert [told] == [event.fact for event in run(log.open(run(log.rows_of(stream))))]

    destroy(as_owner, person)
    log.keys.flush()
    forgotten = told.model_copy(update={"name": None})
    assert [forgotten] == [event.fact for event in run(log.open(run(log.rows_of(stream))))]
    assert [told.place] == run(log.load(stream, lambda fact, state: [*(state or []), fact.place])).state


def test_nothing_is_recorded_about_a_destroyed_person(log, run, as_owner):
    person = uuid4()
    destroy(as_owner, person)
    with pytest.raises(Refused, match="person-forgotten"):
        run(log.record(uuid4(), 0, [NameTold(person=person, place="x", name="Mẫu Văn Bi")], uuid4(), META))
    assert 0 == run(log.head())


def test_a_key_is_durable_before_the_first_fact_that_uses_it(log, run, store):
    """Killed between the two, an unused key is left behind and no box that nobody can open."""
    person = uuid4()

    async def killed_before_the_append(*_, **__):
        raise Killed

    log.append = killed_before_the_append
    with pytest.raises(Killed):
        run(log.record(uuid4(), 0, [NameTold(person=person, place="x", name="Mẫu Văn Bi")], uuid4(), META))
    assert [person] == list(run(store().get([person])))
    assert 0 == run(log.head())

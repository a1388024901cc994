"""The log against a real PostgreSQL, as the API's role, which may append and look and nothing else."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.application import Application
from eventsourcing.persistence import IntegrityError, MapperDeserialisationError, StoredEvent
from eventsourcing.tests import persistence as upstream

from chassis.library import LibraryRecorder
from chassis.mapper import FactMapper, people_in
from contracts.cases import ClockMet, EmergencyMeasureApplied, PlanSubmitted
from contracts.shapes import Addressee

T0 = datetime(2026, 11, 23, 2, 41, tzinfo=UTC)
CHILD = UUID(int=2)
MET = ClockMet(clock="plan-draft", met_at=T0, late=False)
PLAN = PlanSubmitted(
    plan=1,
    digest="aa",
    items=[],
    review_on=date(2026, 12, 1),
    author="cb",
    child_id=CHILD,
    goals="Trẻ được an toàn (mẫu)",
    salt="00",
)
META = {"actor": "officer-7", "occurred_at": T0.isoformat(), "cause": "rest:1", "correlation": str(UUID(int=9))}


@dataclass(frozen=True)
class Seen:
    digest: str = ""
    facts: int = 0


def evolve(fact, state):
    state = state or Seen()
    return replace(state, facts=state.facts + 1, digest=getattr(fact, "digest", state.digest))


@pytest.fixture
def log(new_log):
    return new_log()


def test_positions_are_dense_from_one(log, run):
    a, b = uuid4(), uuid4()
    assert range(1, 3) == run(log.record(a, 0, [MET, MET], uuid4(), META)).positions
    assert range(3, 4) == run(log.record(b, 0, [MET], uuid4(), META)).positions


def test_a_stale_writer_gets_an_integrity_error_and_leaves_no_gap(log, run):
    case = uuid4()
    run(log.record(case, 0, [MET], uuid4(), META))
    with pytest.raises(IntegrityError):
        run(log.record(case, 0, [MET, MET], uuid4(), META))
    assert range(2, 3) == run(log.record(case, 1, [MET], uuid4(), META)).positions


def test_the_same_command_again_answers_the_same_positions_and_fingerprint_and_writes_nothing(log, run):
    case, command = uuid4(), uuid4()
    first = run(log.record(case, 0, [MET, MET], command, META, fingerprint=b"f"))
    again = run(log.record(case, 0, [MET, MET], command, META, fingerprint=b"g"))
    assert (first.positions, first.fingerprint, []) == again
    assert run(log.after(0, 10)) == first.rows
    assert b"f" == first.fingerprint
    assert 2 == run(log.head())


def test_a_reaction_is_never_stamped_before_its_cause(log, run):
    ahead = datetime.now(UTC) + timedelta(hours=1)
    run(log.record(uuid4(), 0, [MET], uuid4(), META, not_before=ahead))
    run(log.record(uuid4(), 0, [MET], uuid4(), META))
    first, second = run(log.after(0, 10))
    assert ahead == first.recorded_at
    assert first.recorded_at <= second.recorded_at


def test_rivals_for_one_version_in_one_batch_give_one_winner_and_no_gap(log, run):
    async def race():
        streams = [uuid4() for _ in range(20)]
        tries = [log.record(stream, 0, [MET, MET], uuid4(), META) for stream in streams for _ in range(10)]
        return await asyncio.gather(*tries, return_exceptions=True)

    outcomes = run(race())
    assert list(range(1, 41)) == sorted(p for o in outcomes if not isinstance(o, Exception) for p in o.positions)
    assert 180 == sum(isinstance(o, IntegrityError) for o in outcomes)


def test_facts_come_back_as_they_were_told_to_whoever_has_the_keys(log, run):
    case = uuid4()
    run(log.record(case, 0, [PLAN], uuid4(), META))
    (event,) = run(log.open(run(log.rows_of(case))))
    assert PLAN == event.fact


def test_what_is_stored_shows_no_personal_value_and_folds_without_keys(log, run):
    case = uuid4()
    run(log.record(case, 0, [PLAN], uuid4(), META))
    (row,) = run(log.rows_of(case))
    assert "an toàn".encode() not in row.state
    assert [CHILD] == people_in(row.state)
    assert "aa" == run(log.load(case, evolve)).state.digest


def test_an_event_of_a_newer_version_or_of_no_shape_is_refused():
    newer = StoredEvent(uuid4(), 1, "cases.ClockMet", b'{"v":2,"meta":{},"fact":{}}')
    broken = StoredEvent(uuid4(), 1, "cases.ClockMet", b'{"v":1,"meta":{},"fact":{"clock":1}}')
    stranger = StoredEvent(uuid4(), 1, "cases.Nothing", b'{"v":1,"meta":{},"fact":{}}')
    for event in (newer, broken, stranger, StoredEvent(uuid4(), 1, "cases.ClockMet", b"\xff")):
        with pytest.raises(MapperDeserialisationError):
            FactMapper().to_domain_event(event)


def test_fields_and_codes_of_a_newer_teller_are_passed_over_in_nested_shapes_too(log):
    body = (
        b'{"v":1,"meta":{},"fact":{"number":1,"measure":"helicopter","by":{"role":"coast_watch","place":"00001@2031-01-01","new":1},'
        b'"applied_at":"2026-11-23T02:41:00Z","child_id":"00000000-0000-0000-0000-000000000002","new":2}}'
    )
    fact = FactMapper().to_domain_event(StoredEvent(uuid4(), 1, "cases.EmergencyMeasureApplied", body)).fact
    assert isinstance(fact, EmergencyMeasureApplied)
    assert ("helicopter", "coast_watch") == (fact.measure, fact.by.role)
    with pytest.raises(ValueError, match="role"):
        Addressee(role="coast_watch", place="99801@2025-07-01")


@pytest.mark.parametrize(
    "attack",
    [
        "INSERT INTO event VALUES (1, now(), gen_random_uuid(), 1, 'x', '')",
        "UPDATE event SET topic = 'x'",
        "DELETE FROM event",
        "TRUNCATE event",
        "UPDATE head SET position = 7",
        "DELETE FROM command",
        "DROP TABLE event",
    ],
)
def test_the_api_role_may_append_and_look_and_nothing_else(log, run, attack):
    run(log.record(uuid4(), 0, [MET], uuid4(), META))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(log_execute(log, attack))


@pytest.mark.parametrize("attack", ["UPDATE event SET topic = 'x'", "DELETE FROM event", "TRUNCATE event", "DELETE FROM command"])
def test_not_even_the_owner_rewrites_history(templates, database, attack):
    name = database("cases")
    with (
        psycopg.connect(templates.uri(name, "postgres"), autocommit=True) as db,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        db.execute(attack)


async def log_execute(log, statement):
    async with log._pool.connection() as db:
        await db.execute(statement)


def test_the_librarys_own_application_reads_and_travels_in_the_same_log(log, loop, run):
    class Cases(Application[UUID]):
        def construct_mapper(self):
            return FactMapper()

        def construct_recorder(self):
            return LibraryRecorder(log, loop)

    case, library = uuid4(), Cases()
    run(log.record(case, 0, [MET, PLAN], uuid4(), META))

    def project(state, events):
        for event in events:
            state = evolve(event.fact, state)
        return state

    assert "aa" == library.repository.get(case, projector_func=project).digest
    assert "" == library.repository.get(case, version=1, projector_func=project).digest


class TestUpstreamRecorderSuite(upstream.ApplicationRecorderTestCase):
    """The library's own cases, unchanged."""

    @pytest.fixture(autouse=True)
    def _wire(self, new_log, loop):
        self.create = lambda: LibraryRecorder(new_log(), loop)

    def create_recorder(self):
        return self.create()


class TestUpstreamNonInterleaving(upstream.NonInterleavingNotificationIDsBaseCase):
    """The library's own cases, unchanged."""

    @pytest.fixture(autouse=True)
    def _wire(self, new_log, loop):
        self.create = lambda: LibraryRecorder(new_log(), loop)

    def create_recorder(self):
        return self.create()

"""The hot queries use an index, on tables with some thousand rows and statistics; none reads a big table from end to end."""

import json
from datetime import UTC, datetime
from itertools import pairwise
from uuid import UUID, uuid4

import psycopg
import pytest

from chassis.kafka import topic_of
from chassis.view import positions
from chassis.view_builds import reading
from contracts.references import reference
from services.projections import boards, policy
from services.projections.search import finding, made
from services.projections.search import index as search_index
from services.projections.search.index import Index
from services.projections.test_samples import XA, Ids, Tape, closed, opened
from services.projections.views import instants
from services.projections.views.history import LOGS, Reader

pytestmark = [pytest.mark.anyio, pytest.mark.real]
BIG = {"history", "work", "clock", "belongs"}
STREAMS = 4000
FILL = f"""
    INSERT INTO history SELECT l, n, now() + n * interval '1 s', md5(l || n / 3)::uuid, n % 3, 'cases.ClockMet', '{{}}', '{{}}'
        FROM unnest(ARRAY{list(LOGS)}) l, generate_series(1, {STREAMS}) n;
    INSERT INTO belongs SELECT md5('s' || n)::uuid, md5('t' || n / 2)::uuid, 'hand_off', 'referrals', n FROM generate_series(1, {STREAMS}) n;
    INSERT INTO work SELECT md5('w' || n)::uuid, 'case', 'cases', n, 1, 'TRIAGED', n % 50 <> 0, false, 'high', 'TVV-01', md5('w' || n / 2)::uuid,
        '{XA}', '{XA}', NULL, 'hanoi@2025-07-01', NULL, '{{98@2025-07-01}}', now() + n * interval '1 min', 'emergency'
        FROM generate_series(1, {STREAMS}) n;
    INSERT INTO clock SELECT md5('w' || n)::uuid, 'cases', 'emergency', 'emergency@2017', now(), 'commune_pc@{XA}',
        CASE WHEN n % 50 = 0 THEN now() + n * interval '1 s' END, 1, n % 100 = 0, md5('w' || n)::uuid FROM generate_series(1, {STREAMS}) n;
    INSERT INTO heard SELECT 'hotline.' || l || '.events.v1', 0, {STREAMS} FROM unnest(ARRAY{list(LOGS)}) l;
    INSERT INTO reached SELECT l, now() FROM unnest(ARRAY{list(LOGS)}) l;
"""


@pytest.fixture
async def filled(worker, postgres):
    async with await psycopg.AsyncConnection.connect(postgres.uri("projections"), autocommit=True) as db:
        ((live,),) = await (await db.execute("SELECT build FROM live")).fetchall()
        await db.execute(f"SET search_path = build_{live}")
        await db.execute(FILL)
        await db.execute("ANALYZE history, belongs, work, clock, heard, reached, parked")
    return worker


@pytest.fixture
def plans(filled, monkeypatch):
    """The plan of every statement that is executed, by EXPLAIN in the same transaction with the same parameters."""
    found = []
    execute = psycopg.AsyncCursor.execute

    async def explained(self, query, params=None, **kwargs):
        text = query if isinstance(query, str) else ""
        if any(f" {table}" in text for table in BIG) and not text.startswith("EXPLAIN"):
            cursor = psycopg.AsyncCursor(self.connection)
            await execute(cursor, "EXPLAIN (FORMAT JSON) " + text, params)
            found.append((text, (await cursor.fetchone())[0][0]["Plan"]))
        return await execute(self, query, params, **kwargs)

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", explained)
    return found


def nodes(plan):
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def all_by_index(plans):
    assert plans
    for query, plan in plans:
        scans = [node for node in nodes(plan) if node.get("Relation Name") in BIG]
        assert scans, query
        whole = [node["Relation Name"] for node in scans if node["Node Type"] == "Seq Scan"]
        assert [] == whole, f"{query}\n{json.dumps(plan, indent=1)}"
    return [[node["Index Name"] for node in nodes(plan) if "Index Name" in node] for _, plan in plans]


AT = dict.fromkeys(LOGS, STREAMS)


async def test_a_stream_is_found_by_its_index(filled, plans):
    reader = Reader(filled.pool, None, AT)
    await reader.rows([uuid4(), uuid4()])
    await reader.story_of(uuid4())
    await reader.beginning(uuid4(), "cases")
    assert {"history_stream"} == {index for indexes in all_by_index(plans) for index in indexes}


async def test_what_belongs_together_is_found_by_its_index_in_both_directions(filled, plans):
    reader = Reader(filled.pool, None, AT)
    await reader.belonging_to([uuid4()])
    await reader.owners_of([uuid4()])
    assert {"belongs_to", "belongs_pkey"} == {index for indexes in all_by_index(plans) for index in indexes}


async def test_a_time_and_a_vector_are_resolved_by_index(filled, plans):
    await instants._resolved(filled.pool, datetime.now(UTC))
    await instants.closed(filled.pool, AT)
    indexes = all_by_index(plans)
    assert ({"history_recorded"}, {"history_pkey"}) == (
        set(indexes[0]) - {"reached_pkey", "parked_pkey", "parked_stream"},
        set(indexes[1]),
    )


async def test_whose_a_file_is_is_found_by_its_key(filled, plans):
    await policy.standing(filled.pool, "case", uuid4())
    await policy.standing(filled.pool, "person", uuid4())
    assert [["work_pkey", "work_pkey"], ["belongs_to"]] == all_by_index(plans)


async def test_a_search_finds_files_by_index_and_the_index_in_memory_goes_on_where_it_was(filled, plans):
    index, persons = Index(filled.pool, filled.keys), [uuid4(), uuid4()]
    await index._rows(search_index._NEXT, "intake", search_index.TELLS, STREAMS - 500, STREAMS, 500)
    await index._rows(search_index._CONTACTS, "intake", persons)
    await index._rows(search_index._NAMING, persons)
    reader = Reader(filled.pool, filled.keys, AT)
    await finding._files(reader, finding._NAMING, "child_name", persons, finding.NAMED_IN["child_name"])
    await finding._by_id(reader, str(uuid4()))
    await finding._by_reference(reader, reference("C", 7))
    await made.searches(filled.pool, (None, dict.fromkeys(LOGS, 500)))
    assert all_by_index(plans)


def asked(**mine):
    nobody = {"all": False, "owner": None, "lead": None, "province": None, "body": None}
    after = {"after_at": "-infinity", "after_id": str(UUID(int=0)), "after_clock": "", "limit": 51}
    return nobody | mine | after


@pytest.mark.parametrize("mine", [{"all": True}, {"lead": XA}, {"province": "98@2025-07-01"}, {"owner": "TVV-01"}])
async def test_a_worklist_and_the_breach_board_read_what_is_open_and_nothing_else(filled, plans, mine):
    async with reading(filled.pool) as db:
        found = [await boards._rows(db, query, asked(**mine)) for query in (boards.WORKLIST, boards.BREACHES)]
    assert [51, 40] == [len(rows) for rows in found]
    assert all(before["due_at"] <= after["due_at"] for before, after in pairwise(found[0]))
    worklist, breaches = all_by_index(plans)
    assert ("work_open", "clock_breached") == (worklist[0], breaches[0])


async def test_messages_that_reached_nobody_are_found_among_what_is_open(filled, plans):
    async with reading(filled.pool) as db:
        await boards._rows(db, boards.UNDELIVERABLE, {})
    assert "work_open" in all_by_index(plans)[0]


async def test_a_fold_reads_the_streams_that_it_touches_by_index(filled, view, plans):
    tape, ids = Tape(), Ids(3)
    tape.tell(ids.case, *opened(ids), closed(ids))
    await view.begin("cases")
    moved = [row._replace(position=row.position + STREAMS, version=row.version + 1) for row in tape.rows["cases"]]
    assert 3 == await view.take("cases", moved)
    indexes = {index for found in all_by_index([plan for plan in plans if plan[0].startswith("SELECT")]) for index in found}
    assert {"history_stream", "history_pkey"} >= indexes
    assert STREAMS + 3 == (await positions(filled.pool))["cases"]
    assert topic_of("cases")

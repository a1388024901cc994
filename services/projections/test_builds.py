"""A database from before there were builds: what was built becomes build 1, is read under the old names, and goes on."""

import shutil
from types import SimpleNamespace

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from chassis.log import Log
from chassis.migrate import migrate
from chassis.view import positions
from services.projections import swaps
from services.projections.test_samples import Ids, Tape, closed, opened
from services.projections.test_world import rows, take
from tests.desk import ROOT, create_databases

pytestmark = [pytest.mark.anyio, pytest.mark.real]
LOG, OWN = ROOT / "chassis" / "sql" / "log", ROOT / "services" / "projections" / "sql"
BEFORE = ("001_history.sql", "002_boards.sql")
AFTER = sorted(file.name for file in OWN.glob("*.sql") if file.name not in BEFORE)
IDS = Ids(90)


@pytest.fixture
def before(postgres, tmp_path):
    """A database with the files of that time applied."""
    create_databases(postgres)  # whom `keys` grants to
    postgres.create_database("views_before", "views_before_owner", ["views_before_api", "views_before_worker"])
    old = tmp_path / "projections" / "sql"
    old.mkdir(parents=True)
    for name in BEFORE:
        shutil.copy(OWN / name, old)
    migrate(postgres.uri("views_before", "views_before_owner"), [LOG, old])
    yield postgres
    postgres.drop_database("views_before")


async def test_the_tables_of_before_become_the_first_build_and_the_worker_goes_on_where_it_was(before, tmp_path):
    tape = Tape()
    tape.tell(IDS.case, *opened(IDS), closed(IDS))
    first, second, _ = tape.rows["cases"]
    with psycopg.connect(before.uri("views_before", "views_before_worker"), autocommit=True) as db:
        insert = "INSERT INTO history VALUES ('cases', %s, %s, %s, %s, %s, %s, '{}')"
        for row in (first, second):
            db.execute(insert, (row.position, row.recorded_at, row.stream, row.version, row.type, row.state))
        db.execute("INSERT INTO heard VALUES ('hotline.cases.events.v1', 0, 2)")
    assert [f"projections/sql/{name}" for name in AFTER] == migrate(before.uri("views_before", "views_before_owner"), [LOG, OWN])
    with psycopg.connect(before.uri("views_before", "views_before_api"), autocommit=True) as db:
        assert [(1,), (2,)] == db.execute("SELECT position FROM history ORDER BY position").fetchall()
        assert [("hotline.cases.events.v1", 2)] == db.execute("SELECT topic, position FROM heard").fetchall()
        assert [(1,)] == db.execute("SELECT build FROM live").fetchall()
    options = {"autocommit": True}
    async with AsyncConnectionPool(before.uri("views_before", "views_before_worker"), kwargs=options, open=False) as pool:
        view = swaps.view_of(pool, "127.0.0.1:1", Log("projections", pool))
        await take(view, tape, "cases")
        assert 3 == (await positions(pool))["cases"]
        assert [("CLOSED", 3)] == await rows(SimpleNamespace(pool=pool), "SELECT label, version FROM work")


async def test_the_form_of_the_next_build_is_the_form_of_the_first(worker):
    query = """SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull FROM pg_attribute a
        JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'r' AND a.attnum > 0
        ORDER BY c.relname, a.attnum"""
    indexes = "SELECT replace(indexdef, %s, '') FROM pg_indexes WHERE schemaname = %s ORDER BY 1"
    async with worker.pool.connection() as db:
        await db.execute("SELECT begin_build()")
        ((new,),) = await (await db.execute("SELECT max(number) FROM build")).fetchall()
        await db.execute("SELECT index_build(%s)", (new,))
        found = []
        for schema in ("shape", f"build_{new}"):
            columns = await (await db.execute(query, (schema,))).fetchall()
            made = await (await db.execute(indexes, (f"{schema}.", schema))).fetchall()
            found.append((columns, len(made)))
        assert found[0] == found[1]
        await db.execute("SELECT drop_build(%s)", (new,))

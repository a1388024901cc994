"""Migrations against the real database."""

import threading
import time
from uuid import uuid4

import psycopg
import pytest

from chassis.migrate import LOCK, MigrationError, migrate


@pytest.fixture
def uri(postgres):
    name = f"migrate_{uuid4().hex[:8]}"
    postgres.create_database(name)
    yield postgres.uri(name)
    postgres.drop_database(name)


@pytest.fixture
def folder(tmp_path):
    sql = tmp_path / "intake" / "sql"
    sql.mkdir(parents=True)
    (sql / "001_first.sql").write_text("create table first (i int); insert into first values (1);")
    return sql


def rows(uri, query):
    with psycopg.connect(uri) as connection:
        return connection.execute(query).fetchall()


def test_each_file_is_applied_once_in_the_order_of_folders_and_names(uri, folder, tmp_path):
    later = tmp_path / "chassis" / "sql"
    later.mkdir(parents=True)
    (later / "000_needs_first.sql").write_text("insert into first values (2)")
    (folder / "002_second.sql").write_text("insert into first values (3)")

    assert migrate(uri, [folder, later]) == [
        "intake/sql/001_first.sql",
        "intake/sql/002_second.sql",
        "chassis/sql/000_needs_first.sql",
    ]
    assert migrate(uri, [folder, later]) == []
    assert rows(uri, "select i from first") == [(1,), (3,), (2,)]


def test_a_later_file_is_applied_to_a_database_that_has_the_earlier_ones(uri, folder):
    migrate(uri, [folder])
    (folder / "002_second.sql").write_text("insert into first values (2)")

    assert migrate(uri, [folder]) == ["intake/sql/002_second.sql"]


def test_an_applied_file_that_was_edited_is_refused(uri, folder):
    migrate(uri, [folder])
    (folder / "001_first.sql").write_text("create table first (i bigint)")

    with pytest.raises(MigrationError, match=r"intake/sql/001_first\.sql was edited"):
        migrate(uri, [folder])


def test_an_applied_file_that_is_missing_is_refused(uri, folder):
    migrate(uri, [folder])
    (folder / "001_first.sql").unlink()

    with pytest.raises(MigrationError, match=r"not here: intake/sql/001_first\.sql"):
        migrate(uri, [folder])


def test_a_file_that_fails_half_way_leaves_nothing_behind_and_can_be_mended(uri, folder):
    (folder / "002_broken.sql").write_text("insert into first values (2); select 1/0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(uri, [folder])
    assert rows(uri, "select i from first") == [(1,)]

    (folder / "002_broken.sql").write_text("insert into first values (3)")
    assert migrate(uri, [folder]) == ["intake/sql/002_broken.sql"]


def test_rivals_apply_each_file_once(uri, folder):
    (folder / "002_slow.sql").write_text("insert into first select 2 from pg_sleep(0.3)")
    rivals = [threading.Thread(target=migrate, args=(uri, [folder])) for _ in range(3)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join()

    assert rows(uri, "select i from first") == [(1,), (2,)]


def test_a_migration_gives_up_when_somebody_else_holds_the_lock_for_ever(uri, folder):
    with psycopg.connect(uri, autocommit=True) as somebody:
        somebody.execute("select pg_advisory_lock(%s)", [LOCK])
        began = time.monotonic()
        with pytest.raises(MigrationError, match="somebody else"):
            migrate(uri, [folder], patience=0.5)

    assert time.monotonic() - began < 5

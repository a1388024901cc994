"""Exports of a real log: rows by the real append, the note in the table beside them, files that verify."""

import asyncio
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from chassis.ledger import tiles
from chassis.ledger.note import SigningKey
from chassis.ledger.policy import Policy
from chassis.ledger.tree import root
from chassis.log import Log, Row
from chassis.migrate import migrate
from contracts.cases import ClockMet
from tools.ledger.export import Archive, export_database, write_export
from tools.ledger.sample import History, entry_of, history, signed_head
from tools.ledger.verify import Asked, verify
from tools.ledger.writing import CannotWriteError

SQL = Path(__file__).parents[2] / "chassis" / "sql"
KEY = SigningKey.of_seed("hotline111.example/test/evidence", bytes(range(32)))
POLICY = Policy.read(f"log {KEY.verifier}\nquorum none\n".encode())
MET = ClockMet(clock="plan-draft", met_at=datetime(2026, 11, 23, 2, 41, tzinfo=UTC), late=False)
META = {"actor": "officer-7", "cause": "rest:1", "correlation": str(UUID(int=9))}
TABLE = """
CREATE TABLE IF NOT EXISTS checkpoint (
    size bigint PRIMARY KEY, note text NOT NULL, signed_at timestamptz NOT NULL DEFAULT clock_timestamp()
)"""  # as the signer has it
INSERT = "INSERT INTO checkpoint (size, note) VALUES (%s, %s) ON CONFLICT DO NOTHING"


@pytest.fixture(scope="module")
def database(postgres) -> str:
    """A log of 300 rows of 20 streams, written by `append()`."""
    postgres.create_service_databases(["evidence"])
    migrate(postgres.uri("evidence", "evidence_owner"), [SQL / "log"])

    async def write() -> None:
        async with AsyncConnectionPool(postgres.uri("evidence", "evidence_api"), open=False, kwargs={"autocommit": True}) as pool:
            log = Log("evidence", pool)
            for stream in [uuid4() for _ in range(20)]:
                await log.record(stream, 0, [MET] * 15, uuid4(), META)
            await log.close()

    asyncio.run(write())
    return postgres.uri("evidence", "evidence_owner")


def rows_of(database):
    with psycopg.connect(database) as db:
        found = db.execute(
            "SELECT originator_id, originator_version, topic, state, position, recorded_at FROM event ORDER BY position"
        )
        return [Row(*row) for row in found]


def files_below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.real
def test_a_log_that_nobody_signed_yet_has_no_export(database, tmp_path):
    with psycopg.connect(database, autocommit=True) as db, pytest.raises(CannotWriteError, match="nothing of this log is signed"):
        export_database(db, tmp_path / "out")


@pytest.mark.real
@pytest.mark.parametrize("zone", ["UTC", "Asia/Ho_Chi_Minh"])
def test_the_export_of_a_database_is_what_its_newest_checkpoint_signed_under_every_time_zone(database, tmp_path, zone):
    entries = [entry_of(KEY.key.name, row) for row in rows_of(database)]
    with psycopg.connect(database, autocommit=True, options=f"-c timezone={zone}") as db:
        db.execute(TABLE)
        for size in (1, 257, 290):
            db.execute(INSERT, (size, signed_head(KEY, entries[:size]).decode()))
        head = export_database(db, tmp_path / "out")
    assert 290 == head.size
    report = verify(tmp_path / "out", Asked(POLICY))
    assert report.clean, report.lines
    assert {
        "checkpoint", "tile/entries/000", "tile/entries/001.p/34", "tile/0/000", "tile/0/001.p/34", "tile/1/000.p/1", "states/SHA256SUMS",
    } == {name for name in files_below(tmp_path / "out") if not name.startswith("states/") or name.endswith("SUMS")}  # fmt: skip


@pytest.mark.real
def test_earlier_checkpoints_are_shown_by_their_size_and_the_last_of_each_day_of_the_line(database, tmp_path):
    entries = [entry_of(KEY.key.name, row) for row in rows_of(database)]
    with psycopg.connect(database, autocommit=True) as db:
        db.execute("ALTER TABLE checkpoint DISABLE TRIGGER USER")
        db.execute("DELETE FROM checkpoint")
        for size, at in (
            (10, "2026-11-22T16:59Z"),
            (20, "2026-11-22T17:01Z"),
            (30, "2026-11-23T16:00Z"),
            (290, "2026-11-24T01:00Z"),
        ):
            note = signed_head(KEY, entries[:size]).decode()
            db.execute("INSERT INTO checkpoint (size, note, signed_at) VALUES (%s, %s, %s)", (size, note, at))
        for name, archive, shown in (
            ("none", Archive(), set()),
            ("one", Archive([20]), {"20"}),
            ("daily", Archive(daily=True), {"10", "30"}),
            ("both", Archive([20], daily=True), {"10", "20", "30"}),
        ):
            export_database(db, tmp_path / name, archive=archive)
            assert shown == {path.name for path in (tmp_path / name / "checkpoints").glob("*")}
            assert verify(tmp_path / name, Asked(POLICY)).clean
        with pytest.raises(CannotWriteError, match="no checkpoint of 11 entries was signed"):
            export_database(db, tmp_path / "never", archive=Archive([20, 11]))
    (tmp_path / "one/checkpoints/20").write_bytes(signed_head(KEY, entries[1:21]))
    assert {"fork"} == verify(tmp_path / "one", Asked(POLICY)).codes
    assert ["both", "daily", "none", "one"] == sorted(path.name for path in tmp_path.iterdir())


TOLD: History = history(until=datetime(2026, 11, 23, tzinfo=UTC), rows={"cases": 300})


def test_the_same_rows_give_the_same_files_and_a_taken_place_is_refused(tmp_path):
    for name in ("a", "b"):
        write_export(iter(TOLD.rows["cases"]), TOLD.note("cases"), tmp_path / name)
    assert files_below(tmp_path / "a") == files_below(tmp_path / "b")
    with pytest.raises(CannotWriteError, match="not an empty folder"):
        write_export(iter(TOLD.rows["cases"]), TOLD.note("cases"), tmp_path / "a")


def test_tiles_of_an_export_give_the_root_that_was_signed(tmp_path):
    head = write_export(iter(TOLD.rows["cases"]), TOLD.note("cases"), tmp_path / "out")
    assert head.root == root(tiles.reader(lambda tile: (tmp_path / "out" / tile.path).read_bytes(), 300), 300)


@pytest.mark.parametrize("lost", [0, 150, 299])
def test_rows_that_are_not_those_that_were_signed_leave_no_checkpoint(tmp_path, lost):
    rows = [row for n, row in enumerate(TOLD.rows["cases"]) if n != lost]
    with pytest.raises(CannotWriteError, match="do not have the root"):
        write_export(iter(rows), TOLD.note("cases"), tmp_path / "out")
    assert not (tmp_path / "out" / "checkpoint").exists()


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="GNU coreutils are not here")
def test_anybody_can_check_the_states_with_sha256sum(tmp_path):

    write_export(iter(TOLD.rows["cases"]), TOLD.note("cases"), tmp_path / "out")
    result = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "out" / "states", check=False)
    assert 0 == result.returncode

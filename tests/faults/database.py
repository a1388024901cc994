"""Faults of the database: stopped at once, back ends terminated, no connection left, the head of a log held, the disk full."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import LiteralString
from uuid import uuid4

import httpx2
import psycopg

from deploy.local.postgres import Postgres
from deploy.local.stack import SERVICES
from tests.faults.chaos import Chaos, NotRun, fault
from tests.line import call, eventually

LOCK_TIMEOUT = 10.0  # seconds, as chassis.service sets it
ROOM = 32 << 20  # bytes beside the log, for what is taken until the disk is full
LONGEST = 2 * LOCK_TIMEOUT + 5  # a request waits for the round of appends under way and for its own; and the machine is busy


@fault(
    "PostgreSQL stopped at once",
    "the server gets SIGQUIT under load, as at an immediate shutdown, and is started again",
    "commands are answered 503 meanwhile; nobody needs a restart",
)
def immediate_stop(chaos: Chaos) -> None:
    postgres = chaos.stack.postgres
    for _ in chaos.times(1, 20):
        with chaos.strike():
            killed = postgres.process.pid
            os.kill(killed, signal.SIGQUIT)
            eventually(lambda killed=killed: postgres.process.pid != killed and _connects(postgres.uri("cases")), 60)
        chaos.desks.tell(1)


@fault(
    "PostgreSQL killed with everything it started",
    "SIGKILL for the server and its back ends under load; started again, it replays its WAL",
    "as above; the page cache survives, so this is no power cut",
)
def killed(chaos: Chaos) -> None:
    for _ in chaos.times(1, 10):
        with chaos.strike():
            chaos.stack.postgres.kill()
            chaos.stack.postgres.start()
        chaos.desks.tell(1)


@fault(
    "back ends terminated while they commit",
    "pg_terminate_backend, again and again, for every connection that is appending or committing",
    "an unknown outcome is answered 503, and settled by the same key",
)
def terminated(chaos: Chaos) -> None:
    query = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE state = 'active' AND (query LIKE '% append(%' OR wait_event = 'WalSync') AND pid <> pg_backend_pid()"
    )
    wanted, deadline = 10 if chaos.short else 200, time.monotonic() + chaos.seconds(20, 300)
    with psycopg.connect(chaos.stack.postgres.uri("postgres"), autocommit=True) as db:
        while chaos.repetitions < wanted and time.monotonic() < deadline:
            chaos.repetitions += db.execute(query).fetchone()[0]
            time.sleep(chaos.random.uniform(0.001, 0.03))
    chaos.expect(chaos.repetitions, "no connection was ever caught in the act")


@fault(
    "no database connection left",
    "somebody locks the table of commands of one service, and 160 requests come, 80 at once: every connection waits",
    "503 with Retry-After for each; nothing hangs, and all goes on when the lock is let go",
)
def exhausted(chaos: Chaos) -> None:
    for _ in chaos.times(1, 5):
        with chaos.strike(), _held(chaos, "LOCK TABLE command", "intake"), ThreadPoolExecutor(80) as people:
            answers = [each.result() for each in [people.submit(_timed_call, chaos) for _ in range(160)]]
        _told_to_try_again(chaos, answers)


@fault(
    "the head of a log held by another session",
    "somebody locks the head row of every log, for longer than an append waits for it",
    "503 with Retry-After once the lock timeout has passed; nothing hangs, and all goes on when it is let go",
)
def head_held(chaos: Chaos) -> None:
    for _ in chaos.times(1, 5):
        with chaos.strike(), _held(chaos, "SELECT FROM head FOR UPDATE", *SERVICES), ThreadPoolExecutor(8) as people:
            answers = [each.result() for each in [people.submit(_timed_call, chaos) for _ in range(8)]]
        _told_to_try_again(chaos, answers)


@fault(
    "the disk of the write-ahead log full",
    "pg_wal lies on a file system with 32 MiB to spare that is filled up under load, and freed again",
    "nothing is answered as done that is not durable; all goes on once there is room",
)
def disk_full(chaos: Chaos) -> None:
    with _small_disk(chaos) as disk:
        for _ in chaos.times(1, 5):
            with chaos.strike():
                _fill(disk)
                eventually(lambda: _flooded(chaos), 120)
                (disk / "ballast").unlink()
                eventually(lambda: _writes(chaos), 120)
            chaos.desks.tell(1)


@contextmanager
def _held(chaos: Chaos, lock: str, *logs: str) -> Iterator[None]:
    """Somebody's open transaction with this lock in each of these databases."""
    with ExitStack() as held:
        for log in logs:
            held.enter_context(psycopg.connect(chaos.stack.postgres.uri(log))).execute(lock)
        yield


def _timed_call(chaos: Chaos) -> tuple[httpx2.Response, float]:
    began = time.monotonic()
    return chaos.line.post("/intake/v1/contacts", call(chaos.line), key=uuid4()), time.monotonic() - began


def _told_to_try_again(chaos: Chaos, answers: list[tuple[httpx2.Response, float]]) -> None:
    chaos.expect(
        {503} == {answer.status_code for answer, _ in answers},
        f"answered {sorted({answer.status_code for answer, _ in answers})} instead of 503",
    )
    chaos.expect(all("retry-after" in answer.headers for answer, _ in answers), "a refusal does not say when to come again")
    slowest = max(seconds for _, seconds in answers)
    chaos.expect(slowest < LONGEST, f"a refusal took {slowest:.1f} s, more than {LONGEST:.0f} s")


@contextmanager
def _small_disk(chaos: Chaos) -> Iterator[Path]:
    """pg_wal on a file system of its own with little room beside it, and back again."""
    postgres, home = chaos.stack.postgres, chaos.stack.postgres.home
    disk, wal = home / "small-disk", home / "data" / "pg_wal"
    disk.mkdir(exist_ok=True)
    _alter(postgres, "max_wal_size = '48MB'", "min_wal_size = '32MB'")  # else the log itself soon takes all the room there is
    try:
        with _down(postgres):
            size = sum(path.stat().st_size for path in wal.rglob("*") if path.is_file()) + ROOM
            mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "none", disk]
            mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
            if mounted:
                _move(wal, disk / "pg_wal")
                wal.symlink_to(disk / "pg_wal")
        if not mounted:
            raise NotRun("this user may not mount a small file system")
        yield disk
    finally:
        (disk / "ballast").unlink(missing_ok=True)
        with _down(postgres):
            if wal.is_symlink():
                wal.unlink()
                _move(disk / "pg_wal", wal)
        _alter(postgres, "max_wal_size = DEFAULT", "min_wal_size = DEFAULT")
        subprocess.run(["umount", disk], check=False, capture_output=True)


@contextmanager
def _down(postgres: Postgres) -> Iterator[None]:
    """While this is done the server is not there."""
    postgres.stop()
    try:
        yield
    finally:
        postgres.start()


def _alter(postgres: Postgres, *settings: LiteralString) -> None:
    """Settings of the server from its next start on."""
    with psycopg.connect(postgres.uri("postgres"), autocommit=True) as db:
        for setting in settings:
            db.execute("ALTER SYSTEM SET " + setting)


def _move(source: Path, target: Path) -> None:
    """A folder to another file system, with whose it is; where it does not fit, it stays as it was."""
    owner = source.stat()
    shutil.copytree(source, target)
    for path in (target, *target.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    shutil.rmtree(source)


def _fill(disk: Path) -> None:
    with (disk / "ballast").open("wb") as ballast:
        try:
            while ballast.write(b"\0" * 65536):
                ballast.flush()
        except OSError:
            return


def _flooded(chaos: Chaos) -> bool:
    """Did somebody write so much that the room already taken for the log was used up, and the server fell?

    It is asked of the writer himself: the server is up again, with the room of the segments it recovered, before anybody else looks.
    """
    try:
        with psycopg.connect(chaos.stack.postgres.uri("postgres"), autocommit=True) as db:
            db.execute("CREATE TABLE IF NOT EXISTS ballast (t text)")
            for _ in range(200):
                db.execute("INSERT INTO ballast SELECT repeat('x', 2000) FROM generate_series(1, 1000)")
    except psycopg.Error:
        return True
    return False


def _writes(chaos: Chaos) -> bool:
    try:
        with psycopg.connect(chaos.stack.postgres.uri("postgres"), autocommit=True, connect_timeout=3) as db:
            db.execute("DROP TABLE IF EXISTS ballast")
            db.execute("CREATE TABLE IF NOT EXISTS room (i int)")
            db.execute("INSERT INTO room VALUES (1)")
            return True
    except psycopg.Error:
        return False


def _connects(uri: str) -> bool:
    try:
        psycopg.connect(uri, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True

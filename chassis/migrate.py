"""Bring a database up to date: numbered `.sql` files, each applied once, in one transaction a file."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg

LOCK = 0x6831_3131_6D69_6772  # "h111migr": one migration of a database at a time
PAUSE = 0.2  # seconds
TABLE = """
create table if not exists migration (
    file text primary key,
    sha256 text not null,
    applied_at timestamptz not null default clock_timestamp()
)"""


class MigrationError(RuntimeError):
    """The database cannot be brought up to date; the message names the file and says why."""


def migrate(uri: str, folders: Sequence[Path], patience: float = 60) -> list[str]:
    """Apply what is new in the folders, in the order given and by name within each; the files applied.

    A file is known as `<parent>/<folder>/<name>`. Raises MigrationError for an applied file that was edited or is
    missing, and when somebody else has been migrating for `patience` seconds. The lock is polled and never waited on: a
    session that waits holds a snapshot, which deadlocks with `create index concurrently`.
    """
    files = {"/".join(file.parts[-3:]): file for folder in folders for file in sorted(folder.glob("*.sql"))}
    with psycopg.connect(uri, autocommit=True) as connection:
        _lock(connection, patience)
        connection.execute(TABLE)
        applied: dict[str, str] = dict(connection.execute("select file, sha256 from migration").fetchall())
        if lost := sorted(applied.keys() - files.keys()):
            raise MigrationError(f"applied to this database but not here: {', '.join(lost)}")
        new = []
        for name, file in files.items():
            script = file.read_bytes()
            digest = hashlib.sha256(script).hexdigest()
            if applied.get(name, digest) != digest:
                raise MigrationError(f"{name} was edited after it was applied: write a new file instead")
            if name not in applied:
                with connection.transaction():
                    connection.execute(script)
                    connection.execute("insert into migration (file, sha256) values (%s, %s)", [name, digest])
                new.append(name)
        return new


def _lock(connection: psycopg.Connection[tuple[object, ...]], patience: float) -> None:
    deadline = time.monotonic() + patience
    while connection.execute("select pg_try_advisory_lock(%s)", [LOCK]).fetchone() != (True,):
        if time.monotonic() > deadline:
            raise MigrationError(f"somebody else has been migrating this database for {patience:.0f} s")
        time.sleep(PAUSE)

"""A log as a folder that any tool for tiled logs can read, with its states beside it."""

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from chassis.ledger.checkpoint import Checkpoint
from chassis.ledger.entry import entry
from chassis.ledger.note import taken_apart
from chassis.log import Row
from tools.ledger.writing import CannotWriteError, LogWriter, StateWriter, new_folder

Progress = Callable[[int, int], None]
AT_ONCE = 2_000
_NEWEST = "SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1"
_ROWS = """
SELECT originator_id, originator_version, topic, state, position, recorded_at FROM event
WHERE position > %s ORDER BY position LIMIT %s"""


def write_export(rows: Iterable[Row], note: bytes, out: Path, progress: Progress = lambda *_: None) -> Checkpoint:
    """The log up to the size of the checkpoint `note`: the same rows give the same files. rows: from position 1, in order.

    Raises CannotWriteError if something lies at `out`, or the rows are not those that were signed; then no checkpoint is written.
    """
    head = Checkpoint.read(taken_apart(note)[0])
    log, states = LogWriter(new_folder(out)), StateWriter(out)
    for row in islice(rows, head.size):
        log.add(entry(head.origin, row.position, row.recorded_at, row.stream, row.version, row.type, row.state))
        states.add(row.state)
        progress(log.size, head.size)
    states.finish()
    log.finish(note)
    os.sync()  # one by one, a million small files would take an hour
    return head


def export_database(db: psycopg.Connection[Any], out: Path, progress: Progress = lambda *_: None) -> Checkpoint:
    """The log of a database up to its newest checkpoint. Raises as `write_export`, and psycopg.Error."""
    note = _newest_note(db)
    return write_export(rows_of(db), note, out, progress)


def _newest_note(db: psycopg.Connection[Any]) -> bytes:
    try:
        found = db.cursor(row_factory=tuple_row).execute(_NEWEST).fetchone()
    except psycopg.errors.UndefinedTable:
        found = None
    if found is None:
        raise CannotWriteError("nothing of this log is signed yet")
    return found[0].encode() if isinstance(found[0], str) else bytes(found[0])


def rows_of(db: psycopg.Connection[Any]) -> Iterator[Row]:
    """From position 1, a few thousand at a time."""
    last = 0
    cursor = db.cursor(row_factory=tuple_row)
    while found := cursor.execute(_ROWS, (last, AT_ONCE)).fetchall():
        yield from (Row(*row) for row in found)
        last = found[-1][4]

"""A log as a folder that any tool for tiled logs can read, with its states beside it."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from chassis.failpoints import reach
from chassis.ledger.checkpoint import Checkpoint
from chassis.ledger.entry import entry
from chassis.ledger.note import taken_apart
from chassis.log import Row
from tools.ledger.hidden import cleared, hidden_beside
from tools.ledger.writing import CannotWriteError, LogWriter, StateWriter, new_folder, refuse_taken

Progress = Callable[[int, int], None]
Notes = Mapping[int, bytes]
"""Signed checkpoints, by their size."""
AT_ONCE = 2_000
_NEWEST = "SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1"
_ARCHIVED = "SELECT size, note FROM checkpoint WHERE size <= %s AND size = ANY(%s)"
_DAILY = """
SELECT DISTINCT ON (day) size, note
FROM (SELECT size, note, (signed_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day FROM checkpoint WHERE size <= %s) AS signed
ORDER BY day, size DESC"""
_ROWS = """
SELECT originator_id, originator_version, topic, state, position, recorded_at FROM event
WHERE position > %s ORDER BY position LIMIT %s"""


@dataclass(frozen=True)
class Archive:
    """Which earlier checkpoints shall be shown beside the newest: those of these sizes, and with `daily` the last of each day."""

    sizes: Collection[int] = ()
    daily: bool = False


NOTHING_EARLIER = Archive()


def write_export(
    rows: Iterable[Row], note: bytes, out: Path, progress: Progress = lambda *_: None, archived: Notes | None = None
) -> Checkpoint:
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
    log.archive(archived or {})
    log.finish(note)
    os.sync()  # one by one, a million small files would take an hour
    return head


def export_database(
    db: psycopg.Connection[Any], out: Path, progress: Progress = lambda *_: None, archive: Archive = NOTHING_EARLIER
) -> Checkpoint:
    """The log of a database up to its newest checkpoint; nothing lies at `out` before all of it does.

    Raises as `write_export`, and psycopg.Error.
    """
    note = _newest_note(db)
    refuse_taken(out)
    with hidden_beside(out, "export") as hidden:
        archived = archived_in(db, Checkpoint.read(taken_apart(note)[0]).size, archive)
        head = write_export(rows_of(db), note, cleared(hidden.part), progress, archived)
        reach("export.written")
        hidden.move_to(out)
    return head


def _newest_note(db: psycopg.Connection[Any]) -> bytes:
    try:
        found = db.cursor(row_factory=tuple_row).execute(_NEWEST).fetchone()
    except psycopg.errors.UndefinedTable:
        found = None
    if found is None:
        raise CannotWriteError("nothing of this log is signed yet")
    return found[0].encode() if isinstance(found[0], str) else bytes(found[0])


def archived_in(db: psycopg.Connection[Any], newest: int, archive: Archive) -> Notes:
    """The checkpoints before that of size `newest` that are asked for. Raises CannotWriteError for one that never was."""
    cursor = db.cursor(row_factory=tuple_row)
    found = cursor.execute(_ARCHIVED, (newest, list(archive.sizes))).fetchall()
    if absent := sorted(set(archive.sizes) - {size for size, _ in found}):
        raise CannotWriteError(f"no checkpoint of {absent[0]} entries was signed, of the {newest} that are shown")
    found += cursor.execute(_DAILY, (newest,)).fetchall() if archive.daily else []
    return {size: note.encode() for size, note in found if size < newest}


def rows_of(db: psycopg.Connection[Any]) -> Iterator[Row]:
    """From position 1, a few thousand at a time."""
    last = 0
    cursor = db.cursor(row_factory=tuple_row)
    while found := cursor.execute(_ROWS, (last, AT_ONCE)).fetchall():
        yield from (Row(*row) for row in found)
        last = found[-1][4]

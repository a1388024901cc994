"""What a bundle is made of, out of the databases of the running stack."""

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from chassis.ledger.checkpoint import Checkpoint
from chassis.ledger.entry import entry
from chassis.ledger.note import taken_apart
from contracts.rules import LOGS
from tools.ledger.bundle import LogToShow
from tools.ledger.export import Archive, Progress, archived_in, rows_of
from tools.recovery.running import CannotAsk, Running

Sizes = Mapping[str, int]
_NOTE: LiteralString = "SELECT note FROM checkpoint WHERE size = %s"
_SIGNED: LiteralString = "SELECT max(size) AS size FROM checkpoint WHERE size <= %s"
_FOLDED: LiteralString = "SELECT split_part(topic, '.', 2) AS log, position FROM heard WHERE partition = 0"
_RESTS_ON: LiteralString = "SELECT rests_on FROM history WHERE log = %s AND position <= %s ORDER BY position DESC LIMIT 1"
_FIRST_BEYOND: LiteralString = """
SELECT min(position) AS position FROM history WHERE log = %(log)s AND position <= %(size)s AND EXISTS (
    SELECT FROM jsonb_each_text(rests_on) AS on_(log, position)
    WHERE on_.position::bigint > coalesce((%(sizes)s::jsonb ->> on_.log)::bigint, 0))"""
_OF_FAMILY: LiteralString = "SELECT DISTINCT originator_id FROM event WHERE originator_id = ANY(%s) AND position <= %s"
_STATES: LiteralString = """
SELECT position, state FROM event
WHERE position > %s AND position <= %s AND (%s OR originator_id = ANY(%s)) ORDER BY position LIMIT 2000"""


def sizes_signed(stack: Running, upto: Sizes) -> dict[str, int]:
    """Of every log the size of an archived checkpoint, none beyond `upto`, so that together they are causally closed.

    It starts from the newest. Where a row rests on one of another log that is not signed yet, its own log is lowered to an older
    checkpoint. What the views have not folded yet is left out: on what it rests is not known. Raises CannotAsk, psycopg.Error.
    """
    with stack.connect("projections") as db:
        (build,) = db.execute("SELECT build FROM live").fetchall()
        db.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(f"build_{build['build']}")))
        folded = {row["log"]: row["position"] for row in db.execute(_FOLDED)}
        if absent := sorted(set(LOGS) - folded.keys()):
            raise CannotAsk(f"the views have not read {', '.join(absent)} yet: try again in some seconds")
        sizes = {log: _signed(stack, log, min(folded[log], upto.get(log, folded[log]))) for log in LOGS}
        while lowered := {log: position for log in sizes if (position := _closed(db, log, sizes)) < sizes[log]}:
            sizes |= {log: _signed(stack, log, position) for log, position in lowered.items()}
    return sizes


def _closed(db: psycopg.Connection[dict[str, Any]], log: str, sizes: Sizes) -> int:
    """How far this log rests on nothing beyond the sizes of the others. What a later row rests on, it rests on too."""
    last = db.execute(_RESTS_ON, (log, sizes[log])).fetchone()
    if not last or all(position <= sizes.get(cause, 0) for cause, position in last["rests_on"].items()):
        return sizes[log]
    (first,) = db.execute(_FIRST_BEYOND, {"log": log, "size": sizes[log], "sizes": Jsonb(sizes)}).fetchall()
    return first["position"] - 1


def _signed(stack: Running, log: str, upto: int) -> int:
    found = stack.rows(log, _SIGNED, upto)[0]["size"]
    if found is None:
        raise CannotAsk(f"no checkpoint of {log} is signed up to position {upto} yet: try again in some seconds")
    return found


def streams_there(stack: Running, sizes: Sizes, family: Collection[UUID]) -> dict[str, list[UUID]]:
    """Which of these streams each log has. A file and the record of its reads have one id: both are found."""
    return {log: [row["originator_id"] for row in stack.rows(log, _OF_FAMILY, list(family), size)] for log, size in sizes.items()}


def log_to_show(db: psycopg.Connection[Any], size: int, progress: Progress, archive: Archive) -> LogToShow:
    """All entries up to an archived checkpoint, read while they are written, and the earlier checkpoints that are asked for.

    Raises CannotWriteError for a checkpoint that never was.
    """
    ((note,),) = db.cursor(row_factory=tuple_row).execute(_NOTE, (size,)).fetchall()
    origin = Checkpoint.read(taken_apart(note.encode())[0]).origin

    def entries() -> Iterator[bytes]:
        for row in islice(rows_of(db), size):
            yield entry(origin, row.position, row.recorded_at, row.stream, row.version, row.type, row.state)
            progress(row.position, size)

    return LogToShow(entries(), note.encode(), archived_in(db, size, archive))


def states_of(db: psycopg.Connection[Any], size: int, streams: Collection[UUID] | None, progress: Progress) -> Iterator[bytes]:
    """The states of these streams, None for all, in the order of the log; read while they are written."""
    last, cursor = 0, db.cursor(row_factory=tuple_row)
    while found := cursor.execute(_STATES, (last, size, streams is None, list(streams or ()))).fetchall():
        for _, state in found:
            yield state
        last = found[-1][0]
        progress(last, size)


def policy_of(stack: Running) -> bytes:
    """The keys by which this stack's checkpoints are judged, as it hands them out."""
    return Path(stack.state["policy"]).read_bytes()

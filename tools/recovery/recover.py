"""`hotline recover`: bring back from a topic what its restored log lacks, byte for byte, in one transaction or not at all."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from eventsourcing.utils import resolve_topic
from psycopg.errors import UniqueViolation

from chassis.checkpoints import file_of, read_file, topic_at
from chassis.commands import RECOVERED
from chassis.ledger.checkpoint import Checkpoint
from chassis.ledger.entry import entry, log_of
from chassis.ledger.errors import LedgerError
from chassis.ledger.policy import Policy
from chassis.ledger.tree import Frontier, leaf
from chassis.log import Row
from chassis.mapper import FactMapper, Recorded
from chassis.timing import Time
from contracts.ids import command_id, system_stream
from tools.recovery.running import CannotAsk, Running
from tools.recovery.topics import rows_of

Say = Callable[[str], None]
Db = psycopg.Connection[tuple[Any, ...]]
BATCH, SAY_EVERY = 1000, 100_000
NO_RELAY = "no relay wrote that, so find out who may write into the topic"
_OWN: LiteralString = """
    SELECT originator_id, originator_version, topic, state, position, recorded_at FROM event
    WHERE position > %s AND position <= %s ORDER BY position LIMIT %s"""
_COPY: LiteralString = "COPY event (originator_id, originator_version, topic, state, position, recorded_at) FROM STDIN"
_SAY: LiteralString = """
    SELECT first FROM append(ARRAY[%s]::uuid[], ARRAY['']::bytea[], ARRAY[1], NULL, %s::interval,
        ARRAY[1], ARRAY[%s]::uuid[], ARRAY[%s]::int[], ARRAY[%s]::text[], ARRAY[%s]::bytea[])"""


class Forked(Exception):
    """Log and topic tell different things, or not what was signed. Nothing was changed; a person must look."""


@dataclass
class Recovery:
    """What is known of one log and its topic, and what was brought back.

    head: last position that the database had. tree: over all rows. missing: how many rows only the topic had.
    """

    log: str
    origin: str
    notes: dict[bytes, Checkpoint]
    head: int
    tree: Frontier = field(default_factory=Frontier)
    missing: int = 0

    def add(self, row: Row) -> None:
        """One row more of the log as it was. Raises Forked where a checkpoint says otherwise."""
        self.tree.add(leaf(entry(self.origin, row.position, row.recorded_at, row.stream, row.version, row.type, row.state)))
        for checkpoint in self.notes.values():
            if checkpoint.size == self.tree.size and checkpoint.root != self.tree.root():
                raise Forked(f"the first {checkpoint.size} entries of {self.log} are not those that were signed")

    def newest(self) -> tuple[bytes, Checkpoint] | None:
        """The largest checkpoint that anybody has. Raises Forked if rows that it covers are nowhere."""
        if not self.notes:
            return None
        note = max(self.notes, key=lambda note: self.notes[note].size)
        if self.notes[note].size > self.tree.size:
            raise Forked(
                f"a checkpoint covers {self.notes[note].size} entries of {self.log}, but database and topic together have"
                f" {self.tree.size}"
            )
        return note, self.notes[note]

    def unsigned(self, signed: int) -> range:
        """The positions that were brought back and stand in no checkpoint. signed: the entries of the newest one."""
        return range(max(self.head, signed) + 1, self.head + self.missing + 1)


def recover(stack: Running, log: str, say: Say) -> Recovery:
    """Compare a log with its topic and with every checkpoint, and bring back what it lacks.

    Raises CannotAsk if something is missing for that, Forked if log and topic differ; then nothing was changed.
    """
    origin, notes = _signed(stack, log)
    with psycopg.connect(stack.uri(log, f"{log}_owner")) as db:  # one transaction: what fails has changed nothing
        db.execute("SET statement_timeout = 0")
        _alone(db, log)
        db.execute("LOCK TABLE head IN ACCESS EXCLUSIVE MODE")
        ((head,),) = db.execute("SELECT position FROM head").fetchall()
        found = Recovery(log, origin, notes, head)
        say(f"comparing the {head} entries of {log} with its topic, byte for byte")
        asyncio.run(_walk(stack, db, found, say))
        newest = found.newest()
        if newest:
            say(f"the checkpoint of {newest[1].size} entries agrees")
        if found.missing:
            say(f"brought back {head + 1} to {head + found.missing}")
        if unsigned := found.unsigned(newest[1].size if newest else 0):
            say(f"{unsigned.start} to {unsigned.stop - 1} of them are newer than any checkpoint: only the topic vouches for them")
        db.execute("SELECT open_log()")
        if found.missing:
            _tell(db, found, newest[0].decode() if newest else None, Time(Path(stack.state["clock_file"])))
    return found


def _signed(stack: Running, log: str) -> tuple[str, dict[bytes, Checkpoint]]:
    """Origin of the log, and every newest checkpoint of it: in the file, the table and the topic."""
    try:
        policy = Policy.at(Path(stack.state["policy"]))
        origin = next(origin for origin in policy.logs if log_of(origin) == log)
    except (OSError, LedgerError, StopIteration):
        raise CannotAsk(f"{stack.state['policy']} is no policy that lists the log {log}") from None
    table = [row["note"].encode() for row in stack.rows(log, "SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1")]
    places = [read_file(file_of(Path(stack.state["checkpoints"]), log)), *table, asyncio.run(_told(stack.kafka, log))]
    try:
        return origin, {note: policy.opened(note, origin).checkpoint for note in places if note}
    except LedgerError as problem:
        raise Forked(f"a checkpoint of {log} is not genuine: {problem.reason}") from None


async def _told(kafka: str, log: str) -> bytes | None:
    async with topic_at(kafka) as topic:
        return await topic.newest(log)


def _alone(db: Db, log: str) -> None:
    query = "SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = current_database() AND usename = ANY(%s)"
    there = [name for (name,) in db.execute(query, ([f"{log}_api", f"{log}_worker"],)).fetchall()]
    if there:
        raise CannotAsk(f"{' and '.join(sorted(there))} still work on it: stop {log}'s API and worker first. Nothing was changed")


async def _walk(stack: Running, db: Db, found: Recovery, say: Say) -> None:
    """Every position in order, from the topic and, as far as it has them, from the database; the others are brought back."""
    own, back = _own(db, found.head), _BringingBack(db)
    async with aclosing(rows_of(stack, found.log)) as records:
        async for row in _in_order(records, found.log):
            if row.position <= found.head:
                if (here := next(own, None)) is None:
                    raise Forked(f"the log of {found.log} has a hole after {found.tree.size}")
                if here != row:
                    raise Forked(
                        f"at {row.position} the database of {found.log} has another {_difference(here, row)} than its topic:"
                        " somebody appended to the restored log, or rewrote one of the two"
                    )
            else:
                back.add(row)
                found.missing += 1
            found.add(row)
            if not found.tree.size % SAY_EVERY:
                say(f"compared to {found.tree.size}")
    back.flush()
    for row in own:  # not told yet
        found.add(row)
    if found.tree.size < found.head:
        raise Forked(f"the log of {found.log} has a hole after {found.tree.size}")


async def _in_order(rows: AsyncIterator[Row], log: str) -> AsyncIterator[Row]:
    """The first record of each position. Raises CannotAsk for a topic that lacks one."""
    position, beyond = 0, 0
    async for row in rows:
        if row.position == position + 1:
            position += 1
            yield row
        beyond = max(beyond, row.position)
    if beyond > position:
        raise CannotAsk(f"the topic of {log} lacks {position + 1}, though it tells {beyond}. Nothing was changed")


def _own(db: Db, head: int) -> Iterator[Row]:
    position = 0
    while rows := db.execute(_OWN, (position, head, BATCH)).fetchall():
        for each in rows:
            row = Row(*each)
            if row.position != position + 1:
                return
            position = row.position
            yield row


def _difference(here: Row, told: Row) -> str:
    return next(name for name in Row._fields if getattr(here, name) != getattr(told, name))


@dataclass
class _BringingBack:
    """Puts the rows in place, the commands that wrote them, and the head; holds about a batch of them."""

    db: Db
    rows: list[Row] = field(default_factory=list)
    commands: list[str | None] = field(default_factory=list)
    """By whose command each of the rows was written."""

    def add(self, row: Row) -> None:
        """The next one. A command is put in place as a whole."""
        command = _command_of(row)
        if len(self.rows) >= BATCH and command != self.commands[-1]:
            self.flush()
        self.rows.append(row)
        self.commands.append(command)

    def flush(self) -> None:
        """What is held. Raises Forked where the log has one of its versions or commands already."""
        if not self.rows:
            return
        first, last = self.rows[0].position, self.rows[-1].position
        try:
            with self.db.cursor() as cursor:
                with cursor.copy(_COPY) as copy:
                    for row in self.rows:
                        copy.write_row(row)
                cursor.executemany("INSERT INTO command VALUES (%s, %s, %s, %s)", list(_commands(self.rows, self.commands)))
        except UniqueViolation:
            raise Forked(f"of {first} to {last} the topic repeats a version or a command of the log: {NO_RELAY}") from None
        self.db.execute("UPDATE head SET position = %s, recorded_at = %s", (self.rows[-1].position, self.rows[-1].recorded_at))
        self.rows.clear()
        self.commands.clear()


def _commands(rows: Sequence[Row], commands: Sequence[str | None]) -> Iterator[tuple[UUID, int, int, bytes]]:
    """One append is one command. Who sent it and with which body is not in the log, so its fingerprint is unknown."""
    for command, group in groupby(zip(rows, commands, strict=True), key=lambda each: each[1]):
        positions = [row.position for row, _ in group]
        if command:
            yield UUID(command), positions[0], positions[-1], RECOVERED


def _command_of(row: Row) -> str | None:
    """The id of the command that wrote it. Raises Forked for what is no entry of a log."""
    try:
        command = json.loads(row.state)["meta"].get("command")
        return command and str(UUID(command))
    except (ValueError, TypeError, LookupError, AttributeError):
        raise Forked(f"what the topic tells at {row.position} is no entry of a log: {NO_RELAY}") from None


def _tell(db: Db, found: Recovery, note: str | None, time: Time) -> None:
    """The log says what happened to it, as its next entry."""
    first, last = found.head + 1, found.head + found.missing
    kind = resolve_topic(f"{found.log}.LogRecovered")
    stream, cause = system_stream(found.origin), f"recover:{first}-{last}"
    command = command_id(stream, cause, "LogRecovered")
    meta = {"command": str(command), "actor": "policy:recover", "as": "system", "occurred_at": time.now().isoformat()}
    meta |= {"cause": cause, "correlation": str(stream)}
    ((version,),) = db.execute(
        "SELECT coalesce(max(originator_version), 0) + 1 FROM event WHERE originator_id = %s", (stream,)
    ).fetchall()
    fact = kind(first=first, last=last, checkpoint=note)
    event = FactMapper().to_stored_event(Recorded(stream, version, fact, meta))
    db.execute(_SAY, (command, time.shift(), stream, version, event.topic, event.state))

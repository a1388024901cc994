"""Are two builds equal? A SHA-256 over every row of every table, cheap to bring up to date.

What is written once is digested in chunks of positions before anybody has to hold still; the last chunks and the small tables then.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from psycopg import AsyncConnection, sql

CHUNK = 10_000  # positions
UNEQUAL = ("parked_at", "reason", "discarded_at")  # columns of what is parked that say when and how, not what
Key = tuple[str, str, int]
"""Table, log (empty for a table that is digested whole) and number of the chunk."""


class Difference(NamedTuple):
    """Rows of a table that one build has and the other has not."""

    table: str
    only_live: int
    only_new: int


@dataclass
class Digest:
    """One build's content. once: tables of rows (log, position, …) that are written once; whole: the others."""

    build: int
    once: Sequence[str]
    whole: Sequence[str]
    chunks: dict[Key, tuple[int, bytes]] = field(default_factory=dict)
    _revised: dict[str, int] = field(default_factory=dict)
    _columns: dict[str, sql.Composed] = field(default_factory=dict)

    async def prepare(self, db: AsyncConnection[Any], at: Mapping[str, int]) -> None:
        """Digest the chunks that are full at these positions: no later fact changes them."""
        await self._take_chunks(db, {log: position // CHUNK * CHUNK for log, position in at.items()})

    async def finish(self, db: AsyncConnection[Any], at: Mapping[str, int]) -> str:
        """The digest of everything at these positions, at which the build has to stand still."""
        await self._take_chunks(db, at)
        for table in self.whole:
            query = sql.SQL("SELECT {} FROM (SELECT {} AS row FROM {}) each")
            found = await db.execute(query.format(_OF, await self._row(db, table), self._name(table)))
            self.chunks[table, "", 0] = await _one(found)
        text = "".join(
            f"{table} {log} {chunk} {rows} {of.hex()}\n" for (table, log, chunk), (rows, of) in sorted(self.chunks.items())
        )
        return hashlib.sha256(text.encode()).hexdigest()

    async def _take_chunks(self, db: AsyncConnection[Any], at: Mapping[str, int]) -> None:
        query = sql.SQL("SELECT topic, revised FROM {} WHERE partition = 0").format(self._name("heard"))
        revised = dict(await (await db.execute(query)).fetchall())
        if revised != self._revised:  # facts were folded behind later ones
            self.chunks.clear()
            self._revised = revised
        for table in self.once:
            for log, upto in at.items():
                await self._take_chunks_of(db, table, log, upto)

    async def _take_chunks_of(self, db: AsyncConnection[Any], table: str, log: str, upto: int) -> None:
        full = [chunk for of, where, chunk in self.chunks if (of, where) == (table, log)]
        after = (max(full) + 1) * CHUNK if full else 0
        query = sql.SQL(
            "SELECT chunk, {} FROM (SELECT (position - 1) / {} AS chunk, {} AS row FROM {}"
            " WHERE log = {} AND position > {} AND position <= {}) each GROUP BY chunk"
        )
        row, name = await self._row(db, table), self._name(table)
        for begin in range(after, upto, 10 * CHUNK):
            end = min(begin + 10 * CHUNK, upto)
            found = await db.execute(query.format(_OF, sql.Literal(CHUNK), row, name, sql.Literal(log), begin, end))
            self.chunks |= {(table, log, chunk): (rows, of) for chunk, rows, of in await found.fetchall()}

    async def _row(self, db: AsyncConnection[Any], table: str) -> sql.Composed:
        """A row as bytes to be digested; bytes in it stand for themselves."""
        if table not in self._columns:
            query = (
                "SELECT column_name, data_type FROM information_schema.columns"
                " WHERE table_schema = %s AND table_name = %s AND column_name <> ALL(%s) ORDER BY column_name"
            )
            found = await (await db.execute(query, (f"build_{self.build}", table, list(UNEQUAL)))).fetchall()
            parts = [sql.SQL("sha256({})" if kind == "bytea" else "{}").format(sql.Identifier(name)) for name, kind in found]
            self._columns[table] = sql.SQL("convert_to(ROW({})::text, 'UTF8')").format(sql.SQL(", ").join(parts))
        return self._columns[table]

    def _name(self, table: str) -> sql.Composed:
        return sql.SQL("{}.{}").format(sql.Identifier(f"build_{self.build}"), sql.Identifier(table))


_OF = sql.SQL("count(*), sha256(coalesce(string_agg(sha256(row), ''::bytea ORDER BY sha256(row)), ''::bytea))")


async def _one(cursor: Any) -> tuple[int, bytes]:
    ((rows, of),) = await cursor.fetchall()
    return rows, of


async def differences(db: AsyncConnection[Any], live: Digest, new: Digest) -> list[Difference]:
    """How many rows of which table differ, of two digests at the same positions; what is equal by digest is not looked at."""
    found: list[Difference] = []
    keys = sorted({key for key in {*live.chunks, *new.chunks} if live.chunks.get(key) != new.chunks.get(key)})
    for table in sorted({table for table, *_ in keys}):
        chunks = [(log, chunk) for of, log, chunk in keys if of == table and log]
        where = sql.SQL("WHERE (log, (position - 1) / {}) IN (SELECT * FROM unnest({}::text[], {}::bigint[]))").format(
            CHUNK, [log for log, _ in chunks], [chunk for _, chunk in chunks]
        )
        query = sql.SQL("SELECT count(*) FROM (SELECT {row} FROM {one} {where} EXCEPT ALL SELECT {row} FROM {other} {where}) each")
        counts: list[int] = []
        for one, other in ((live, new), (new, live)):
            names = {"row": await one._row(db, table), "one": one._name(table), "other": other._name(table)}
            counts += (await (await db.execute(query.format(**names, where=where if chunks else sql.SQL("")))).fetchall())[0]
        found.append(Difference(table, *counts))
    return found


async def strayed(db: AsyncConnection[Any], live: Digest, new: Digest, kept: str) -> int:
    """Rows by which the two builds do not hold the same bytes, folded or parked. Only a fold may differ on purpose.

    kept: the table of every folded row. Looked at are the chunks of it that differ, and those of which something is parked.
    """
    keys = {key for key in {*live.chunks, *new.chunks} if live.chunks.get(key) != new.chunks.get(key)}
    chunks = {(log, chunk) for table, log, chunk in keys if table == kept}
    for digest in (live, new):
        query = sql.SQL("SELECT DISTINCT split_part(topic, '.', 2), (position - 1) / {} FROM {}")
        chunks |= set(await (await db.execute(query.format(CHUNK, digest._name("parked")))).fetchall())
    logs = sql.SQL("SELECT * FROM unnest({}::text[], {}::bigint[])").format([log for log, _ in chunks], [at for _, at in chunks])
    bytes_ = sql.SQL(
        "SELECT log, position, stream, version, type, recorded_at, state FROM {} WHERE (log, (position - 1) / {}) IN ({})"
        " UNION ALL SELECT split_part(topic, '.', 2), position, stream, (headers ->> 'version')::int, headers ->> 'ce_type',"
        " (headers ->> 'ce_time')::timestamptz, body FROM {}"
    )
    query = sql.SQL("SELECT count(*) FROM ((({one}) EXCEPT ALL ({two})) UNION ALL (({two}) EXCEPT ALL ({one}))) each")
    one, two = (bytes_.format(each._name(kept), CHUNK, logs, each._name("parked")) for each in (live, new))
    ((count,),) = await (await db.execute(query.format(one=one, two=two))).fetchall()
    return count

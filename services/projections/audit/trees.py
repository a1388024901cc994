"""The Merkle trees of all logs in tables: grown by whoever follows the topics, read for receipts and for comparing roots."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString, NamedTuple, TypeVar

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from chassis.ledger.tiles import FULL, HEIGHT, Tile, perfect, reader
from chassis.ledger.tree import Read, leaf

T = TypeVar("T")
Db = AsyncConnection[Any]
_TILES: LiteralString = """
    SELECT w.n, h.hash FROM unnest(%s::int[], %s::bigint[], %s::bigint[]) WITH ORDINALITY AS w(level, first, last, n)
    JOIN audit_hash h ON h.log = %s AND h.level = w.level AND h.number >= w.first AND h.number < w.last
    ORDER BY w.n, h.number"""
_ADD: LiteralString = """
    INSERT INTO audit_hash SELECT %s, level, number, hash, entry
    FROM unnest(%b::int[], %b::bigint[], %b::bytea[], %b::bytea[]) AS new(level, number, hash, entry)"""


class Hash(NamedTuple):
    """A row of the table; only a leaf has its entry."""

    level: int
    number: int
    hash: bytes
    entry: bytes | None = None


@dataclass
class Edge:
    """The last, unfinished tile of every level of a tree of `size` leaves: all that is needed to add to it."""

    size: int = 0
    open: list[list[bytes]] = field(default_factory=lambda: [list[bytes]()])

    def add(self, entry: bytes) -> Iterator[Hash]:
        """The rows that an entry adds: its leaf, and what it completes."""
        level, number, hash_ = 0, self.size, leaf(entry)
        yield Hash(0, number, hash_, entry)
        self.size += 1
        self.open[0].append(hash_)
        while len(self.open[level]) == FULL:
            hash_, number = perfect(self.open[level]), number // FULL
            self.open[level] = []
            level += 1
            if level == len(self.open):
                self.open.append([])
            self.open[level].append(hash_)
            yield Hash(level, number, hash_)


async def size_of(db: Db, log: str) -> int:
    """How many entries the tree has; nobody else adds to it before the transaction ends."""
    await db.execute("INSERT INTO audit_tree VALUES (%s, 0) ON CONFLICT DO NOTHING", (log,))
    ((size,),) = await (await db.execute("SELECT size FROM audit_tree WHERE log = %s FOR UPDATE", (log,))).fetchall()
    return int(size)


async def edge_of(db: Db, log: str, size: int) -> Edge:
    """What the table has of the unfinished tiles."""
    levels = range(max(1, -(-size.bit_length() // HEIGHT) + 1))
    counts = [size >> HEIGHT * level for level in levels]
    found = await _tiles(db, log, [Tile(level, count // FULL, count % FULL) for level, count in zip(levels, counts, strict=True)])
    return Edge(size, found)


async def grow(db: Db, log: str, hashes: Sequence[Hash], size: int) -> None:
    """Store what was added."""
    await db.execute(_ADD, (log, *map(list, zip(*hashes, strict=True))))
    await db.execute("UPDATE audit_tree SET size = %s WHERE log = %s", (size, log))


async def over(db: Db, log: str, size: int, work: Callable[[Read], T]) -> T:
    """What `work` finds in the tree of the first `size` entries. It is run twice: first to learn which tiles it needs."""
    needed: dict[Tile, bytes] = {}

    def learn(tile: Tile) -> bytes:
        needed[tile] = b""
        return bytes(32 * tile.width)

    work(reader(learn, size))
    found = await _tiles(db, log, list(needed))
    needed = {tile: b"".join(hashes) for tile, hashes in zip(needed, found, strict=True)}
    return work(reader(needed.__getitem__, size, held=len(needed) + 1))


async def entry_at(pool: AsyncConnectionPool, log: str, position: int) -> bytes:
    """The entry at a position that the tree has. Raises LookupError."""
    query: LiteralString = "SELECT entry FROM audit_hash WHERE log = %s AND level = 0 AND number = %s"
    async with pool.connection() as db:
        row = await (await db.execute(query, (log, position - 1))).fetchone()
    if row is None:
        raise LookupError("the tree has no such position")
    return bytes(row[0])


async def _tiles(db: Db, log: str, wanted: Sequence[Tile]) -> list[list[bytes]]:
    """The hashes of each tile, as far as they are there."""
    firsts = [tile.index * FULL for tile in wanted]
    lasts = [first + tile.width for first, tile in zip(firsts, wanted, strict=True)]
    rows = await (await db.execute(_TILES, ([tile.level for tile in wanted], firsts, lasts, log))).fetchall()
    found: list[list[bytes]] = [[] for _ in wanted]
    for n, hash_ in rows:
        found[n - 1].append(bytes(hash_))
    return found

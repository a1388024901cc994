"""The tree and its entries as files (C2SP tlog-tiles): any web server, or a folder, can serve a log.

A tile holds up to 256 hashes of one level, an entry bundle up to 256 entries. At a given size the last one of a level may be
partial, and says so in its name; there is no empty one. Level 1 holds the hashes of full tiles of level 0, and so on.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from chassis.ledger.errors import LedgerError
from chassis.ledger.tree import Read, node

FULL = 256
HEIGHT = 8  # levels of the tree that one tile spans
ENTRIES = "entries"
WIDEST_BUNDLE = FULL * (2 + 65_535)  # bytes


class Tile(NamedTuple):
    """level: of tiles, or `entries` for a bundle; width: hashes or entries in it, 1 to 256."""

    level: int | str
    index: int
    width: int = FULL

    @property
    def path(self) -> str:
        """Relative to the folder of the log: `tile/1/x001/234`, `tile/entries/005.p/17`."""
        groups = [f"{self.index % 1000:03}"]
        rest = self.index // 1000
        while rest:
            groups.insert(0, f"x{rest % 1000:03}")
            rest //= 1000
        partial = f".p/{self.width}" if self.width < FULL else ""
        return f"tile/{self.level}/{'/'.join(groups)}{partial}"

    @property
    def entries(self) -> range:
        """The leaf indices that a bundle, or a tile of level 0, holds."""
        return range(self.index * FULL, self.index * FULL + self.width)


def row(level: int | str, size: int) -> Iterator[Tile]:
    """The tiles of one level, or the bundles, that a log of `size` entries has."""
    count = size if level == ENTRIES else size >> HEIGHT * int(level)
    full, rest = divmod(count, FULL)
    yield from (Tile(level, index) for index in range(full))
    if rest:
        yield Tile(level, full, rest)


def tiles(size: int) -> Iterator[Tile]:
    """All tiles of hashes, level by level."""
    level = 0
    while size >> HEIGHT * level:
        yield from row(level, size)
        level += 1


def bundle(entries: Iterable[bytes]) -> bytes:
    """Entries as one file: each after its length in two bytes, the higher first."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def entries_of(raw: bytes, width: int, first: int = 0) -> list[bytes]:
    """The entries of a bundle; first: leaf index of the first. Raises LedgerError `bundle` unless it holds exactly `width`."""
    found: list[bytes] = []
    at = 0
    while at < len(raw) and len(found) < width:
        end = at + 2 + int.from_bytes(raw[at : at + 2], "big")
        if at + 2 > len(raw) or end > len(raw):
            break
        found.append(raw[at + 2 : end])
        at = end
    if len(found) < width:
        raise LedgerError("bundle", "a bundle ends before its last entry", first + len(found) + 1)
    if at < len(raw):
        raise LedgerError("bundle", "a bundle holds more than its entries", first + width)
    return found


def hashes_of(raw: bytes, width: int) -> list[bytes]:
    """The hashes of a tile. Raises LedgerError `tile` unless it holds exactly `width`."""
    if len(raw) != 32 * width:
        raise LedgerError("tile", "a tile does not hold as many hashes as its name says")
    return [raw[at : at + 32] for at in range(0, len(raw), 32)]


def reader(fetch: Callable[[Tile], bytes], size: int, held: int = 64) -> Read:
    """Perfect subtrees of a log of `size` leaves, from its tiles. held: how many tiles are kept, the rest is fetched again.

    What it reads is not believed: a proof made from false tiles leads to a false root. Raises LedgerError `tile`, and whatever
    `fetch` does.
    """
    kept: dict[tuple[int, int], list[bytes]] = {}

    def tile(level: int, index: int) -> list[bytes]:
        hashes = kept.pop((level, index), None)
        if hashes is None:
            width = min(FULL, (size >> HEIGHT * level) - index * FULL)
            hashes = hashes_of(fetch(Tile(level, index, width)), width)
        kept[level, index] = hashes
        if len(kept) > held:
            del kept[next(iter(kept))]
        return hashes

    def read(level: int, index: int) -> bytes:
        if not 0 <= (index + 1) << level <= size:
            raise ValueError("no perfect subtree of this tree")
        below, above = level % HEIGHT, level // HEIGHT
        hashes = tile(above, (index << below) // FULL)
        first = (index << below) % FULL
        return perfect(hashes[first : first + (1 << below)])

    return read


def perfect(hashes: Sequence[bytes]) -> bytes:
    """The hash over 1, 2, 4, … sibling hashes."""
    row_ = list(hashes)
    while len(row_) > 1:
        row_ = [node(left, right) for left, right in zip(row_[::2], row_[1::2], strict=True)]
    return row_[0]

"""The Merkle tree of RFC 6962 over the leaves of a log; leaf index = position − 1.

Perfect subtrees are addressed by (level, index): level 0 are the leaves, the hash at (l, i) covers the leaves i·2ˡ up to (i+1)·2ˡ.
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

from chassis.ledger.errors import LedgerError

Read = Callable[[int, int], bytes]
"""(level, index) → the hash of that perfect subtree."""
EMPTY_ROOT = sha256(b"").digest()
LARGEST_SIZE = 2**63 - 1


def leaf(entry: bytes) -> bytes:
    """Hash of a leaf. The prefix keeps a node from ever passing as an entry."""
    return sha256(b"\0" + entry).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return sha256(b"\1" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: all that is needed to add leaves and to know the root. At most 63 hashes."""

    __slots__ = ("_peaks", "size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """peaks: perfect subtrees from left to right, one for each 1 in the binary form of size. Raises ValueError if not."""
        if len(peaks) != size.bit_count():
            raise ValueError("a tree has as many peaks as its size has ones in binary")
        self.size, self._peaks = size, list(peaks)

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """What `Frontier(size, peaks)` takes to go on from here."""
        return tuple(self._peaks)

    def add(self, hash_: bytes, level: int = 0) -> None:
        """Append a leaf, or a whole perfect subtree of 2^level leaves where the tree so far is a multiple of that."""
        waiting = self.size >> level
        if waiting << level != self.size:
            raise ValueError("a subtree can only follow subtrees that are at least as large")
        while waiting & 1:
            hash_ = node(self._peaks.pop(), hash_)
            waiting >>= 1
        self._peaks.append(hash_)
        self.size += 1 << level

    def root(self) -> bytes:
        """The root over what was added so far; `EMPTY_ROOT` before the first leaf."""
        if not self._peaks:
            return EMPTY_ROOT
        *others, root = self._peaks
        for peak in reversed(others):
            root = node(peak, root)
        return root

    def copy(self) -> "Frontier":
        """Independent of this one; copies a few dozen references."""
        return Frontier(self.size, self._peaks)


def root(read: Read, size: int) -> bytes:
    """The root of the first `size` leaves."""
    return _hash_of(read, 0, size) if size else EMPTY_ROOT


def inclusion(read: Read, index: int, size: int) -> list[bytes]:
    """The siblings of leaf `index` on its way to the root of the first `size` leaves, lowest first.

    Raises ValueError for a leaf outside the tree: the bare recursion would yield a path for an entry that does not exist.
    """
    if not 0 <= index < size:
        raise ValueError("a leaf outside the tree has no proof")
    proof: list[bytes] = []
    first, last = 0, size
    while last - first > 1:
        middle = first + _split(last - first)
        if index < middle:
            proof.append(_hash_of(read, middle, last))
            last = middle
        else:
            proof.append(_hash_of(read, first, middle))
            first = middle
    return proof[::-1]


def consistency(read: Read, old: int, new: int) -> list[bytes]:
    """Shows that the first `old` of `new` leaves are the whole old tree. Empty if old is 0 or new: nothing is to be shown."""
    if not 0 <= old <= new:
        raise ValueError("an old tree is not larger than the new one")
    if old in {0, new}:
        return []
    proof: list[bytes] = []
    first, last = 0, new
    while old not in {first, last}:
        middle = first + _split(last - first)
        if old <= middle:
            proof.append(_hash_of(read, middle, last))
            last = middle
        else:
            proof.append(_hash_of(read, first, middle))
            first = middle
    if first:
        proof.append(_hash_of(read, first, last))
    return proof[::-1]


def root_of_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that a proof leads to (RFC 9162, 2.1.3.2). Raises LedgerError `root` if it has not the length for its place."""
    if not 0 <= index < size:
        raise LedgerError("root", "the receipt is for an entry that the checkpoint does not cover", index + 1)
    place, last, hash_ = index, size - 1, leaf_hash
    for sibling in proof:
        if last == 0:
            raise LedgerError("root", "the receipt holds more hashes than lead to the root", index + 1)
        if place & 1 or place == last:
            hash_ = node(sibling, hash_)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            hash_ = node(hash_, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise LedgerError("root", "the receipt holds fewer hashes than lead to the root", index + 1)
    return hash_


def consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the old tree is the beginning of the new one (RFC 9162, 2.1.4.2).

    The empty tree is the beginning of every tree, which the algorithm itself does not know.
    """
    if not 0 <= old <= new or (old == 0 and old_root != EMPTY_ROOT):
        return False
    if old in {0, new}:
        return not proof and (old == 0 or old_root == new_root)
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            before, after = node(sibling, before), node(sibling, after)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            after = node(after, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


def _split(width: int) -> int:
    """The largest power of two below `width`."""
    return 1 << ((width - 1).bit_length() - 1)


def _hash_of(read: Read, first: int, last: int) -> bytes:
    """Hash over the leaves first … last − 1, where `first` is a multiple of the power of two that spans them."""
    hash_ = None
    for level, index in reversed(list(_perfect(first, last))):
        hash_ = read(level, index) if hash_ is None else node(read(level, index), hash_)
    if hash_ is None:
        raise ValueError("no leaves, no hash")
    return hash_


def _perfect(first: int, last: int) -> Iterator[tuple[int, int]]:
    while first < last:
        level = (last - first).bit_length() - 1
        yield level, first >> level
        first += 1 << level

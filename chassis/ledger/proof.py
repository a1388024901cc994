"""A receipt (C2SP tlog-proof): one small text that shows, offline and for ever, that an entry is in the log."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from chassis.ledger import encoding
from chassis.ledger.checkpoint import Checkpoint
from chassis.ledger.entry import Entry
from chassis.ledger.errors import LedgerError
from chassis.ledger.policy import Policy
from chassis.ledger.tree import LARGEST_SIZE, Read, inclusion, leaf, root_of_inclusion

FORMAT = "c2sp.org/tlog-proof@v1"
LARGEST = 256 * 1024  # bytes
MOST_HASHES = 63
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


class Shown(NamedTuple):
    """What a receipt shows: this entry stands in that log, at its position, under this checkpoint."""

    entry: Entry
    checkpoint: Checkpoint


@dataclass(frozen=True)
class Proof:
    """index: position − 1; hashes: siblings, lowest first; note: the checkpoint; extra: the entry's bytes."""

    index: int
    hashes: Sequence[bytes]
    note: bytes
    extra: bytes = b""

    def text(self) -> bytes:
        """The file."""
        extra = [f"extra {encoding.encode(self.extra)}"] if self.extra else []
        lines = [FORMAT, *extra, f"index {self.index}", *map(encoding.encode, self.hashes), ""]
        return "".join(f"{line}\n" for line in lines).encode() + self.note

    @classmethod
    def read(cls, raw: bytes) -> "Proof":
        """Strict; nothing is verified. Raises LedgerError `malformed`."""
        head, gap, note = raw[:LARGEST].partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n") if gap and len(raw) <= LARGEST else [""]
            if lines[0] != FORMAT or not note:
                raise LedgerError("malformed", "not a receipt of the format tlog-proof v1")
            extra = encoding.decode(lines.pop(1).removeprefix("extra ")) if lines[1:] and lines[1].startswith("extra ") else b""
            index = _INDEX.fullmatch(lines[1]) if lines[1:] else None
            hashes = [encoding.decode(line) for line in lines[2:]]
        except ValueError as problem:
            reason = problem.reason if isinstance(problem, LedgerError) else "a line of the receipt is not base 64"
            raise LedgerError("malformed", reason) from None
        if index is None or int(index[1]) > LARGEST_SIZE or len(hashes) > MOST_HASHES or any(len(hash_) != 32 for hash_ in hashes):
            raise LedgerError("malformed", "the receipt has no proper index, or a line that is no hash")
        return cls(int(index[1]), hashes, note, extra)

    def checked(self, policy: Policy, origin: str | None = None) -> Shown:
        """What it shows. origin: of the log that was expected; without it, any log of the policy.

        Raises LedgerError `signature`, `origin`, `checkpoint`, `missing`, `root` or `shape`.
        """
        checkpoint = policy.opened(self.note, origin).checkpoint
        if not self.extra:
            raise LedgerError("missing", "the receipt does not hold its entry", self.index + 1)
        found = root_of_inclusion(leaf(self.extra), self.index, checkpoint.size, self.hashes)
        if found != checkpoint.root:
            raise LedgerError("root", "the entry of the receipt does not lead to the root of its checkpoint", self.index + 1)
        entry = Entry.read(self.extra)  # only now: before, anybody could have written it
        if (entry.origin, entry.position) != (checkpoint.origin, self.index + 1):
            raise LedgerError("shape", "the entry of the receipt names another log or another position", self.index + 1)
        return Shown(entry, checkpoint)


def receipt(read: Read, entry: bytes, index: int, note: bytes, size: int) -> Proof:
    """The receipt of entry `index` under the checkpoint `note` of that size. Raises ValueError if it does not cover it."""
    return Proof(index, inclusion(read, index, size), note, entry)

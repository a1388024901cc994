"""A checkpoint (C2SP tlog-checkpoint): what the whole log was at one size, in three lines that are signed."""

import re
from typing import NamedTuple

from chassis.ledger import encoding
from chassis.ledger.entry import checked_origin
from chassis.ledger.errors import LedgerError
from chassis.ledger.tree import LARGEST_SIZE

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class Checkpoint(NamedTuple):
    """root: of the tree over the first `size` entries of the log `origin`."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The text to sign. It has no time: an unchanged log gives the same bytes for ever."""
        return f"{self.origin}\n{self.size}\n{encoding.encode(self.root)}\n"

    @classmethod
    def read(cls, text: str) -> "Checkpoint":
        """Strict: exactly three lines. Raises LedgerError `checkpoint`, or `origin` for a name that no log has."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise LedgerError("checkpoint", "a checkpoint has exactly three lines")
        origin, size, root, _ = lines
        if not _SIZE.fullmatch(size) or int(size) > LARGEST_SIZE:
            raise LedgerError("checkpoint", "the size is not a decimal number without leading zero")
        try:
            hash_ = encoding.decode(root)
        except ValueError as problem:
            raise LedgerError("checkpoint", f"the root is {problem}") from None
        if len(hash_) != 32:
            raise LedgerError("checkpoint", "the root has not 32 bytes")
        return cls(checked_origin(origin), int(size), hash_)

"""What a verifier says: one line a log, its head or the first thing that is wrong with it."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from chassis.ledger import encoding
from chassis.ledger.checkpoint import Checkpoint
from chassis.ledger.errors import LedgerError


class Step(IntEnum):
    """The steps of `docs/recipe-verifier.md`; of several findings the one of the earliest step is told."""

    CONTAINER = 1
    NOTE = 2
    FILES = 3
    ROOT = 4
    TILES = 5
    ENTRIES = 6
    VERSIONS = 7
    STATES = 8
    HELD = 9
    INSTANT = 10
    AGE = 11


class Finding(NamedTuple):
    """Sorts by step and position, 0 where no position is meant."""

    step: Step
    position: int
    code: str
    reason: str

    @classmethod
    def of(cls, step: Step, error: LedgerError) -> "Finding":
        return cls(step, error.position or 0, error.code, error.reason)


class Line(NamedTuple):
    """The judgement of one log, or of the whole where `origin` is empty."""

    origin: str
    finding: Finding | None
    head: Checkpoint | None = None

    def __str__(self) -> str:
        if self.finding:
            _, position, code, reason = self.finding
            return f"FAIL {code} {self.origin or '-'} {position or '-'} {reason}"
        return f"OK {self.origin} {self.head.size} {encoding.encode(self.head.root)}" if self.head else f"OK {self.origin}"

    def as_data(self) -> dict[str, Any]:
        if self.finding:
            _, position, code, reason = self.finding
            return {"ok": False, "code": code, "origin": self.origin or None, "position": position or None, "reason": reason}
        head = self.head
        return {"ok": True, "origin": self.origin} | ({"size": head.size, "root": encoding.encode(head.root)} if head else {})


@dataclass
class Report:
    """lines: the judgement; remarks: what a reader should know and no finding says; read: bytes that were hashed."""

    lines: list[Line] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    read: int = 0

    @property
    def clean(self) -> bool:
        return bool(self.lines) and not any(line.finding for line in self.lines)

    @property
    def codes(self) -> set[str]:
        return {line.finding.code for line in self.lines if line.finding}


class Held(NamedTuple):
    """A head that the reader got earlier, or elsewhere."""

    checkpoint: Checkpoint
    source: str

"""The trust root of whoever verifies (C2SP tlog-policy): which logs with which keys, which witnesses, how many of them.

It is handed over before the events it judges, one file an epoch; the copy inside a bundle is for reading only.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from chassis.ledger.checkpoint import Checkpoint
from chassis.ledger.entry import checked_origin
from chassis.ledger.errors import LedgerError
from chassis.ledger.note import ED25519, VerifierKey, opened, taken_apart
from chassis.ledger.witness import COSIGNATURE, cosigned_at

LARGEST = 256 * 1024  # bytes
NOBODY = "none"
_ALLOWED = re.compile(rb"[\t\n\x20-\x7e\x80-\xff]*")


class Group(NamedTuple):
    """Has witnessed if at least `needed` of its members, witnesses or groups, have."""

    needed: int
    members: tuple[str, ...]


class Opened(NamedTuple):
    """A checkpoint that the policy accepts; `witnessed_at`: seconds since 1970 at which its quorum was complete, None without."""

    checkpoint: Checkpoint
    witnessed_at: int | None


@dataclass
class Policy:
    """logs: keys by origin, several while one takes over from another; quorum: a witness, a group or `none`."""

    logs: dict[str, list[VerifierKey]] = field(default_factory=dict)
    witnesses: dict[str, VerifierKey] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    quorum: str = ""

    @classmethod
    def read(cls, raw: bytes) -> "Policy":
        """Raises LedgerError `policy`, naming the line: whoever trusts a file that he misreads trusts nobody."""
        if len(raw) > LARGEST or not _ALLOWED.fullmatch(raw):
            raise LedgerError("policy", "the policy is too large, or holds control characters")
        policy = cls()
        for number, line in enumerate(raw.decode("utf-8", "surrogateescape").split("\n"), 1):
            words = line.replace("\t", " ").split(" ")
            if (words := [word for word in words if word]) and not words[0].startswith("#"):
                try:
                    policy._add(words)
                except LedgerError as problem:
                    raise LedgerError("policy", f"line {number}: {problem.reason}") from None
        if not policy.quorum:
            raise LedgerError("policy", "the policy has no quorum line")
        return policy

    def opened(self, note: bytes, origin: str | None = None) -> Opened:
        """The checkpoint in a note: signed by a key of that very log, and by the quorum.

        origin: of the log that was expected; without it, any log of the policy. A policy lists many logs, and its own format
        accepts any of them for any note: the name in the text, the name of the key and the log asked for must be one.
        Raises LedgerError `signature`, `origin` or `checkpoint`.
        """
        text, lines = taken_apart(note)
        name = text.partition("\n")[0]
        if name != (origin or name) or name not in self.logs:
            raise LedgerError("origin", "a checkpoint of another log, or of none that the policy lists")
        checkpoint = Checkpoint.read(opened(note, self.logs[name]))
        times = {witness: cosigned_at(text, lines, key) for witness, key in self.witnesses.items()}
        witnessed_at = self._witnessed_at(self.quorum, times)
        if self.quorum != NOBODY and witnessed_at is None:
            raise LedgerError("signature", "fewer witnesses cosigned a checkpoint than the policy asks for")
        return Opened(checkpoint, witnessed_at)

    def _witnessed_at(self, name: str, times: Mapping[str, int | None]) -> int | None:
        """The time of the k-th newest: from then on, the quorum had been complete."""
        if name not in self.groups:
            return times.get(name)
        group = self.groups[name]
        found = (self._witnessed_at(member, times) for member in group.members)
        newest = sorted((time for time in found if time is not None), reverse=True)
        return newest[group.needed - 1] if len(newest) >= group.needed else None

    # -- reading ---------------------------------------------------------------------------------------------------------------

    def _add(self, words: list[str]) -> None:
        readers: dict[str, tuple[range, Callable[..., None]]] = {
            "log": (range(1, 3), self._add_log),
            "witness": (range(2, 4), self._add_witness),
            "group": (range(3, len(words) + 1), self._add_group),
            "quorum": (range(1, 2), self._set_quorum),
        }
        counts, reader = readers.get(words[0], (range(0), self._set_quorum))
        if len(words) - 1 not in counts:
            raise LedgerError("policy", "neither a log, a witness, a group nor the quorum as the format writes it")
        reader(*words[1:])

    def _add_log(self, vkey: str, _url: str = "") -> None:
        key = VerifierKey.read(vkey)
        if key.type != ED25519 or len(key.public) != 32:
            raise LedgerError("policy", "a log has an Ed25519 key of type 1")
        if any(key.public == other.public for keys in self.logs.values() for other in keys):
            raise LedgerError("policy", "a key is listed for two logs, or twice")
        self.logs.setdefault(checked_origin(key.name), []).append(key)

    def _add_witness(self, name: str, vkey: str, _url: str = "") -> None:
        key = VerifierKey.read(vkey)
        if key.type != COSIGNATURE or len(key.public) != 32:
            raise LedgerError("policy", "a witness has an Ed25519 key of type 4; other types are not read by this verifier")
        if any(key.public == other.public for other in self.witnesses.values()):
            raise LedgerError("policy", "a witness's key is listed twice")
        self.witnesses[self._new(name)] = key

    def _add_group(self, name: str, needed: str, *members: str) -> None:
        if len(set(members)) < len(members) or any(member not in {*self.witnesses, *self.groups} for member in members):
            raise LedgerError("policy", "a group repeats a member, or names one that is not defined above it")
        if any(member in group.members for group in self.groups.values() for member in members):
            raise LedgerError("policy", "a member belongs to one group only, so that no witness counts twice")
        counts = {"any": 1, "all": len(members)} | {str(number): number for number in range(1, len(members) + 1)}
        if needed not in counts:
            raise LedgerError("policy", "a group needs any, all, or 1 to as many as it has")
        self.groups[self._new(name)] = Group(counts[needed], members)

    def _set_quorum(self, name: str) -> None:
        if self.quorum or name not in {NOBODY, *self.witnesses, *self.groups}:
            raise LedgerError("policy", "a second quorum, or one that is not defined above it")
        self.quorum = name

    def _new(self, name: str) -> str:
        if name in {NOBODY, *self.witnesses, *self.groups}:
            raise LedgerError("policy", "a name is used twice")
        return name

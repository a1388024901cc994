"""The trust root of whoever verifies (C2SP tlog-policy): which logs with which keys, which witnesses, how many of them.

It is handed over before the events it judges, one file an epoch; the copy inside a bundle is for reading only. Comments that every
other reader of the format passes over say which epoch, and where the one before it ended:

    # epoch 3 from 2027-01-01
    # after hotline111.example/prod/cases 40210

The day is for people. The size is for verifiers: behind it this policy counts for that log and none of an earlier epoch does, up to
it the earlier ones and not this one. So a key that the file does not list any more has signed nothing beyond that size.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

from chassis.ledger.checkpoint import Checkpoint
from chassis.ledger.entry import checked_origin
from chassis.ledger.errors import LedgerError
from chassis.ledger.note import ED25519, VerifierKey, opened, taken_apart
from chassis.ledger.tree import LARGEST_SIZE
from chassis.ledger.witness import COSIGNATURE, cosigned_at

LARGEST = 256 * 1024  # bytes
NOBODY = "none"
_ALLOWED = re.compile(rb"[\t\n\x20-\x7e\x80-\xff]*")
_EPOCH = re.compile(r"epoch ([1-9][0-9]{0,8})( from [0-9]{4}-[0-9]{2}-[0-9]{2})?")
_AFTER = re.compile(r"after (\S+) ([1-9][0-9]{0,18})")


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
    """logs: keys by origin, several while one takes over from another; quorum: a witness, a group or `none`.

    epoch: its number, 0 where the file does not say. after, until: by origin, the size behind which it counts, and up to which.
    digest: SHA-256 of the file, in hexadecimal. earlier: the policies of the epochs before, the newest first.
    """

    logs: dict[str, list[VerifierKey]] = field(default_factory=dict)
    witnesses: dict[str, VerifierKey] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    quorum: str = ""
    epoch: int = 0
    after: dict[str, int] = field(default_factory=dict)
    until: dict[str, int] = field(default_factory=dict)
    digest: str = ""
    earlier: Sequence["Policy"] = ()

    @classmethod
    def read(cls, raw: bytes) -> "Policy":
        """Raises LedgerError `policy`, naming the line: whoever trusts a file that he misreads trusts nobody."""
        if len(raw) > LARGEST or not _ALLOWED.fullmatch(raw):
            raise LedgerError("policy", "the policy is too large, or holds control characters")
        policy = cls(digest=sha256(raw).hexdigest())
        for number, line in enumerate(raw.decode("utf-8", "surrogateescape").split("\n"), 1):
            words = [word for word in line.replace("\t", " ").split(" ") if word]
            try:
                if words and words[0].startswith("#"):
                    policy._note(" ".join(words).removeprefix("#").lstrip())
                elif words:
                    policy._add(words)
            except LedgerError as problem:
                raise LedgerError("policy", f"line {number}: {problem.reason}") from None
        if not policy.quorum:
            raise LedgerError("policy", "the policy has no quorum line")
        if policy.after and (not policy.epoch or not policy.after.keys() <= policy.logs.keys()):
            raise LedgerError("policy", "the policy begins after a size, but does not say its epoch or does not list that log")
        return policy

    @classmethod
    def at(cls, *paths: Path) -> "Policy":
        """Of the files at these paths, and of those in the folders at these paths. Raises LedgerError `policy`, OSError."""
        files = (sorted(path.glob("[!.]*")) if path.is_dir() else [path] for path in paths)
        return cls.of_epochs([file.read_bytes() for file in chain.from_iterable(files)])

    @classmethod
    def of_epochs(cls, files: Sequence[bytes]) -> "Policy":
        """The policy of the newest epoch, which knows the earlier ones. Raises LedgerError `policy`."""
        policies = sorted(map(cls.read, files), key=lambda policy: policy.epoch)
        if not policies:
            raise LedgerError("policy", "there is no policy")
        if len(policies) > 1 and not policies[0].epoch:
            raise LedgerError("policy", "of several policies each must say its epoch: # epoch 2 from 2027-01-01")
        if any(one.epoch == other.epoch for one, other in pairwise(policies)):
            raise LedgerError("policy", "two policies say that they are of one epoch")
        policies[-1].earlier = policies[-2::-1]
        _bound(policies)
        return policies[-1]

    @property
    def epochs(self) -> Iterator["Policy"]:
        """This one and the earlier ones, the newest first."""
        yield self
        yield from self.earlier

    @property
    def origins(self) -> set[str]:
        """Of every log of every epoch."""
        return {origin for policy in self.epochs for origin in policy.logs}

    def opened(self, note: bytes, origin: str | None = None) -> Opened:
        """The checkpoint in a note, as the policy of an epoch accepts it to which its size belongs. Raises as `opened_alone`."""
        problems: list[LedgerError] = []
        for policy in self.epochs:
            try:
                return policy.opened_alone(note, origin)
            except LedgerError as problem:
                problems.append(problem)
        raise min(reversed(problems), key=lambda problem: ("checkpoint", "signature", "origin").index(problem.code))

    def opened_alone(self, note: bytes, origin: str | None = None) -> Opened:
        """The checkpoint in a note: signed by a key of that very log, of a size of this epoch, and cosigned by the quorum.

        origin: of the log that was expected; without it, any log of the policy. A policy lists many logs, and its own format
        accepts any of them for any note: the name in the text, the name of the key and the log asked for must be one.
        Raises LedgerError `signature`, `origin` or `checkpoint`.
        """
        text, lines = taken_apart(note)
        name = text.partition("\n")[0]
        if name != (origin or name) or name not in self.logs:
            raise LedgerError("origin", "a checkpoint of another log, or of none that the policy lists")
        checkpoint = Checkpoint.read(opened(note, self.logs[name]))
        if not self.after.get(name, -1) < checkpoint.size <= self.until.get(name, checkpoint.size):
            raise LedgerError("signature", f"a checkpoint of size {checkpoint.size} signed by a key that is not of its epoch")
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

    def _note(self, comment: str) -> None:
        """A comment whose first word is `epoch` or `after` says something; a slip in it must not make it an idle one."""
        word = comment.partition(" ")[0]
        if (found := _EPOCH.fullmatch(comment)) and not self.epoch:
            self.epoch = int(found[1])
        elif (found := _AFTER.fullmatch(comment)) and found[1] not in self.after and int(found[2]) <= LARGEST_SIZE:
            self.after[found[1]] = int(found[2])
        elif word in {"epoch", "after"}:
            raise LedgerError("policy", "neither `# epoch <number> from <day>` nor `# after <log> <size>`, or a second one")

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


def _bound(policies: Sequence[Policy]) -> None:
    """Says of each, the oldest first, up to which size it counts. Raises LedgerError `policy` if they contradict each other."""
    ends: dict[str, int] = {}
    owners: dict[bytes, str] = {}
    newest = policies[-1]
    for later, policy in pairwise((newest, *newest.epochs)):
        if any(_drops_in_silence(later, policy, origin) for origin in later.logs):
            raise LedgerError("policy", f"epoch {later.epoch} lists a key of a log no more and does not say after which size")
        if any(size > ends.get(origin, size) for origin, size in policy.after.items()):
            raise LedgerError("policy", f"epoch {policy.epoch} begins after a later one")
        if any(owners.setdefault(key.public, origin) != origin for origin, keys in policy.logs.items() for key in keys):
            raise LedgerError("policy", "a key is listed for two logs")
        policy.until = dict(ends)
        ends |= policy.after


def _drops_in_silence(later: Policy, policy: Policy, origin: str) -> bool:
    """It would count for ever."""
    return origin not in later.after and not set(policy.logs.get(origin, ())) <= set(later.logs[origin])

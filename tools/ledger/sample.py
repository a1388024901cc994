"""An invented history of five logs: real facts through the real mapper, sealed and signed, for trying verifiers on.

It follows no case through the law; it has what evidence is made of: streams that grow between each other, causes across logs,
sealed parts, several bundles a log, and one case with streams in all logs. Equal seeds give equal histories up to the random
numbers inside sealed boxes.
"""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import NAMESPACE_URL, UUID, uuid5

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chassis.ledger.checkpoint import Checkpoint
from chassis.ledger.entry import entry
from chassis.ledger.note import SigningKey, VerifierKey, signature_line, taken_apart
from chassis.ledger.proof import receipt
from chassis.ledger.tiles import perfect
from chassis.ledger.tree import Frontier, leaf
from chassis.ledger.witness import COSIGNATURE, cosigned
from chassis.log import Row
from chassis.mapper import FactMapper, Recorded
from contracts.ids import command_id, system_stream
from contracts.kernel import Fact
from tools.generate.golden import sample as filled
from tools.generate.model import facts_of

PLACE = "hotline111.example/sample"
ROWS = {"intake": 90, "cases": 300, "referrals": 120, "notifications": 70, "projections": 110}
STREAMS = 7  # of each log, beside its own


class Witness:
    """Somebody outside who cosigns what he saw; a thief of the log's key has not got his."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key = VerifierKey(name, COSIGNATURE, public)

    def line(self, text: str, at: datetime) -> bytes:
        """His line under a checkpoint of this text."""
        time = int(at.timestamp())
        return signature_line(self.key, time.to_bytes(8, "big") + self._private.sign(cosigned(text, time))).encode()


WITNESSES = [Witness(f"witness-{n}.example", bytes([n]) * 32) for n in (1, 2, 3)]


@dataclass
class History:
    """keys: of the logs; of_case: the stream of one case in each log. Two of three witnesses cosigned every checkpoint."""

    keys: dict[str, SigningKey]
    rows: dict[str, list[Row]] = field(default_factory=dict)
    of_case: dict[str, UUID] = field(default_factory=dict)

    @property
    def policy(self) -> bytes:
        """What a reader was handed before."""
        return f"# a sample\n# epoch 1\n{self._logs}quorum none\n".encode()

    @property
    def policy_with_quorum(self) -> bytes:
        """That of a reader who does not trust the log's key alone."""
        witnesses = "".join(f"witness {number} {one.key}\n" for number, one in enumerate(WITNESSES))
        return f"{self._logs}{witnesses}group two 2 0 1 2\nquorum two\n".encode()

    @property
    def _logs(self) -> str:
        return "".join(f"log {key.verifier}\n" for key in self.keys.values())

    def entries(self, log: str) -> list[bytes]:
        return [entry_of(self.keys[log].key.name, row) for row in self.rows[log]]

    def note(self, log: str, size: int = 0) -> bytes:
        """The signed checkpoint of a size; 0: the newest."""
        rows = self.rows[log][: size or None]
        signed = signed_head(self.keys[log], self.entries(log)[: len(rows)])
        text, _ = taken_apart(signed)
        return signed + b"".join(witness.line(text, rows[-1].recorded_at) for witness in WITNESSES[:2])

    def receipt(self, log: str, position: int) -> bytes:
        """That of an entry under the newest checkpoint."""
        entries = self.entries(log)
        leaves = [leaf(one) for one in entries]
        shown = receipt(
            lambda level, index: perfect(leaves[index << level : (index + 1) << level]),
            entries[position - 1],
            position - 1,
            self.note(log),
            len(entries),
        )
        return shown.text()


def history(seed: int = 111, until: datetime | None = None, rows: dict[str, int] | None = None) -> History:
    """until: the instant of the newest entries, now without it. rows: how many of each log."""
    counts = rows or ROWS
    chance = random.Random(seed)  # noqa: S311 - a sample, no secret
    told = History({log: SigningKey.of_seed(f"{PLACE}/{log}", sha256(f"{seed}:{log}".encode()).digest()) for log in counts})
    told.rows = {log: [] for log in counts}
    streams = {log: [uuid5(NAMESPACE_URL, f"urn:sample:{seed}:{log}:{n}") for n in range(STREAMS)] for log in counts}
    told.of_case = {log: ids[0] for log, ids in streams.items()}
    order = [log for log, count in counts.items() for _ in range(count - 2)]
    chance.shuffle(order)
    step = timedelta(hours=6)
    until = until or datetime.now(UTC)
    at = until - step * (len(order) + len(counts))
    for log in counts:
        _tell(told, log, system_stream(told.keys[log].key.name), _created(told, log), f"origin:{told.keys[log].key.name}", at)
    for log in order:
        at += step * chance.randint(0, 1)  # a batch shares one stamp
        kind = chance.choice([fact for fact in facts_of(log) if fact.__name__ != "LogCreated"])
        _tell(told, log, chance.choice(streams[log]), filled(kind), _cause(told, log, chance), at)
    for log in counts:  # no log is silent for long
        _tell(told, log, streams[log][1], any_fact(log), "rest:last", until)
    return told


def any_fact(log: str) -> Fact:
    """Some fact of a log, every field filled."""
    return filled(next(kind for kind in facts_of(log) if kind.__name__ != "LogCreated"))


def _created(told: History, log: str) -> Fact:
    (kind,) = [fact for fact in facts_of(log) if fact.__name__ == "LogCreated"]
    return kind.model_validate({"origin": told.keys[log].key.name, "entry_format": "v1"})


def _cause(told: History, log: str, chance: random.Random) -> str:
    """A person's request, or an entry of another log that is there by now."""
    others = [name for name in told.rows if name not in {log, "projections"}]  # nobody hears what projections tells
    if others and chance.random() < 0.5:
        other = chance.choice(others)
        return f"{other}:{chance.randint(1, len(told.rows[other]))}"
    return f"rest:{UUID(int=chance.getrandbits(128), version=4)}"


def _tell(told: History, log: str, stream: UUID, fact: Fact, cause: str, at: datetime) -> None:  # noqa: PLR0917
    rows = told.rows[log]
    version = sum(row.stream == stream for row in rows) + 1
    rows.append(row_of(log, fact, len(rows) + 1, stream, version, cause, at))


def row_of(log: str, fact: Fact, position: int, stream: UUID, version: int, cause: str, at: datetime) -> Row:  # noqa: PLR0917
    """A row as the log of a service would have it. Sealed parts are under a key that follows from the person's id."""
    meta = {
        "command": str(command_id(stream, cause, type(fact).__name__)),
        "actor": "TVV-01",
        "as": "counsellor",
        "occurred_at": at.isoformat(),
        "cause": cause,
        "correlation": str(uuid5(NAMESPACE_URL, f"urn:sample:{log}")),
    }
    event = FactMapper(key_of).to_stored_event(Recorded(stream, version, fact, meta))
    return Row(stream, version, event.topic, event.state, position, at)


def key_of(person: UUID) -> bytes:
    """A person's key in samples."""
    return sha256(b"sample" + person.bytes).digest()


def entry_of(origin: str, row: Row) -> bytes:
    """The entry of a row."""
    return entry(origin, row.position, row.recorded_at, row.stream, row.version, row.type, row.state)


def signed_head(key: SigningKey, entries: list[bytes]) -> bytes:
    """The note over exactly these entries."""
    frontier = Frontier()
    for one in entries:
        frontier.add(leaf(one))
    return key.sign(Checkpoint(key.key.name, frontier.size, frontier.root()).text())

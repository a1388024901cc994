"""Signs the log: a checkpoint over every row that its topic tells, at most one a second. A loop of the worker.

Nothing is signed that is not in the topic, so what was signed can always be brought back from there. A signature is in a file
outside the database's volume before anybody sees it, then in the table, then in the topic. Whoever starts looks at all three, takes
the largest, and goes on only if every one of them is a prefix of the rows, all of them hashed anew.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from chassis import checkpoints
from chassis.about_itself import adopt, say
from chassis.checkpoints import Topic, topic_at
from chassis.failpoints import reach
from chassis.ledger.checkpoint import Checkpoint
from chassis.ledger.encoding import encode
from chassis.ledger.entry import entry
from chassis.ledger.errors import LedgerError
from chassis.ledger.note import SigningKey, opened, signed, taken_apart
from chassis.ledger.policy import Policy
from chassis.ledger.tree import Frontier, leaf
from chassis.log import Log, Row
from chassis.relay import Acknowledged
from chassis.settings import Settings, key_from

log_ = structlog.get_logger("hotline.signer")
meter = metrics.get_meter("hotline")
signed_ = meter.create_gauge("hotline.checkpoint.size", description="positions that the newest checkpoint covers")
BATCH = 2000  # rows read at once
CADENCE, LOOK_EVERY, SAY_EVERY = 1.0, 0.05, 5.0  # seconds
_signed_at: dict[str, float] = {}


def _ages(_: CallbackOptions) -> Iterable[Observation]:
    return [Observation(time.monotonic() - at, {"log": log}) for log, at in _signed_at.items()]


meter.create_observable_gauge("hotline.checkpoint.age", callbacks=[_ages], unit="s", description="since the newest checkpoint")


class NotOurPastError(Exception):
    """A checkpoint that was signed before is no prefix of the log: restored, forked or rewritten. A person must look."""


@dataclass
class Signer:
    """keys: all of them sign, while one takes over from another. folder: outside the database's volume. policy: by which readers
    judge what is signed, None where nothing is said of it."""

    log: Log
    origin: str
    keys: list[SigningKey]
    folder: Path
    kafka: str
    acknowledged: Acknowledged
    policy: Policy | None = None
    _tree: Frontier = field(default_factory=Frontier)
    _ours: dict[bytes, Checkpoint] = field(default_factory=dict)
    """Notes of which this process knows that they are prefixes of the rows: the last ones."""

    @classmethod
    def of(cls, log: Log, settings: Settings, acknowledged: Acknowledged) -> "Signer":
        """With the keys and the policy of the settings. Raises SystemExit if they are not there, or not fit to be used."""
        files = [file for file in (settings.signing_key_file, settings.next_signing_key_file) if file]
        if not files or settings.checkpoint_folder is None:
            raise SystemExit("the worker signs the log: set H111_SIGNING_KEY_FILE and H111_CHECKPOINT_FOLDER")
        origin = settings.origin(log.name)
        keys = [SigningKey.of_seed(origin, _seed(file)) for file in files]
        policy = policy_at(settings.ledger_policy_file) if settings.ledger_policy_file else None
        return cls(log, origin, keys, settings.checkpoint_folder, settings.kafka, acknowledged, policy)

    async def run(self, up: Callable[[], None]) -> None:
        """Until cancelled. Raises NotOurPastError or LedgerError where it must not go on, a transient error to be started again."""
        async with topic_at(self.kafka) as topic:
            await self.begin(topic)
            if self.policy:
                await adopt(self.log, self.origin, self.policy)
            up()
            while True:
                await self._grown()
                began = time.monotonic()
                await self._sign(topic)
                await asyncio.sleep(CADENCE - (time.monotonic() - began))

    async def _grown(self) -> None:
        while self.acknowledged.position <= self._tree.size:  # noqa: ASYNC110 - a number that the relay counts up, loops decoupled
            await asyncio.sleep(LOOK_EVERY)

    # -- the past --------------------------------------------------------------------------------------------------------------

    async def begin(self, topic: Topic) -> None:
        """See that all that was signed is still so; then everybody has the newest checkpoint."""
        last = await self.check(topic)
        if last is None:
            log_.info("nothing of this log was ever signed: it is new", log=self.log.name)
            return
        await self._tell_of_keys(last, self._ours[last])
        await self._keep(topic, last, self._ours[last])

    async def check(self, topic: Topic) -> bytes | None:
        """The newest checkpoint, after every one that is known was found to be a prefix of the rows; None for a new log: nobody has
        any, and the broker answers so. Raises NotOurPastError."""
        known = await self._known(topic)
        if not known:
            return None
        last = max(known, key=lambda note: known[note].size)
        if self._tree.size < known[last].size or not known.keys() <= self._ours.keys():
            self._tree = await self._hashed({checkpoint.size: checkpoint for checkpoint in known.values()})
        self._ours = dict(known)
        return last

    async def _known(self, topic: Topic) -> Mapping[bytes, Checkpoint]:
        """The newest note of each place, opened. Raises LedgerError for one that is not of this log and these keys."""
        file = await asyncio.to_thread(checkpoints.read_file, self._file)
        table = await checkpoints.newest_in_table(self.log)
        told = await topic.newest(self.log.name)
        if table:
            _signed_at[self.log.name] = time.monotonic() - table[1]
        found = {"the file": file, "the table": table and table[0], "the topic": told}
        return {note: self._opened(place, note) for place, note in found.items() if note}

    def _opened(self, place: str, note: bytes) -> Checkpoint:
        try:
            checkpoint = Checkpoint.read(opened(note, [key.key for key in self.keys]))
        except LedgerError as problem:
            raise NotOurPastError(f"the newest checkpoint of {self.log.name} in {place} is not ours: {problem.reason}") from None
        if checkpoint.origin != self.origin:
            raise NotOurPastError(f"the newest checkpoint in {place} is of the log {checkpoint.origin}, not of {self.origin}")
        return checkpoint

    async def _hashed(self, expected: Mapping[int, Checkpoint]) -> Frontier:
        """The tree up to the largest of these checkpoints. Raises NotOurPastError where the rows do not lead to their roots."""
        tree, largest, said = Frontier(), max(expected), time.monotonic()
        while tree.size < largest:
            rows = await self.log.after(tree.size, BATCH, largest)
            if not rows:
                raise NotOurPastError(
                    f"a checkpoint covers {largest} entries of {self.log.name} but the log has {tree.size}:"
                    f" restored from an old backup? hotline recover {self.log.name}"
                )
            for row in rows:
                self._add(tree, row)
                if tree.size in expected and tree.root() != expected[tree.size].root:
                    raise NotOurPastError(
                        f"the first {tree.size} rows of {self.log.name} are not those that were signed: rewritten or forked."
                        " Nothing more is signed; keep database, file and topic as they are"
                    )
            if time.monotonic() - said > SAY_EVERY:
                said = time.monotonic()
                log_.info("hashing the log anew", log=self.log.name, position=tree.size, of=largest)
        return tree

    def _add(self, tree: Frontier, row: Row) -> None:
        if row.position != tree.size + 1:
            raise NotOurPastError(f"the log of {self.log.name} has a hole after {tree.size}: tampering or loss")
        tree.add(leaf(entry(self.origin, row.position, row.recorded_at, row.stream, row.version, row.type, row.state)))

    async def _tell_of_keys(self, note: bytes, checkpoint: Checkpoint) -> None:
        """Which keys begin to sign with the next checkpoint, and which have signed their last."""
        before = {line.id.hex() for line in taken_apart(note)[1] if line.name == self.origin}
        now = {key.key.id.hex(): key for key in self.keys}
        for id_ in sorted(now.keys() - before):
            cause = f"key:{id_}@{checkpoint.size}"
            await say(self.log, self.origin, "KeyIntroduced", {"verifier": now[id_].verifier}, cause)
        for id_ in sorted(before - now.keys()):
            content = {"key": f"{self.origin}+{id_}", "size": checkpoint.size}
            await say(self.log, self.origin, "KeyRetired", content, f"key:{id_}@{checkpoint.size}")

    # -- what is new -----------------------------------------------------------------------------------------------------------

    async def _sign(self, topic: Topic) -> None:
        tree, until = self._tree.copy(), self.acknowledged.position
        while tree.size < until:
            rows = await self.log.after(tree.size, BATCH, until)
            if not rows:
                raise NotOurPastError(
                    f"the topic tells {self.log.name} to {until}, but the log ends at {tree.size}: tampering or loss"
                )
            for row in rows:
                self._add(tree, row)
        checkpoint = Checkpoint(self.origin, tree.size, tree.root())
        note = signed(checkpoint.text(), self.keys)
        self._tree = tree
        self._ours[note] = checkpoint
        await self._keep(topic, note, checkpoint)
        self._ours = {note: checkpoint}
        _signed_at[self.log.name] = time.monotonic()
        signed_.set(checkpoint.size, {"log": self.log.name})
        log_.debug("signed", log=self.log.name, size=checkpoint.size, root=encode(checkpoint.root))

    async def _keep(self, topic: Topic, note: bytes, checkpoint: Checkpoint) -> None:
        """In this order: what is lost with the database, or was told to somebody, is in the file."""
        await asyncio.to_thread(checkpoints.write_file, self._file, note)
        reach("signer.after-file")
        await checkpoints.add_to_table(self.log, checkpoint.size, note)
        reach("signer.after-table")
        await topic.tell(self.log.name, note)

    @property
    def _file(self) -> Path:
        return checkpoints.file_of(self.folder, self.log.name)


def policy_at(path: Path) -> Policy:
    """Of that file, or of a folder of them, one an epoch. Raises SystemExit that says what is missing or wrong."""
    try:
        policy = Policy.at(path)
    except (OSError, LedgerError) as problem:
        raise SystemExit(f"H111_LEDGER_POLICY_FILE: {problem}") from None
    if not policy.epoch:
        raise SystemExit(f"H111_LEDGER_POLICY_FILE: {path.name} does not say its epoch: # epoch 1 from 2026-12-01")
    return policy


def _seed(file: Path) -> bytes:
    """Of a key that can say anything in the name of the log. Raises SystemExit if anybody could read it.

    The group may read: a secret that Kubernetes mounts for a process that is not root belongs to root and the process's own group.
    """
    if file.stat().st_mode & 0o037:
        raise SystemExit(f"{file} can be read by anybody, who could sign in the name of the log: chmod 600 {file}")
    return key_from(file)

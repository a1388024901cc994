"""Verification without the system: needs the evidence, the reader's own policy, and nothing that we run.

The steps stand in `docs/recipe-verifier.md`, from which anybody can write another verifier.
"""

import time
from concurrent.futures import BrokenExecutor
from datetime import datetime
from hashlib import sha256
from itertools import chain
from pathlib import Path

from chassis.ledger import proof
from chassis.ledger.errors import LedgerError
from chassis.ledger.policy import LARGEST as LARGEST_POLICY
from chassis.ledger.policy import NOBODY, Policy
from chassis.ledger.proof import Proof
from tools.ledger.files import files_of
from tools.ledger.findings import Finding, Held, Line, Report, Step
from tools.ledger.hands import Hands
from tools.ledger.verify_bundle import AHEAD, Asked, BundleCheck, Progress, too_old
from tools.ledger.verify_states import LARGEST as LARGEST_STATE

RECEIPT = proof.FORMAT.encode()
SIGNED = "\n\n— ".encode()


class WrongCallError(Exception):
    """What was asked cannot be answered: a file of the reader's own is missing or cannot be understood."""


def policy_of(*paths: Path) -> Policy:
    """Files, and folders of files, one an epoch. Raises WrongCallError: without a trust root there is nothing to verify against."""
    try:
        files = (sorted(path.glob("[!.]*")) if path.is_dir() else [path] for path in paths)
        return Policy.of_epochs([_own(file, LARGEST_POLICY) for file in chain.from_iterable(files)])
    except OSError as problem:
        raise WrongCallError(f"the policy cannot be read ({type(problem).__name__})") from None
    except LedgerError as problem:
        raise WrongCallError(f"the policy: {problem.reason}") from None


def held_of(path: Path, policy: Policy) -> Held:
    """A checkpoint or a receipt that the reader kept. Raises WrongCallError if there is none, LedgerError if it is not genuine."""
    try:
        raw = _own(path)
    except OSError as problem:
        raise WrongCallError(f"a held head cannot be read ({type(problem).__name__})") from None
    if raw.startswith(RECEIPT):
        return Held(Proof.read(raw).checked(policy).checkpoint, "the held receipt")
    return Held(policy.opened(raw).checkpoint, "the held checkpoint")


def verify(path: Path, asked: Asked, state: Path | None = None, progress: Progress = lambda *_: None) -> Report:
    """Judge whatever lies at `path`: a bundle, the export of one log, a receipt or a checkpoint.

    state: the bytes that a receipt's entry stands for. Raises WrongCallError if there is nothing at `path`, or if what lies there
    cannot answer what was asked.
    """
    if not (path.is_dir() or path.is_file()):
        raise WrongCallError("there is no file and no folder of this name")
    try:
        if path.is_dir() or not _is_text(path):
            if state:
                raise WrongCallError("state bytes are given with a receipt; a bundle or export has its own")
            with Hands() as hands:
                return BundleCheck(files_of(path, asked.most), asked, hands, progress).run()
        raw = _small(path)
        is_receipt = raw.startswith(RECEIPT)
        if not is_receipt and SIGNED not in raw:
            raise LedgerError("malformed", "neither a tar, nor a receipt, nor a checkpoint")
        _refuse_what_no_head_answers(asked, state, is_receipt=is_receipt)
        return _receipt(raw, asked, state) if is_receipt else _checkpoint(raw, asked)
    except LedgerError as problem:
        return Report([Line("", Finding.of(Step.CONTAINER, problem))])
    except OSError as problem:
        raise WrongCallError(f"it cannot be read ({type(problem).__name__})") from None
    except BrokenExecutor:
        raise WrongCallError(
            "a process that helped was ended from outside, perhaps for want of memory: --most takes less"
        ) from None


def plain_hashing(count: int) -> float:
    """Seconds that SHA-256 alone takes for as many bytes, in one process."""
    piece = bytes(1 << 20)
    began = time.perf_counter()
    hash_ = sha256()
    for _ in range(count >> 20):
        hash_.update(piece)
    hash_.update(piece[: count & ((1 << 20) - 1)])
    hash_.digest()
    return time.perf_counter() - began


def _receipt(raw: bytes, asked: Asked, state: Path | None) -> Report:
    shown = Proof.read(raw)
    try:
        entry, head = shown.checked(asked.policy)
    except LedgerError as problem:
        return Report([Line(_claimed(shown.note, asked), Finding.of(Step.NOTE, problem))])
    opened, at = asked.policy.opened(shown.note), datetime.fromisoformat(entry.recorded_at)
    findings = [_against_held(Held(head, ""), asked, receipt=True), too_old(opened, None, asked)]
    if at > asked.now + AHEAD:
        findings.append(Finding(Step.AGE, entry.position, "stale", "the entry is stamped in the future"))
    if state and sha256(_own(state)).hexdigest() != entry.state:
        reason = "the state that was given is not the one that the entry names"
        findings.append(Finding(Step.STATES, entry.position, "state", reason))
    remark = f"entry {entry.position}: {entry.type}, version {entry.version}, recorded at {entry.recorded_at}"
    return Report([Line(head.origin, min(filter(None, findings), default=None), head)], [remark], len(raw))


def _checkpoint(raw: bytes, asked: Asked) -> Report:
    try:
        opened = asked.policy.opened(raw)
    except LedgerError as problem:
        return Report([Line(_claimed(raw, asked), Finding.of(Step.NOTE, problem))])
    finding = _against_held(Held(opened.checkpoint, ""), asked, receipt=False) or too_old(opened, None, asked)
    return Report([Line(opened.checkpoint.origin, finding, opened.checkpoint)], read=len(raw))


def _claimed(raw: bytes, asked: Asked) -> str:
    """The log that a note says it is of, if the policy knows it."""
    origin = raw.partition(b"\n")[0].decode("latin-1")
    return origin if origin in asked.policy.origins else ""


def _against_held(ours: Held, asked: Asked, *, receipt: bool) -> Finding | None:
    """Two heads of one size have one root. Of different sizes, only the entries, or a proof, can tell."""
    head = ours.checkpoint
    for held, source in asked.held:
        if held.origin == head.origin and held.size == head.size and held.root != head.root:
            return Finding(Step.HELD, 0, "fork", f"{source} of size {held.size} is of another history")
        if held.origin == head.origin and held.size > head.size and not receipt:  # a receipt is as old as it is
            return Finding(Step.HELD, head.size + 1, "rollback", f"{source} is of size {held.size}: this one is older")
    return None


def _is_text(path: Path) -> bool:
    """A receipt or a note begins with text; a tar begins with a header, which has zero bytes."""
    with path.open("rb") as file:
        begin = file.read(512)
    return b"\0" not in begin and not begin.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"))


def _refuse_what_no_head_answers(asked: Asked, state: Path | None, *, is_receipt: bool) -> None:
    """Raises WrongCallError: what was asked and not looked at would be taken for answered."""
    if asked.case:
        raise WrongCallError("a case is shown by a bundle or an export; a receipt or a checkpoint shows none")
    if state and not is_receipt:
        raise WrongCallError("state bytes are given with a receipt; a checkpoint stands for none")
    if asked.max_age is not None and asked.policy.quorum == NOBODY:
        raise WrongCallError("without witnesses, the age of a receipt or a checkpoint cannot be told")


def _own(path: Path, limit: int = LARGEST_STATE) -> bytes:
    """A file of the reader's own. Raises WrongCallError for none that is read to an end, or one larger than it can be; OSError."""
    if path.exists() and not path.is_file():
        raise WrongCallError("a file that was named is no regular file")
    with path.open("rb") as file:
        raw = file.read(limit + 1)
    if len(raw) > limit:
        raise WrongCallError(f"a file that was named is larger than {limit} bytes")
    return raw


def _small(path: Path) -> bytes:
    """Raises LedgerError `malformed` for a file that is larger than a receipt or a state."""
    with path.open("rb") as file:
        raw = file.read(LARGEST_STATE + 1)
    if len(raw) > LARGEST_STATE:
        raise LedgerError("malformed", "a file is larger than any note, receipt or state")
    return raw

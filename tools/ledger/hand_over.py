"""A bundle of the running stack: asked for on record, collected, written, and handed over on record.

The request stands in the log before anything of a case is read, and the hand-over before anything lies where the auditor looks for
it. Whoever dies in between has asked and got nothing: the request can be gone on with, and what was recorded as handed over is then
handed over as it was recorded, or not at all.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import file_digest
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2

from chassis.failpoints import reach
from chassis.sealing import Place
from services.projections.bundles import APPROVALS
from tools.ledger.bundle import write_bundle
from tools.ledger.collect import Sizes, log_to_show, policy_of, sizes_signed, states_of, streams_there
from tools.ledger.export import NOTHING_EARLIER, Archive
from tools.ledger.hidden import Hidden, cleared, hidden_beside
from tools.ledger.opened import boxes_in, keys_of, recipient_of, write_encrypted
from tools.ledger.writing import CannotWriteError, write_tar
from tools.recovery.parked import sentence
from tools.recovery.running import CannotAsk, Running

BUNDLES = "/projections/v1/bundles"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Wanted:
    """What an auditor asks for. logs: those of which every state is shown. instant: positions not to go beyond, by log. opened:
    with sealed parts in clear."""

    auditor: str
    reason: str
    case: UUID | None = None
    logs: tuple[str, ...] = ()
    instant: Sizes | None = None
    opened: bool = False

    @property
    def body(self) -> dict[str, object]:
        """Of the request."""
        return {
            "case_id": str(self.case) if self.case else None,
            "logs": list(self.logs) or None,
            "instant": text(self.instant) if self.instant else None,
            "opened": self.opened,
            "reason": self.reason,
        }

    @classmethod
    def of(cls, auditor: str, state: Mapping[str, Any]) -> "Wanted":
        """As a request stands on record."""
        case, instant = state["case_id"], state["instant"]
        shown = (UUID(case) if case else None, tuple(state["logs"]), sizes_in(instant) if instant else None)
        return cls(auditor, state["reason"], *shown, opened=state["opened"])


@dataclass(frozen=True)
class HandedOver:
    """digest: SHA-256 of the tar, also where a folder was written; of the encrypted file where sealed parts are shown. instant,
    states: of what was written now, empty where it lay."""

    digest: str
    instant: str = ""
    states: int = 0


@dataclass(frozen=True)
class Desk:
    """Where bundles are made: for whom, how, and who is told how far it is. archives: by log, the earlier checkpoints
    to show. to: the auditor's public key, `age1…` or a file of it, to which a bundle with sealed parts in clear is encrypted."""

    stack: Running
    auditor: str
    tar: bool
    progress: Progress
    archives: Mapping[str, Archive] = field(default_factory=dict)
    to: str = ""

    def refuse_taken(self, out: Path) -> None:
        """Raises CannotAsk if something lies at `out`."""
        if out.exists() and (self.tar or self.to or not out.is_dir() or any(out.iterdir())):
            raise CannotAsk(f"{out} is there already")

    def ask(self, wanted: Wanted) -> str:
        """Put the request on record; the id under which it stands. Raises CannotAsk if it is refused."""
        with _writing():
            self._fits(opened=wanted.opened)
        request = _done(self.stack.ask("POST", BUNDLES, wanted.body, self.auditor)).json()["id"]
        reach("bundle.requested")
        return str(request)

    def hand_over(self, request: str, out: Path) -> HandedOver:
        """Do what a request on record still lacks, so that its bundle lies at `out`.

        Raises CannotAsk if it is refused or cannot be written, and what asking a part that is down raises.
        """
        self.refuse_taken(out)
        state = _done(self.stack.ask("GET", f"{BUNDLES}/{request}", who=self.auditor)).json()["state"]
        with _writing():
            self._may_open(request, state)
            with hidden_beside(out, request) as hidden:
                if state["exported"]:
                    return _as_recorded(hidden, state["exported"], out)
                return self._written(hidden, request, Wanted.of(self.auditor, state), out)

    def _written(self, hidden: Hidden, request: str, wanted: Wanted, out: Path) -> HandedOver:
        sizes = sizes_signed(self.stack, wanted.instant or {})
        family = _family(self.stack, wanted, sizes) if wanted.case else set[UUID]()
        there = streams_there(self.stack, sizes, family)
        if wanted.opened:
            digest, states = self._encrypt(wanted, sizes, there, cleared(hidden.part))
        else:
            digest, states = self._write(wanted, sizes, there, cleared(hidden.part), tar=self.tar)
        handed = HandedOver(digest, text(sizes), states)
        hidden.part.chmod(0o700 if hidden.part.is_dir() else 0o600)  # entries name nobody, but they are somebody's activity
        reach("bundle.written")
        hidden.kept = True  # while it is not known whether the hand-over stands on record
        body = {"digest": digest, "instant": handed.instant}
        try:
            answer = self.stack.ask("POST", f"{BUNDLES}/{request}/export", body, self.auditor)
        except CannotAsk as why:
            raise CannotAsk(f"{why}. Whether the hand-over stands on record is not known: go on with --request {request}") from None
        hidden.kept = not answer.is_client_error
        _done(answer)
        reach("bundle.exported")
        hidden.move_to(out)
        return handed

    def _may_open(self, request: str, state: Mapping[str, Any]) -> None:
        """Raises CannotAsk before anything is opened to which others have not agreed, or that would lie somewhere in clear."""
        if state["opened"] and (given := len(state["approvers"])) < APPROVALS:
            raise CannotAsk(
                f"approvals-missing: {given} of {APPROVALS} people have agreed to request {request}"
                f" (POST {BUNDLES}/{request}/approvals); then go on with --request {request}"
            )
        self._fits(opened=state["opened"])

    def _fits(self, *, opened: bool) -> None:
        """Raises CannotAsk, or CannotWriteError, for sealed parts without a key of the auditor, and for a key without them."""
        if self.to and not opened:
            raise CannotAsk("only a bundle with sealed parts in clear is encrypted: without --to, please")
        if opened and not self.to:
            raise CannotAsk("sealed parts in clear are encrypted to the auditor: --to with a public key of age, or a file of it")
        if opened:
            recipient_of(self.to)

    def _encrypt(self, wanted: Wanted, sizes: Sizes, there: Mapping[str, Collection[UUID]], out: Path) -> tuple[str, int]:
        """The bundle as anybody may see it lies beside `out` for a moment; what is in clear lies nowhere."""
        to, sealed = recipient_of(self.to), cleared(out.with_name("sealed"))
        _, states = self._write(wanted, sizes, there, sealed, tar=False)
        boxes: dict[str, Place] = {}
        persons: set[UUID] = set()
        for log, size in sizes.items():
            with self.stack.connect(log) as db:
                found, whose = boxes_in(db, size, None if log in wanted.logs else there[log])
            boxes |= found
            persons |= whose
        digest = write_encrypted(sealed, boxes, keys_of(self.stack, persons), to, out)
        cleared(sealed)
        return digest, states

    def _write(
        self, wanted: Wanted, sizes: Sizes, there: Mapping[str, Collection[UUID]], out: Path, *, tar: bool
    ) -> tuple[str, int]:
        counted: list[int] = [0]
        with ExitStack() as connections:
            open_ = {log: connections.enter_context(self.stack.connect(log)) for log in sizes}

            def said(log: str) -> Callable[[int, int], None]:
                return lambda done, total: self.progress(log, done, total)

            def states() -> Iterator[bytes]:
                shown = {log: None if log in wanted.logs else there[log] for log in sizes}
                every = (states_of(open_[log], sizes[log], shown[log], said(f"states of {log}")) for log in sizes)
                for state in chain.from_iterable(every):
                    counted[0] += 1
                    yield state

            digest = write_bundle(
                {
                    log: log_to_show(open_[log], size, said(log), self.archives.get(log, NOTHING_EARLIER))
                    for log, size in sizes.items()
                },
                instant=sizes,
                streams={log: ["*"] if log in wanted.logs else map(str, there[log]) for log in sizes},
                states=states(),
                policy=policy_of(self.stack),
                out=out,
                tar=tar,
            )
        return digest, counted[0]


def _as_recorded(hidden: Hidden, digest: str, out: Path) -> HandedOver:
    """The bundle of which the hand-over stands on record, if it still lies where it was written."""
    if not hidden.part.exists():
        raise CannotAsk("this request was handed over, and its bundle does not wait here: ask for a new one")
    hidden.kept = True
    if _sum_of(hidden.part) != digest:
        raise CannotAsk(f"what lies in {hidden.part} is not the bundle that was recorded: ask for a new one")
    hidden.move_to(out)
    return HandedOver(digest)


def _sum_of(part: Path) -> str:
    if part.is_dir():
        return write_tar(part)
    with part.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def text(sizes: Sizes) -> str:
    """As instants are quoted: `intake:812,cases:18421`."""
    return ",".join(f"{log}:{size}" for log, size in sizes.items())


def sizes_in(instant: str) -> Sizes:
    """The same, read. Raises ValueError for anything else."""
    return {log: int(size) for log, size in (part.split(":") for part in instant.split(","))}


def _family(stack: Running, wanted: Wanted, sizes: Sizes) -> set[UUID]:
    """The streams of the case at that instant. It is a read like any other, so it is among the reads of the case."""
    path = f"/projections/v1/cases/{wanted.case}/timeline?as_of={text(sizes)}"
    answer = stack.ask("GET", path, who=wanted.auditor, hotline_purpose="audit")
    if answer.status_code == 404:
        raise CannotAsk("no case of this id is known in what is signed so far; the request stands on record")
    timeline = _done(answer).json()
    if timeline["incomplete"]:
        raise CannotAsk("something of this case is parked, so what belongs to it is not known: hotline parked list")
    return {UUID(entry["stream"]) for entry in timeline["entries"]}


@contextmanager
def _writing() -> Iterator[None]:
    """What cannot be written is said in a sentence."""
    try:
        yield
    except CannotWriteError as why:
        raise CannotAsk(str(why)) from None
    except OSError as why:
        raise CannotAsk(f"it cannot be written: {why.strerror}") from None


def _done(answer: httpx2.Response) -> httpx2.Response:
    """Raises CannotAsk with the problem's code and sentence."""
    if not answer.is_success:
        raise CannotAsk(f"refused: {sentence(answer)}")
    return answer

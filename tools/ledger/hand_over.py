"""A bundle of the running stack: asked for on record, collected, written, and handed over on record.

The request stands in the log before anything of a case is read, and the hand-over before anything lies where the auditor looks for
it. Whoever dies in between has asked and got nothing; the next attempt is a request of its own.
"""

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from uuid import UUID

import httpx2

from tools.ledger.bundle import write_bundle
from tools.ledger.collect import Sizes, log_to_show, policy_of, sizes_signed, states_of, streams_there
from tools.ledger.writing import CannotWriteError
from tools.recovery.parked import sentence
from tools.recovery.running import CannotAsk, Running

BUNDLES = "/projections/v1/bundles"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Wanted:
    """What an auditor asks for. logs: those of which every state is shown. instant: positions not to go beyond, by log."""

    auditor: str
    reason: str
    case: UUID | None = None
    logs: tuple[str, ...] = ()
    instant: Sizes | None = None

    @property
    def body(self) -> dict[str, object]:
        """Of the request."""
        return {
            "case_id": str(self.case) if self.case else None,
            "logs": list(self.logs) or None,
            "instant": text(self.instant) if self.instant else None,
            "opened": False,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class HandedOver:
    """request: the id under which it stands on record. digest: SHA-256 of the tar, also where a folder was written."""

    request: str
    digest: str
    instant: str
    states: int


def hand_over(stack: Running, wanted: Wanted, out: Path, *, tar: bool, progress: Progress) -> HandedOver:
    """Raises CannotAsk if it is refused or cannot be written, and what asking a part that is down raises."""
    if out.exists() and (tar or not out.is_dir() or any(out.iterdir())):
        raise CannotAsk(f"{out} is there already")
    request = _done(stack.ask("POST", BUNDLES, wanted.body, wanted.auditor)).json()["id"]
    sizes = sizes_signed(stack, wanted.instant or {})
    family = _family(stack, wanted, sizes) if wanted.case else set[UUID]()
    with _private_folder_beside(out, request) as folder:
        part = folder / "bundle"
        digest, states = _write(stack, wanted, sizes, streams_there(stack, sizes, family), part, tar=tar, progress=progress)
        handed = HandedOver(request, digest, text(sizes), states)
        _done(stack.ask("POST", f"{BUNDLES}/{request}/export", {"digest": digest, "instant": handed.instant}, wanted.auditor))
        part.chmod(0o600 if tar else 0o700)  # entries name nobody, but they are somebody's activity
        part.rename(out)
    return handed


def text(sizes: Sizes) -> str:
    """As instants are quoted: `intake:812,cases:18421`."""
    return ",".join(f"{log}:{size}" for log, size in sizes.items())


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


def _write(
    stack: Running, wanted: Wanted, sizes: Sizes, there: Mapping[str, Collection[UUID]], out: Path, *, tar: bool, progress: Progress
) -> tuple[str, int]:
    counted: list[int] = [0]
    with ExitStack() as connections:
        open_ = {log: connections.enter_context(stack.connect(log)) for log in sizes}

        def said(log: str) -> Callable[[int, int], None]:
            return lambda done, total: progress(log, done, total)

        def states() -> Iterator[bytes]:
            shown = {log: None if log in wanted.logs else there[log] for log in sizes}
            every = (states_of(open_[log], sizes[log], shown[log], said(f"states of {log}")) for log in sizes)
            for state in chain.from_iterable(every):
                counted[0] += 1
                yield state

        try:
            digest = write_bundle(
                {log: log_to_show(open_[log], size, said(log)) for log, size in sizes.items()},
                instant=sizes,
                streams={log: ["*"] if log in wanted.logs else map(str, there[log]) for log in sizes},
                states=states(),
                policy=policy_of(stack),
                out=out,
                tar=tar,
            )
        except CannotWriteError as why:
            raise CannotAsk(str(why)) from None
    return digest, counted[0]


@contextmanager
def _private_folder_beside(out: Path, request: str) -> Iterator[Path]:
    """On the same disk as the place where the bundle shall lie; gone afterwards, with whatever was not handed over."""
    folder = out.with_name(f".{out.name}.{request}")
    try:
        folder.mkdir(mode=0o700, parents=True)
        yield folder
    except OSError as why:
        raise CannotAsk(f"it cannot be written: {why.strerror}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _done(answer: httpx2.Response) -> httpx2.Response:
    """Raises CannotAsk with the problem's code and sentence."""
    if not answer.is_success:
        raise CannotAsk(f"refused: {sentence(answer)}")
    return answer

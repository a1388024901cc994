"""A place beside the one where something shall lie: what is not whole yet lies here, where nobody takes it for what it is not."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.ledger.writing import CannotWriteError


@dataclass
class Hidden:
    """part: where it is written, on the same disk as the place where it shall lie. kept: it stays hidden if it is not moved."""

    part: Path
    kept: bool = False

    def move_to(self, out: Path) -> None:
        """Now it is whole, and everybody may find it. Raises OSError if something lies at `out`."""
        self.part.rename(out)
        self.kept = False


@contextmanager
def hidden_beside(out: Path, name: str) -> Iterator[Hidden]:
    """A hidden folder that its owner alone may read; gone afterwards, with what was not moved, unless that shall be kept.

    Whoever is killed leaves it, and whoever asks for the same name gets it as it lies. Raises CannotWriteError while
    somebody else has it.
    """
    folder = out.with_name(f".{out.name}.{name}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it ends with the process, however that ends
        except BlockingIOError:
            raise CannotWriteError(f"somebody else is writing what shall lie at {out}") from None
        hidden = Hidden(folder / "part")
        try:
            yield hidden
        finally:
            if not hidden.kept:
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def cleared(part: Path) -> Path:
    """The place, without what somebody left there who died."""
    if part.is_dir():
        shutil.rmtree(part)
    part.unlink(missing_ok=True)
    return part

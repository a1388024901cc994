"""Writes a log as files, and folders as a tar that has the same bytes wherever it is made."""

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any, cast

from chassis.ledger.checkpoint import Checkpoint
from chassis.ledger.note import taken_apart
from chassis.ledger.tiles import ENTRIES, FULL, Tile, bundle, perfect
from chassis.ledger.tree import Frontier, leaf
from tools.ledger.layout import SUMS, sums_of


class CannotWriteError(Exception):
    """The place is taken, or what should be written is not what was signed; the message says which."""


class LogWriter:
    """Entries in, tiles and bundles out; holds one tile a level. The folder is complete once `finish` returned."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._frontier = Frontier()
        self._entries: list[bytes] = []
        self._levels: list[list[bytes]] = [[]]
        self._full: list[int] = [0]

    @property
    def size(self) -> int:
        return self._frontier.size

    def add(self, entry: bytes) -> None:
        """The next one."""
        hash_ = leaf(entry)
        self._frontier.add(hash_)
        self._entries.append(entry)
        if len(self._entries) == FULL:
            self._write_bundle()
        self._add(0, hash_)

    def archive(self, notes: Mapping[int, bytes]) -> None:
        """Earlier checkpoints, each under its size."""
        for size, note in notes.items():
            write(self.folder / "checkpoints" / str(size), note)

    def finish(self, note: bytes) -> Checkpoint:
        """Writes what is partial, and at last the checkpoint. Raises CannotWriteError if it is not of exactly these entries."""
        head = Checkpoint.read(taken_apart(note)[0])
        if (head.size, head.root) != (self._frontier.size, self._frontier.root()):
            raise CannotWriteError(f"the rows of {head.origin} do not have the root of its checkpoint")
        self.flush()
        write(self.folder / "checkpoint", note)
        return head

    def flush(self) -> None:
        """Writes what is partial; nothing can be added afterwards."""
        if self._entries:
            self._write_bundle()
        for level, hashes in enumerate(self._levels):
            if hashes:
                write(self.folder / Tile(level, self._full[level], len(hashes)).path, b"".join(hashes))

    def _write_bundle(self) -> None:
        tile = Tile(ENTRIES, (self.size - 1) // FULL, len(self._entries))
        write(self.folder / tile.path, bundle(self._entries))
        self._entries.clear()

    def _add(self, level: int, hash_: bytes) -> None:
        if level == len(self._levels):
            self._levels.append([])
            self._full.append(0)
        hashes = self._levels[level]
        hashes.append(hash_)
        if len(hashes) == FULL:
            write(self.folder / Tile(level, self._full[level]).path, b"".join(hashes))
            self._full[level] += 1
            self._add(level + 1, perfect(hashes))
            hashes.clear()


class StateWriter:
    """States by their content, each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: set[bytes] = set()

    def add(self, state: bytes) -> None:
        """A state that was written before is the same file."""
        digest = hashlib.sha256(state).digest()
        if digest not in self._written:
            self._written.add(digest)
            write(self.folder / "states" / digest.hex(), state)

    def finish(self) -> None:
        """The list of all, for `sha256sum --check SHA256SUMS` in that folder."""
        write(self.folder / SUMS, b"".join(sums_of(self._written)))


def write(path: Path, content: bytes) -> None:
    """A new file."""
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def refuse_taken(path: Path) -> None:
    """Raises CannotWriteError unless nothing lies there, or an empty folder: two exports in one folder would be neither."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise CannotWriteError(f"{path} is not an empty folder")


def new_folder(path: Path) -> Path:
    """The folder, made if it is not there. Raises CannotWriteError as `refuse_taken`."""
    refuse_taken(path)
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_tar(folder: Path, out: IO[bytes] | None = None, more: Mapping[str, Callable[[], bytes]] | None = None) -> str:
    """The folder as a plain tar, and its SHA-256; without `out`, only that. more: members that lie nowhere, by their names.

    Names in order, no times, no owners: equal folders give equal bytes.
    """
    more = more or {}
    sink = cast("Any", _Hashing(out))
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted((*_files_below(folder), *more)):
            member = tarfile.TarInfo(name)
            with BytesIO(more[name]()) if name in more else (folder / name).open("rb") as file:
                member.size, member.mode = file.seek(0, os.SEEK_END), 0o644
                file.seek(0)
                tar.addfile(member, file)
            cast("Any", tar).members.clear()  # it would remember a million of them
    return sink.sum()


def _files_below(folder: Path) -> Iterator[str]:
    for base, _, files in os.walk(folder):
        yield from (Path(base, name).relative_to(folder).as_posix() for name in files)


class _Hashing:
    """As much of a file as a tar is written to."""

    def __init__(self, out: IO[bytes] | None) -> None:
        self._out, self._hash, self._at = out, hashlib.sha256(), 0

    def write(self, piece: bytes) -> int:
        self._hash.update(piece)
        self._at += len(piece)
        return self._out.write(piece) if self._out else len(piece)

    def tell(self) -> int:
        return self._at

    def sum(self) -> str:
        return self._hash.hexdigest()


def lines(pairs: Iterable[tuple[str, object]]) -> bytes:
    """`<first> <second>` a line, sorted."""
    return "".join(sorted(f"{first} {second}\n" for first, second in pairs)).encode("ascii")

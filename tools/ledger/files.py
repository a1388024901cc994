"""The files of a folder or of a plain tar as they lie there, read without trusting either.

Nothing is unpacked, no link is followed and no name leads anywhere: a file is a place in a file that was found by looking. Memory
is bounded by the number of files, which has a limit, and by the largest piece that is asked for.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from chassis.ledger.errors import LedgerError

BLOCK = 512
DEEPEST = 12
PADDING = 10 << 20
"""Bytes behind the end of a tar: whoever writes tars fills up a record of blocks."""
USTAR = b"ustar\0" + b"00"
_NAME = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")


class Place(NamedTuple):
    """Bytes of a file: where they begin and how many there are."""

    path: str
    offset: int
    size: int

    def read(self, limit: int) -> bytes:
        """All of it. Raises LedgerError `malformed` if there is more than `limit`, or less than was found before."""
        if self.size > limit:
            raise LedgerError("malformed", f"a file is larger than the {limit} bytes that it can have")
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            raw = os.pread(descriptor, self.size, self.offset)  # of a file object, a third of the time would go into making it
        finally:
            os.close(descriptor)
        if len(raw) != self.size:
            raise LedgerError("malformed", "a file ends early")
        return raw


@dataclass
class Files:
    """names: every regular file but the states; states: those named `states/<sha256>`, by their digest.

    hollow: whether there is a folder without anything in it.
    """

    names: dict[str, Place] = field(default_factory=dict)
    states: dict[bytes, Place] = field(default_factory=dict)
    hollow: bool = False

    def read(self, name: str, limit: int) -> bytes:
        """Raises LedgerError `missing` if there is no such file, `malformed` if it is larger than `limit`."""
        if name not in self.names:
            raise LedgerError("missing", f"there is no file {name}")
        return self.names[name].read(limit)

    def below(self, folder: str) -> "Files":
        """The files of one folder, named from there; the states stay what they are."""
        inside = {name.removeprefix(folder): place for name, place in self.names.items() if name.startswith(folder)}
        return Files(inside, self.states)


def files_of(path: Path, most: int) -> Files:
    """Every file of the folder or tar at `path`; most: how many are looked at.

    Raises LedgerError `extra` for what is neither a file nor a folder (a tar has files only), `malformed` for what is no plain tar
    or is too much, OSError.
    """
    found = Files()
    for name, place in _folder(str(path), "", 0) if path.is_dir() else _tar(str(path)):
        if place is None:
            found.hollow = True
            continue
        if len(found.names) + len(found.states) >= most:
            raise LedgerError("malformed", f"more than {most} files; the option --most takes more")
        if digest := _digest(name):
            twice = digest in found.states
            found.states[digest] = place
        else:
            twice = name in found.names
            found.names[name] = place
        if twice:
            raise LedgerError("extra", "a name stands twice")
    return found


def _digest(name: str) -> bytes:
    """Of `states/<sha256 in lower case>`; empty for every other name."""
    folder, _, last = name.rpartition("/")
    if folder != "states" or not re.fullmatch(r"[0-9a-f]{64}", last):
        return b""
    return bytes.fromhex(last)


def _checked(name: str) -> str:
    """A relative name of plain ASCII without `..`. Raises LedgerError `extra`, which does not repeat it: it is a stranger's."""
    if len(name) > 255 or not _NAME.fullmatch(name) or {".", ".."} & set(name.split("/")):
        raise LedgerError("extra", "a file has a name that no file of a log has")
    return name


def _folder(root: str, prefix: str, depth: int) -> Iterator[tuple[str, Place | None]]:
    """The files; None for a folder with nothing in it."""
    is_empty = bool(prefix)
    if depth > DEEPEST:
        raise LedgerError("extra", "folders lie deeper than those of a log")
    with os.scandir(os.path.join(root, prefix)) as found:  # noqa: PTH118 - a path object for each of a million files takes its time
        for item in found:
            is_empty, name = False, _checked(prefix + item.name)
            if item.is_symlink():
                raise LedgerError("extra", "a link lies between the files")
            if item.is_dir():
                yield from _folder(root, f"{name}/", depth + 1)
            elif item.is_file():
                yield name, Place(item.path, 0, item.stat(follow_symlinks=False).st_size)
            else:
                raise LedgerError("extra", "something that is neither a file nor a folder lies between the files")
    if is_empty:
        yield prefix, None


def _tar(path: str) -> Iterator[tuple[str, Place]]:
    """The members of a plain tar, which are files. All else is refused, folders and extended headers included."""
    size = os.stat(path).st_size  # noqa: PTH116
    at = 0
    with open(path, "rb") as file:  # noqa: PTH123
        while True:
            file.seek(at)
            header = file.read(BLOCK)
            if header.startswith(_COMPRESSED) and at == 0:
                raise LedgerError("malformed", "the bundle is compressed; unpack it with the means that you trust")
            if header == bytes(BLOCK):
                break
            name, length, kind = _member(header)
            at += BLOCK + -(-length // BLOCK) * BLOCK
            if at > size:
                raise LedgerError("malformed", "the tar ends early")
            if kind != b"0":
                raise LedgerError("extra", "the tar holds something that is no file")
            yield _checked(name), Place(path, file.tell(), length)
        if at == 0 or (second := file.read(BLOCK)) not in {b"", bytes(BLOCK)}:
            raise LedgerError("malformed", "not a plain tar")
        if size - file.tell() > PADDING or (second and file.read(PADDING).strip(b"\0")):
            raise LedgerError("extra", "something lies behind the end of the tar")


def _member(header: bytes) -> tuple[str, int, bytes]:
    """Name, size and kind of a member. Raises LedgerError `malformed` for what is no header."""
    try:
        total, size = _octal(header[148:156]), _octal(header[124:136])
        names = [part.split(b"\0")[0].decode("ascii") for part in (header[345:500], header[:100])]
    except ValueError:
        raise LedgerError("malformed", "not a plain tar, or it ends early") from None
    if total != sum(header[:148]) + sum(header[156:]) + 8 * 32 or header[257:265] != USTAR:
        raise LedgerError("malformed", "a header of the tar is damaged, or not of ustar: unpack it with the means that you trust")
    return "/".join(part for part in names if part), size, header[156:157].replace(b"\0", b"0")


def _octal(digits: bytes) -> int:
    text = digits.strip(b"\0 ")
    if not re.fullmatch(rb"[0-7]{1,11}", text):
        raise ValueError("not an octal number")
    return int(text, 8)

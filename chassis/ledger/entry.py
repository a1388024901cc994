"""The entry of a row: eight lines of ASCII, of which its leaf in the tree is the hash.

A row is never rewritten and its place never changes, so the entry is a pure function of the row. It carries no personal data: the
state, in which personal fields lie sealed, appears only as its SHA-256.
"""

import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from chassis.ledger.errors import LedgerError

FORMAT = "v1"
LARGEST = 600
"""Bytes; the format of bundles could hold 65,535."""
ORIGIN = r"[!-*,.0-~-]+(?:/[!-*,.0-~-]+)*"
_ORIGIN = re.compile(ORIGIN)
_UUID = rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_STAMP = rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"
_LINES = (
    FORMAT.encode(),
    ORIGIN.encode(),
    rb"[1-9][0-9]{0,18}",
    _STAMP,
    _UUID,
    rb"[1-9][0-9]{0,18}",
    rb"[a-z]+\.[A-Za-z0-9]+",
    rb"[0-9a-f]{64}",
)
_ENTRY = re.compile(rb"".join(rb"(%s)\n" % line for line in _LINES))


class Entry(NamedTuple):
    """An entry taken apart. `recorded_at` is the text itself: its width is fixed, so it sorts as the instant does."""

    origin: str
    position: int
    recorded_at: str
    stream: str
    version: int
    type: str
    state: str
    """SHA-256 of the state bytes, in lower-case hexadecimal."""

    @classmethod
    def read(cls, raw: bytes) -> "Entry":
        """Strict: exactly the eight lines. Raises LedgerError `shape`."""
        found = _ENTRY.fullmatch(raw)
        if found is None or len(raw) > LARGEST or len(found[2]) > 128:
            raise LedgerError("shape", "an entry is not the eight lines of format v1")
        _, origin, position, stamp, stream, version, type_, state = found.groups()
        recorded_at = stamp.decode()
        try:
            datetime.fromisoformat(recorded_at)
        except ValueError:
            raise LedgerError("shape", "an entry is stamped with an instant that does not exist") from None
        return cls(origin.decode(), int(position), recorded_at, stream.decode(), int(version), type_.decode(), state.decode())


def entry(  # noqa: PLR0917 - a row has these columns
    origin: str, position: int, recorded_at: datetime, stream: UUID, version: int, type_: str, state: bytes
) -> bytes:
    """The entry of a row. position, version: from 1; recorded_at: with a time zone. Raises ValueError for what is no row."""
    lines = (FORMAT, origin, position, stamp(recorded_at), stream, version, type_, sha256(state).hexdigest())
    raw = "".join(f"{line}\n" for line in lines).encode("ascii")
    if not _ENTRY.fullmatch(raw) or len(raw) > LARGEST:
        raise ValueError("a row has an origin, a position, a version or a type that no entry can hold")
    return raw


def stamp(instant: datetime) -> str:
    """UTC, always with six digits and `Z`. Raises ValueError for a time without a zone."""
    if instant.tzinfo is None:
        raise ValueError("an instant without a time zone is no instant")
    return f"{instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def checked_origin(text: str) -> str:
    """The name of a log and of its key: `<authority>/<environment>/<log>`. Raises LedgerError `origin`."""
    if len(text) > 128 or not _ORIGIN.fullmatch(text):
        raise LedgerError("origin", "an origin is ASCII without scheme, space, plus sign or empty part, at most 128 bytes")
    return text


def log_of(origin: str) -> str:
    """`cases` of `hotline111.example/test/cases`."""
    return origin.rpartition("/")[2]

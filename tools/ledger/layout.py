"""What a bundle claims: its instant, its streams, where each log lies. Whatever is not part of that is refused."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from chassis.ledger import note, policy
from chassis.ledger.entry import log_of
from chassis.ledger.errors import LedgerError
from chassis.ledger.note import taken_apart
from chassis.ledger.policy import Policy
from tools.ledger.files import Files

INSTANT, STREAMS, POLICY, SUMS = "instant", "streams", "policy", "states/SHA256SUMS"
LARGEST = 16 * 1024 * 1024
"""Bytes of a list of streams: 300,000 of them."""
_INSTANT = re.compile(r"([a-z]{1,40}) ([1-9][0-9]{0,18})")
_STREAM = re.compile(r"([a-z]{1,40}) (\*|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")
_LOG = re.compile(r"logs/([a-z]{1,40})/.*")
_OPENED = re.compile(r"opened/([0-9a-f]{64})\.json")


@dataclass
class Claims:
    """By the name of the log: its files, its origin by the reader's policy, its size by the instant, its complete streams.

    streams: None for all of a log. single: an export of one log, which has no instant. absent: logs of the policy that are missing.
    """

    logs: dict[str, Files] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    streams: dict[str, frozenset[str] | None] = field(default_factory=dict)
    single: bool = False
    absent: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def claims_of(files: Files, trusted: Policy) -> Claims:
    """Of a bundle, or of the export of one log. Raises LedgerError."""
    if INSTANT in files.names or STREAMS in files.names or any(name.startswith("logs/") for name in files.names):
        return _of_bundle(files, trusted)
    if any(name == "checkpoint" or name.startswith(("tile/", "checkpoints/")) for name in files.names):
        return _of_export(files, trusted)
    raise LedgerError("malformed", "neither a bundle (instant) nor the export of a log (checkpoint)")


def _of_export(files: Files, trusted: Policy) -> Claims:
    raw = files.read("checkpoint", note.LARGEST)
    origin = raw.partition(b"\n")[0].decode("latin-1")
    if origin not in trusted.origins:
        taken_apart(raw)
        raise LedgerError("origin", "a checkpoint of a log that the policy does not list")
    own = Files({name: place for name, place in files.names.items() if name != SUMS}, files.states)
    name = log_of(origin)
    claims = Claims({name: own}, {name: origin}, single=True)
    claims.streams[name] = None
    return claims


def _of_bundle(files: Files, trusted: Policy) -> Claims:
    claims = Claims()
    for name, size in _lines(files, INSTANT, _INSTANT):
        if name in claims.sizes:
            raise LedgerError("malformed", "the instant names a log twice")
        claims.sizes[name] = int(size)
        claims.origins[name] = _origin(name, trusted)
        claims.logs[name] = files.below(f"logs/{name}/")
    for name, stream in _lines(files, STREAMS, _STREAM):
        if name not in claims.logs:
            raise LedgerError("malformed", "streams are listed of a log that the instant does not name")
        known = claims.streams.get(name, frozenset())
        claims.streams[name] = None if stream == "*" or known is None else known | {stream}
    claims.absent = [origin for origin in trusted.logs if log_of(origin) not in claims.logs]
    _refuse_strangers(files, claims)
    return claims


def _origin(name: str, trusted: Policy) -> str:
    found = [origin for origin in trusted.origins if log_of(origin) == name]
    if len(found) != 1:
        raise LedgerError("origin", f"the policy lists {len(found)} logs of the name {name}; it must be one")
    return found[0]


def _lines(files: Files, name: str, pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    raw = files.read(name, LARGEST)
    found: list[tuple[str, str]] = []
    if raw and not raw.endswith(b"\n"):
        raise LedgerError("malformed", f"{name} ends within a line")
    for line in raw.decode("latin-1").split("\n")[:-1]:
        if not (match := pattern.fullmatch(line)):
            raise LedgerError("malformed", f"{name} has a line that says nothing")
        found.append((match[1], match[2]))
    return found


def _refuse_strangers(files: Files, claims: Claims) -> None:
    """Files of no meaning are where somebody hides what the reader shall find later."""
    for name, place in files.names.items():
        log, opened = _LOG.fullmatch(name), _OPENED.fullmatch(name)
        if opened and bytes.fromhex(opened[1]) in files.states:
            continue
        if name not in {INSTANT, STREAMS, POLICY, SUMS} and not (log and log[1] in claims.logs):
            raise LedgerError("extra", "there is a file that no bundle has")
        if name == POLICY and place.size > policy.LARGEST:
            raise LedgerError("extra", "the copy of a policy is larger than any policy")
    if any(name.startswith("opened/") for name in files.names):
        claims.remarks.append("opened/ shows sealed parts in clear; nothing here proves that they are what the boxes hold")
    if any(streams is not None for streams in claims.streams.values()) or claims.streams.keys() != claims.logs.keys():
        claims.remarks.append("not all streams are shown: whether others belong to the case cannot be seen from this bundle")


def sums_of(digests: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of `states/SHA256SUMS`, for `sha256sum --check` in that folder."""
    return (f"{digest.hex()}  {digest.hex()}\n".encode() for digest in sorted(digests))


def sums_are_those_of(files: Files) -> bool:
    """Whether `states/SHA256SUMS` lists the states that are there and no others. Raises LedgerError `missing` if there is none."""
    if SUMS not in files.names and not files.states:
        return True
    if SUMS not in files.names:
        raise LedgerError("missing", "there is no states/SHA256SUMS")
    if files.names[SUMS].size != 131 * len(files.states):
        return False
    expected = sha256()
    for line in sums_of(files.states):
        expected.update(line)
    return sha256(files.read(SUMS, files.names[SUMS].size)).digest() == expected.digest()

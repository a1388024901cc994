"""What one run of entry bundles says: hashes, stamps, versions, digests. Runs are independent, so processes share them."""

from typing import NamedTuple

from chassis.ledger.entry import Entry
from chassis.ledger.errors import LedgerError
from chassis.ledger.tiles import FULL, WIDEST_BUNDLE, entries_of, perfect
from chassis.ledger.tree import leaf
from tools.ledger.files import Place
from tools.ledger.findings import Finding, Step

BUNDLES = 32
"""Bundles of one run: long enough to be worth a message between processes, short enough to hold."""

ADOPTED = ".PolicyAdopted"
"""How the type ends of the fact that says by which policy a log is judged from there on."""


class Bundle(NamedTuple):
    """place: of its entries; tile: of the hashes that should be theirs, if there is one; whole: whether only its root is wanted."""

    index: int
    width: int
    place: Place
    tile: Place | None
    whole: bool


class Run(NamedTuple):
    """streams: those of which the positions are wanted."""

    origin: str
    bundles: list[Bundle]
    streams: frozenset[str] = frozenset()


class Versions(NamedTuple):
    """What a run says of one stream: its versions first … last without a gap, the first of them at `position`."""

    first: int
    last: int
    position: int


class Seen(NamedTuple):
    """hashes: for each bundle its root, or its leaves; digests: 32 bytes for each entry; stamps: the first and the last.

    ended: whether every bundle could be read; wanted: positions of the streams that were asked for; adopted: positions at which the
    log says by which policy it is judged.
    """

    hashes: list[list[bytes]]
    digests: bytes
    stamps: tuple[str, str]
    streams: dict[str, Versions]
    wanted: list[int]
    adopted: list[int]
    findings: list[Finding]
    read: int
    ended: bool


def see(run: Run) -> Seen:
    """Reads the run. What is wrong with an entry is a finding; what makes entries unreadable ends the run with that finding."""
    reading = _Reading(run.origin, run.streams)
    hashes: list[list[bytes]] = []
    for bundle in run.bundles:
        try:
            leaves = reading.bundle(bundle)
        except LedgerError as problem:
            reading.findings.append(Finding.of(Step.FILES, problem))
            break
        except OSError as problem:
            reading.findings.append(Finding(Step.FILES, 0, "malformed", f"a file cannot be read ({type(problem).__name__})"))
            break
        hashes.append([perfect(leaves)] if bundle.whole else leaves)
    return Seen(
        hashes,
        b"".join(reading.digests),
        (reading.first_stamp, reading.stamp),
        reading.streams,
        reading.wanted,
        reading.adopted,
        reading.findings,
        reading.read,
        ended=len(hashes) == len(run.bundles),
    )


class _Reading:
    def __init__(self, origin: str, follow: frozenset[str]) -> None:
        self.origin, self.follow, self.first_stamp, self.stamp, self.read = origin, follow, "", "", 0
        self.wanted: list[int] = []
        self.adopted: list[int] = []
        self.digests: list[bytes] = []
        self.streams: dict[str, Versions] = {}
        self.findings: list[Finding] = []

    def bundle(self, bundle: Bundle) -> list[bytes]:
        """The leaves. Raises LedgerError `bundle` or `malformed`, OSError."""
        raw = bundle.place.read(WIDEST_BUNDLE)
        self.read += len(raw)
        first = bundle.index * FULL
        entries = entries_of(raw, bundle.width, first)
        leaves = [leaf(entry) for entry in entries]
        if bundle.tile:
            self.compare(bundle.tile, leaves, first)
        for position, entry in enumerate(entries, first + 1):
            self.entry(entry, position)
        return leaves

    def compare(self, tile: Place, leaves: list[bytes], first: int) -> None:
        told = tile.read(32 * FULL) if tile.size <= 32 * FULL else b""
        if told != b"".join(leaves):
            at = next((n for n, hash_ in enumerate(leaves) if told[32 * n : 32 * n + 32] != hash_), len(leaves) - 1)
            self.findings.append(Finding(Step.TILES, first + at + 1, "tile", "a tile holds other hashes than the entries have"))

    def entry(self, raw: bytes, position: int) -> None:
        try:
            entry = Entry.read(raw)
        except LedgerError as problem:
            self.digests.append(bytes(32))
            self.wrong(Step.ENTRIES, position, problem.code, problem.reason)
            return
        self.digests.append(bytes.fromhex(entry.state))
        if entry.origin != self.origin or entry.position != position:
            self.wrong(Step.ENTRIES, position, "shape", "an entry names another log, or another position than it stands at")
        if entry.recorded_at < self.stamp:
            self.wrong(Step.ENTRIES, position, "shape", "recorded_at runs backwards")
        self.first_stamp = self.first_stamp or entry.recorded_at
        self.stamp = entry.recorded_at
        if entry.stream in self.follow:
            self.wanted.append(position)
        if entry.type.endswith(ADOPTED):
            self.adopted.append(position)
        known = self.streams.get(entry.stream)
        if known and entry.version != known.last + 1:
            self.wrong(Step.VERSIONS, position, "versions", f"version {entry.version} of a stream follows its version {known.last}")
        self.streams[entry.stream] = (
            Versions(known.first, entry.version, known.position) if known else Versions(entry.version, entry.version, position)
        )

    def wrong(self, step: Step, position: int, code: str, reason: str) -> None:
        """Remember the first of each code; a hostile log could have a million."""
        if all(code != other.code for other in self.findings):
            self.findings.append(Finding(step, position, code, reason))

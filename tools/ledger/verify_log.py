"""One log against its checkpoint: files, root, tiles, entries, versions, and the heads that somebody holds."""

from collections.abc import Callable, Iterable, Iterator

from chassis.ledger.checkpoint import Checkpoint
from chassis.ledger.errors import LedgerError
from chassis.ledger.tiles import ENTRIES, FULL, HEIGHT, Tile, perfect, row
from chassis.ledger.tree import EMPTY_ROOT, Frontier
from tools.ledger.files import Files
from tools.ledger.findings import Finding, Held, Step
from tools.ledger.verify_entries import BUNDLES, Bundle, Run, Seen

See = Callable[[Iterable[Run]], Iterable[Seen]]
"""Runs → what they say, in order; in this process or in several."""
NOTES = "checkpoints/"
CHECKPOINT = "checkpoint"


class LogCheck:
    """Reads the log once, bundle after bundle. `findings`: what is wrong; the rest: what the checks across logs need of it.

    adopted: where the log says last by which policy it is judged, 0 where it does not.
    """

    def __init__(self, files: Files, checkpoint: Checkpoint, held: list[Held], streams: frozenset[str] = frozenset()) -> None:
        """streams: those of which `wanted` shall hold the positions."""
        self.files, self.checkpoint, self.held, self.streams = files, checkpoint, held, streams
        self.findings: list[Finding] = []
        self.digests = bytearray()  # 32 bytes an entry: the SHA-256 of its state
        self.wanted: list[int] = []
        self.adopted = 0
        self.versions: dict[str, int] = {}
        self.newest, self.read = "", 0
        self._frontier = Frontier()
        self._roots: dict[int, bytes] = {0: EMPTY_ROOT}
        self._full: list[bytes] = []
        self._sizes = {one.checkpoint.size for one in held}

    def run(self, see: See) -> Iterator[int]:
        """All of it; yields now and then how many entries were read."""
        if self._lacks_or_has_too_much():
            return
        for seen in see(list(self._runs())):
            self._take(seen)
            yield self._frontier.size
            if not seen.ended:
                return  # what comes behind entries that cannot be read has no place
        if self._frontier.root() != self.checkpoint.root:
            self._root_differs()
        self._check_upper_tiles()
        self._check_held()

    def digest(self, position: int) -> bytes:
        """The SHA-256 of the state that the entry names."""
        return bytes(self.digests[32 * (position - 1) : 32 * position])

    # -- files -----------------------------------------------------------------------------------------------------------------

    def _lacks_or_has_too_much(self) -> bool:
        """Stops at the first bundle that is missing: a checkpoint may claim any size."""
        known = {CHECKPOINT} | {name for name in self.files.names if name.startswith(NOTES)}
        for tile in row(ENTRIES, self.checkpoint.size):
            if tile.path not in self.files.names:
                first = tile.entries.start + 1
                self.findings.append(Finding(Step.FILES, first, "missing", "the bundle with this entry is not there"))
                return True
            known.add(tile.path)
        level = 0
        while self.checkpoint.size >> HEIGHT * level:
            known.update(tile.path for tile in row(level, self.checkpoint.size))
            level += 1
        if any(name not in known for name in self.files.names):
            self.findings.append(Finding(Step.FILES, 0, "extra", "there is a file that no log of this size has"))
            return True
        return False

    def _runs(self) -> Iterator[Run]:
        inside = {size // FULL for size in self._sizes if size % FULL}
        bundles: list[Bundle] = []
        for tile in row(ENTRIES, self.checkpoint.size):
            hashes = self.files.names.get(Tile(0, tile.index, tile.width).path)
            whole = tile.width == FULL and tile.index not in inside
            bundles.append(Bundle(tile.index, tile.width, self.files.names[tile.path], hashes, whole))
            if len(bundles) == BUNDLES:
                yield Run(self.checkpoint.origin, bundles, self.streams)
                bundles = []
        if bundles:
            yield Run(self.checkpoint.origin, bundles, self.streams)

    # -- entries ---------------------------------------------------------------------------------------------------------------

    def _take(self, seen: Seen) -> None:
        first = self._frontier.size + 1
        self.findings += seen.findings
        for hashes in seen.hashes:
            whole = len(hashes) == 1 and self._frontier.size + FULL <= self.checkpoint.size
            if not whole and len(hashes) == FULL:
                self._full.append(perfect(hashes))
            elif whole:
                self._full += hashes
            for hash_ in hashes:
                self._frontier.add(hash_, HEIGHT if whole else 0)
                if self._frontier.size in self._sizes:
                    self._roots[self._frontier.size] = self._frontier.root()
        for stream, told in seen.streams.items():
            if told.first != (last := self.versions.get(stream, 0)) + 1:
                reason = (
                    f"version {told.first} of a stream follows its version {last}" if last else "a stream does not begin with 1"
                )
                self.findings.append(Finding(Step.VERSIONS, told.position, "versions", reason))
            self.versions[stream] = told.last
        if seen.stamps[0] and seen.stamps[0] < self.newest:
            self.findings.append(Finding(Step.ENTRIES, first, "shape", "recorded_at runs backwards"))
        self.newest = seen.stamps[1] or self.newest
        self.digests += seen.digests
        self.wanted += seen.wanted
        self.adopted = max(seen.adopted, default=self.adopted)
        self.read += seen.read

    # -- the tree --------------------------------------------------------------------------------------------------------------

    def _root_differs(self) -> None:
        """Tiles that were left as they were tell where it begins."""
        at = min((finding.position for finding in self.findings if finding.step == Step.TILES), default=0)
        where = "; by the tiles, the first that was altered is here" if at else ""
        self.findings.append(Finding(Step.ROOT, at, "root", f"the entries do not have the root of the checkpoint{where}"))

    def _check_upper_tiles(self) -> None:
        level, hashes = 1, self._full
        while hashes:
            for tile in row(level, self.checkpoint.size):
                expected = hashes[tile.entries.start : tile.entries.stop]
                place = self.files.names.get(tile.path)
                if place and (at := self._differs(tile, expected)) is not None:
                    position = (tile.entries.start + at << HEIGHT * level) + 1
                    reason = f"tile {tile.index} of level {level} holds other hashes than the entries have"
                    self.findings.append(Finding(Step.TILES, position, "tile", reason))
                self.read += place.size if place else 0
            hashes = [perfect(hashes[at : at + FULL]) for at in range(0, len(hashes) - FULL + 1, FULL)]
            level += 1

    def _differs(self, tile: Tile, expected: list[bytes]) -> int | None:
        """The first hash that is another, the last where there is more behind it; None where all is as expected."""
        try:
            told = self.files.read(tile.path, 32 * FULL)
        except LedgerError:
            return 0
        if told == b"".join(expected):
            return None
        return next((n for n, hash_ in enumerate(expected) if told[32 * n : 32 * n + 32] != hash_), len(expected) - 1)

    def _check_held(self) -> None:
        for checkpoint, source in self.held:
            if checkpoint.size > self.checkpoint.size:
                reason = f"{source} is of size {checkpoint.size}: entries behind {self.checkpoint.size} were taken away"
                self.findings.append(Finding(Step.HELD, self.checkpoint.size + 1, "rollback", reason))
            elif self._roots[checkpoint.size] != checkpoint.root:
                reason = f"{source} of size {checkpoint.size} is of another history"
                self.findings.append(Finding(Step.HELD, 0, "fork", reason))

"""A bundle as it lies on the table of somebody who wants to forge it, and what he can do with it.

A careful forger numbers positions and versions anew, lets no stamp run back, keeps the count that the checkpoint names and writes
tiles, sums and lists to fit: nothing is left for a reader to stumble over but the signature, and what others hold.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from uuid import UUID, uuid5

from chassis.ledger.note import SigningKey
from chassis.log import Row
from contracts.kernel import NS
from tools.ledger.layout import INSTANT, POLICY, STREAMS, SUMS, sums_of
from tools.ledger.sample import History, any_fact, entry_of, row_of, signed_head
from tools.ledger.writing import LogWriter, lines, write


@dataclass
class Forgery:
    """history: as it was; rows: as they shall be shown; contents: state files whose content is not what their name says."""

    history: History
    rows: dict[str, list[Row]] = field(default_factory=dict)
    notes: dict[str, bytes] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    withheld: set[UUID] = field(default_factory=set)
    policy: bytes = b""

    @classmethod
    def of(cls, history: History) -> "Forgery":
        rows = {log: list(rows) for log, rows in history.rows.items()}
        return cls(history, rows, {log: history.note(log) for log in rows}, policy=history.policy)

    # -- what any forger can do --------------------------------------------------------------------------------------------------

    def refit(self, log: str) -> None:
        """Numbers and stamps in order, and as many rows as there were: cut, or filled up with invented ones."""
        wanted = len(self.history.rows[log])
        rows = self.rows[log]
        del rows[wanted - 1 : -1]  # the newest stays, or its absence would be told by its age
        while len(rows) < wanted:
            rows.append(self.invented(log, len(rows)))
        versions: dict[UUID, int] = {}
        for n, row in enumerate(rows):
            versions[row.stream] = versions.get(row.stream, 0) + 1
            stamp = max(row.recorded_at, rows[n - 1].recorded_at) if n else row.recorded_at
            rows[n] = row._replace(position=n + 1, version=versions[row.stream], recorded_at=stamp)
        self.rows[log] = rows

    def invented(self, log: str, number: int) -> Row:
        """An entry that never was, as new as the newest."""
        newest = self.history.rows[log][-1].recorded_at
        return row_of(log, any_fact(log), 1, uuid5(NS, f"invented:{log}:{number}"), 1, "rest:invented", newest)

    def put_back(self, log: str, size: int) -> None:
        """The beginning of a log under its genuine old checkpoint."""
        self.rows[log] = self.rows[log][:size]
        self.notes[log] = self.history.note(log, size)

    def sign(self, log: str, key: SigningKey) -> None:
        """A checkpoint over what is shown, with whatever key he has."""
        self.notes[log] = signed_head(key, [entry_of(self.history.keys[log].key.name, row) for row in self.rows[log]])

    # -- files -------------------------------------------------------------------------------------------------------------------

    def lay(self, folder: Path) -> Path:
        """The bundle as a folder."""
        for log, rows in self.rows.items():
            writer = LogWriter(folder / "logs" / log)
            for row in rows:
                writer.add(entry_of(self.history.keys[log].key.name, row))
            writer.flush()
            write(writer.folder / "checkpoint", self.notes[log])
        shown = [row.state for rows in self.rows.values() for row in rows if row.stream not in self.withheld]
        states = {sha256(state).hexdigest(): state for state in shown} | self.contents
        for name, content in states.items():
            write(folder / "states" / name, content)
        write(folder / SUMS, b"".join(sums_of(map(bytes.fromhex, states))))
        write(folder / INSTANT, lines((log, note.split(b"\n")[1].decode()) for log, note in self.notes.items()))
        write(folder / STREAMS, lines((log, "*") for log in self.rows))
        write(folder / POLICY, self.policy)
        return folder

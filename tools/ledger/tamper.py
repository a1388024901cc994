"""`make tamper`: break a copy of a bundle in every way, and see which verifier finds what.

Both verifiers are called as a reader calls them. The table is right, and the end is 0, only if each cell is as it must be: what
must be found is found, for the reason that it must be and at the same position by each verifier, and what cannot be found by that
reader is not claimed to be.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from eventsourcing.persistence import StoredEvent
from typer.testing import CliRunner

from chassis.mapper import FactMapper
from tools import ledger_commands
from tools.ledger.attacks import ATTACKS, CARELESS, CONTROL, LOG, Attack, moved_pair
from tools.ledger.forgery import Forgery
from tools.ledger.sample import History, history, key_of

MAX_AGE = "24h"
GO = Path(".local/bin/verify-go")
COLUMNS = ("files", "files, H", "files, age", "files, Q", "key", "key, H", "key, age", "key, Q")
READERS = 4
Verifier = Callable[[list[str]], tuple[int, str]]
"""Arguments → exit code and standard output."""


class Cell(NamedTuple):
    """What one verifier said about one copy: codes, or OK; findings: with log and position; right: whether it is as it must be."""

    said: str
    findings: frozenset[tuple[str, ...]]
    right: bool


class Desk:
    """A reader: his policy, the heads that he holds, a place for copies."""

    def __init__(self, folder: Path, told: History) -> None:
        self.folder, self.told = folder, told
        self.policy = folder / "policy"
        self.policy.write_bytes(told.policy)
        self.strict_policy = folder / "policy-with-quorum"
        self.strict_policy.write_bytes(told.policy_with_quorum)
        self.held = [argument for path in self._heads() for argument in ("--held", str(path))]
        self._copies = 0

    def _heads(self) -> Iterator[Path]:
        """The newest checkpoint of each log; of one log also a receipt, which holds a head as well."""
        for log in self.told.rows:
            path = self.folder / f"{log}.checkpoint"
            path.write_bytes(self.told.note(log))
            yield path
        path = self.folder / "a.tlog-proof"
        path.write_bytes(self.told.receipt(LOG, len(self.told.rows[LOG]) // 2))
        yield path

    def copy(self, attack: Attack, *, stolen: bool) -> Path:
        """A bundle tampered with."""
        forgery = Forgery.of(self.told)
        change = attack.stolen if stolen else attack.files
        if change:
            change(forgery)
        for log, rows in forgery.rows.items():
            if stolen and rows != self.told.rows[log]:
                forgery.sign(log, self.told.keys[log])
        self._copies += 1
        return forgery.lay(self.folder / f"copy-{self._copies}")


def python(arguments: list[str]) -> tuple[int, str]:
    """`hotline verify`, in this process."""
    result = CliRunner().invoke(ledger_commands.app, ["verify", *arguments, "--quiet"])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def go(program: Path) -> Verifier:
    """The verifier in Go."""

    def call(arguments: list[str]) -> tuple[int, str]:
        *options, path = arguments
        result = subprocess.run([program, *options, "--quiet", path], capture_output=True, text=True, timeout=60, check=False)
        return result.returncode, result.stdout

    return call


def _judged(verifier: Verifier, arguments: list[str], expected: frozenset[str]) -> Cell:
    """The exit code and the lines must say the same."""
    code, said = verifier(arguments)
    words = [line.split(" ") for line in said.splitlines()]
    findings = frozenset(tuple(line[1:4]) for line in words if line[0] == "FAIL")
    codes = {code for code, *_ in findings} or {"OK"}
    agrees = code == (0 if codes == {"OK"} else 1) and all(line[0] in {"OK", "FAIL"} for line in words)
    return Cell(" ".join(sorted(codes)), findings, agrees and codes <= expected)


def judge(desk: Desk, attack: Attack, verifiers: list[Verifier]) -> list[list[Cell] | None]:
    """A cell for each column and verifier; None where that forger has nothing to do."""
    cells: list[list[Cell] | None] = []
    for stolen in (False, True):
        if not (attack.stolen if stolen else attack.files):
            cells += [None] * READERS
            continue
        path = desk.copy(attack, stolen=stolen)
        own, strict = ["--policy", str(desk.policy)], ["--policy", str(desk.strict_policy)]
        readers = [own, [*own, *desk.held], [*own, "--max-age", MAX_AGE], strict]
        for expected, reader in zip(_expected(attack, stolen=stolen), readers, strict=True):
            cells.append([_judged(verifier, [*reader, str(path)], expected) for verifier in verifiers])
    return cells


def _expected(attack: Attack, *, stolen: bool) -> list[frozenset[str]]:
    """Of a reader with nothing but his policy, with held heads, with a limit of age, with a policy that asks for witnesses."""
    if stolen:
        return [attack.key_found, attack.key_held, attack.key_found, attack.key_quorum]
    return [attack.found, attack.found_held or attack.found, attack.found_age or attack.found, attack.found]


def stays_shut(told: History) -> bool:
    """Whether the sealed part of a state that was moved refuses to open at its new place."""
    a, b = (told.rows[LOG][n] for n in moved_pair(told.rows[LOG]))
    FactMapper(key_of).to_domain_event(StoredEvent(b.stream, b.version, b.type, b.state))  # at its own, it opens
    try:
        FactMapper(key_of).to_domain_event(StoredEvent(a.stream, a.version, a.type, b.state))
    except InvalidTag:
        return True
    return False


def run(folder: Path, attacks: list[Attack], verifiers: dict[str, Verifier], out: Callable[[str], None]) -> bool:
    """Prints the table; whether all of it is as it must be."""
    told = history(until=datetime.now(UTC))
    desk, right = Desk(folder, told), True
    out(f"{'':4}{'tampered with':34}{''.join(f'{column:>12}' for column in COLUMNS)}")
    for attack in attacks:
        cells = judge(desk, attack, list(verifiers.values()))
        right &= all(_is_right(column) for column in cells if column)
        out(f"{attack.number:4}{attack.what:34}{''.join(f'{_text(column):>12}' for column in cells)}")
    shut = stays_shut(told)
    out(f"10  the sealed part of the moved state opens at its new place: {'no' if shut else 'YES'}")
    return right and shut


def _text(cells: list[Cell] | None) -> str:
    if cells is None:
        return ""
    said = [cell.said for cell in cells]
    text = said[0] if len(set(said)) == 1 else " | ".join(said)
    return text if _is_right(cells) else f"WRONG: {text}"


def _is_right(cells: list[Cell]) -> bool:
    """As it must be, and every verifier names the same log and the same position."""
    return all(cell.right and cell.findings == cells[0].findings for cell in cells)


def main() -> None:
    """Both verifiers, if the second is built."""
    program = Path(sys.argv[1]) if len(sys.argv) > 1 else GO
    verifiers = {"hotline verify": python} | ({"verify-go": go(program)} if program.exists() else {})
    print(f"verifiers: {', '.join(verifiers)}{'' if len(verifiers) > 1 else f'; {program} is not built'}")
    print("files: the forger can write files; key: he has stolen the keys of the logs")
    print("H: the reader holds heads; age: he wants nothing older than a day; Q: he trusts no log without witnesses")
    print("OK: the verifier said so\n")
    with tempfile.TemporaryDirectory() as folder:
        right = run(Path(folder), [CONTROL, *ATTACKS, *CARELESS], verifiers, lambda line: print(line, flush=True))
    print("\nevery cell is as it must be" if right else "\nNOT as it must be")
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()

"""A signed history, its bundle and its export, and the ways to spoil a file of them."""

import shutil
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from chassis.ledger.policy import Policy
from tools.ledger.bundle import LogToShow, write_bundle
from tools.ledger.layout import sums_of
from tools.ledger.sample import History, history
from tools.ledger.verify import Asked
from tools.ledger.writing import LogWriter, StateWriter

UNTIL = datetime(2026, 11, 23, 3, tzinfo=UTC)
TOLD = history(until=UNTIL, rows={"intake": 20, "cases": 290, "projections": 20})
POLICY = Policy.read(TOLD.policy)
CASES = TOLD.keys["cases"].key.name


def asked(**more):
    return Asked(POLICY, now=UNTIL + timedelta(hours=1), **more)


def bundle_at(out, told: History = TOLD, streams=None, states=None, **more):
    logs = {log: LogToShow(told.entries(log), told.note(log), {10: told.note(log, 10)}) for log in told.rows}
    shown = [row.state for rows in told.rows.values() for row in rows] if states is None else states
    instant = {log: len(rows) for log, rows in told.rows.items()}
    listed = streams or {log: ["*"] for log in told.rows}
    return write_bundle(logs, instant=instant, streams=listed, states=shown, policy=told.policy, out=out, **more)


@pytest.fixture(scope="session")
def original(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("evidence") / "bundle"
    bundle_at(path)
    return path


@pytest.fixture
def bundle(original, tmp_path) -> Path:
    return shutil.copytree(original, tmp_path / "bundle")


@pytest.fixture
def export(tmp_path) -> Path:
    writer, states = LogWriter(tmp_path / "export"), StateWriter(tmp_path / "export")
    for one, row in zip(TOLD.entries("cases"), TOLD.rows["cases"], strict=True):
        writer.add(one)
        states.add(row.state)
    states.finish()
    writer.finish(TOLD.note("cases"))
    return tmp_path / "export"


def finding(report):
    """Code, origin and position of the first log that is not clean."""
    line = next(line for line in report.lines if line.finding)
    return line.finding.code, line.origin, line.finding.position


def relist(bundle):
    """SHA256SUMS as it belongs to the states that are there."""
    names = [path.name for path in (bundle / "states").iterdir() if path.name != "SHA256SUMS"]
    (bundle / "states" / "SHA256SUMS").write_bytes(b"".join(sums_of(map(bytes.fromhex, names))))


def spoil(path, change=lambda raw: raw[:-1]):
    path.write_bytes(change(path.read_bytes()))


def turn(at):
    return lambda raw: raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


STATE_200 = f"states/{sha256(TOLD.rows['cases'][199].state).hexdigest()}"
FILES = {
    "byte of an entry": ("logs/cases/tile/entries/000", turn(40), ("root", CASES, 1)),
    "bundle cut": ("logs/cases/tile/entries/000", lambda raw: raw[:-1], ("bundle", CASES, 256)),
    "bundle too long": ("logs/cases/tile/entries/001.p/34", lambda raw: raw + b"\0\1x", ("bundle", CASES, 290)),
    "hash of a tile": ("logs/cases/tile/0/000", turn(32 * 7), ("tile", CASES, 8)),
    "hash of an upper tile": ("logs/cases/tile/1/000.p/1", turn(0), ("tile", CASES, 1)),
    "tile too long": ("logs/cases/tile/0/001.p/34", lambda raw: raw + raw, ("tile", CASES, 290)),
    "checkpoint": ("logs/cases/checkpoint", turn(len(CASES) + 12), ("signature", CASES, 0)),
    "archived checkpoint": ("logs/cases/checkpoints/10", turn(len(CASES) + 12), ("signature", CASES, 0)),
    "state": (STATE_200, turn(9), ("state", CASES, 200)),
    "sums": ("states/SHA256SUMS", turn(3), ("state", "", 0)),
    "instant": ("instant", lambda raw: raw.replace(b"cases 290", b"cases 289"), ("checkpoint", CASES, 0)),
    "instant without a log": ("instant", lambda raw: raw.replace(b"intake 20\n", b""), ("malformed", "", 0)),
    "instant twice": ("instant", lambda raw: raw + raw, ("malformed", "", 0)),
    "instant of nonsense": ("instant", lambda raw: b"\xff" + raw, ("malformed", "", 0)),
    "streams of nonsense": ("streams", lambda raw: b"cases everything\n", ("malformed", "", 0)),
}


GONE = {
    "logs/cases/tile/entries/001.p/34": ("missing", CASES, 257),
    "logs/cases/checkpoint": ("missing", CASES, 0),
    STATE_200: ("missing", CASES, 200),
    "states/SHA256SUMS": ("missing", "", 0),
    "streams": ("missing", "", 0),
    "instant": ("missing", "", 0),
}


EXTRA = [
    "README",
    "logs/cases/tile/0/002",
    "logs/cases/tile/0/001",
    "logs/cases/tile/0/001.p/33",
    "logs/cases/tile/entries/001.p/33",
    "logs/cases/tile/2/000.p/1",
    "logs/cases/notes",
    "logs/payroll/checkpoint",
    f"opened/{'0' * 64}.json",
    f"states/{'0' * 63}",
    "states/x y",
    "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o",
]

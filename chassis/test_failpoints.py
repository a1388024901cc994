"""Places to die at: obeyed once, at the nth time, and only by a process that was given a file."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from chassis import failpoints
from chassis.failpoints import PLACES

ROOT = Path(__file__).parent.parent
PROGRAM = """
import sys; from pathlib import Path; from chassis import failpoints
failpoints.use(Path(sys.argv[1]))
for n in range(5): print(n, flush=True); failpoints.reach("relay.after-send")
"""


def run(file):
    return subprocess.run([sys.executable, "-c", PROGRAM, file], check=False, capture_output=True, cwd=ROOT)


def test_a_process_dies_the_nth_time_it_reaches_the_place_and_its_successor_does_not(tmp_path):
    file = tmp_path / "cases-worker"
    file.write_text("relay.after-send 3 kill")
    died = run(file)
    assert (-9, b"0\n1\n2\n") == (died.returncode, died.stdout)
    assert file.with_suffix(".hit").exists()
    assert 0 == run(file).returncode


def test_another_place_is_passed(tmp_path):
    file = tmp_path / "cases-worker"
    file.write_text("relay.before-send 1 kill")
    assert 0 == run(file).returncode
    assert file.exists()


def test_without_a_file_nothing_is_looked_at(monkeypatch):
    monkeypatch.setattr(failpoints, "_obey", lambda *_: pytest.fail("looked"))
    failpoints.reach("relay.after-send")


def test_every_place_that_the_code_reaches_has_its_meaning_and_every_meaning_a_place():
    sources = [
        file for folder in ("chassis", "services", "tools") for file in (ROOT / folder).rglob("*.py") if "test" not in file.name
    ]
    calls = [call for file in sources for call in re.findall(r"\breach\((.*)\)", file.read_text(encoding="utf-8"))]
    reached = {name for call in calls for name in re.findall(r'"([a-z.-]+)"', call)}
    assert set(PLACES) == reached

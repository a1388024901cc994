"""`hotline bundle` and `hotline export` killed or interrupted at every telling place: nothing half looks whole, and the record is true."""

import shutil
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from deploy.local.stack import SERVICES
from tests.faults.desks import handed_over, reported
from tests.faults.kills import arm
from tests.line import eventually
from tools.ledger.writing import write_tar

pytestmark = [pytest.mark.real, pytest.mark.slow]
HOTLINE = Path(sys.executable).with_name("hotline")


@pytest.fixture(scope="module")
def case(line):
    """A case that was opened; all of it signed and folded."""
    record = reported(line)
    handed_over(line, record)
    opened = line.fact("cases.CaseOpened", record_id=record["id"])
    line.rest()
    told = line.heads()
    eventually(lambda: all(signed(line, log) >= told[log] for log in SERVICES))
    return opened.stream


@pytest.fixture
def hotline(line):
    """The command line, on this stack."""

    def run(command, *words):
        where = ["--policy", line.stack.policy_file, "--quiet"] if command == "verify" else ["--home", line.stack.home]
        return subprocess.run([HOTLINE, command, *map(str, [*words, *where])], capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def killed(line, hotline):
    """The same, killed at a place."""

    def run(place, *words):
        file = line.stack.home / "failpoints" / "hotline"
        arm(file, place, 1, "kill")
        died = hotline(*words)
        assert (-signal.SIGKILL, True) == (died.returncode, file.with_suffix(".hit").exists()), died.stdout + died.stderr
        file.with_suffix(".hit").unlink()
        return died

    return run


def signed(line, log):
    return line.rows(log, "SELECT coalesce(max(size), 0) FROM checkpoint")[0][0]


def of_request(line, kind, request):
    return line.facts(f"projections.{kind}", request)


def names(folder):
    return [path.name for path in folder.iterdir()]


def newest_request(line):
    return line.facts("projections.BundleRequested")[-1].stream


@pytest.mark.parametrize("place", ["bundle.requested", "bundle.written"])
@pytest.mark.parametrize("tar", [(), ("--tar",)], ids=["folder", "tar"])
def test_killed_before_the_hand_over_nothing_lies_there_none_is_on_record_and_the_request_goes_on(  # noqa: PLR0917 - fixtures
    line, hotline, killed, case, tmp_path, place, tar
):
    out = tmp_path / "bundle"
    killed(place, "bundle", "--case", case, *tar, out)
    request = newest_request(line)
    assert not out.exists()
    assert all(name.startswith(f".bundle.{request}") for name in names(tmp_path))
    assert [] == of_request(line, "BundleExported", request)
    finished = hotline("bundle", "--request", request, *tar, out)
    assert 0 == finished.returncode, finished.stderr
    assert [out] == list(tmp_path.iterdir())
    (handed,) = of_request(line, "BundleExported", request)
    assert handed.fact.digest == (sha256(out.read_bytes()).hexdigest() if tar else write_tar(out))
    assert 0 == hotline("verify", out, "--case", case).returncode


def test_killed_after_the_hand_over_was_recorded_it_is_handed_over_as_recorded_and_no_second_time(
    line, hotline, killed, case, tmp_path
):
    out = tmp_path / "bundle.tar"
    killed("bundle.exported", "bundle", "--case", case, "--tar", out)
    request = newest_request(line)
    assert not out.exists()
    (handed,) = of_request(line, "BundleExported", request)
    finished = hotline("bundle", "--request", request, "--tar", out)
    assert 0 == finished.returncode, finished.stderr
    assert handed.fact.digest == sha256(out.read_bytes()).hexdigest()
    assert [out] == list(tmp_path.iterdir())
    assert 1 == len(of_request(line, "BundleExported", request))
    again = hotline("bundle", "--request", request, "--tar", tmp_path / "again.tar")
    assert (2, [out]) == (again.returncode, list(tmp_path.iterdir()))
    assert "ask for a new one" in again.stderr


def test_what_was_altered_while_it_waited_hidden_is_not_handed_over(line, hotline, killed, case, tmp_path):
    out = tmp_path / "bundle.tar"
    killed("bundle.exported", "bundle", "--case", case, "--tar", out)
    request = newest_request(line)
    with (tmp_path / f".bundle.tar.{request}" / "part").open("r+b") as file:
        file.write(b"X")
    refused = hotline("bundle", "--request", request, "--tar", out)
    assert (2, False) == (refused.returncode, out.exists())
    assert "is not the bundle that was recorded" in refused.stderr
    assert 0 == hotline("bundle", "--case", case, "--tar", out).returncode  # and a new one is to be had


def test_an_export_killed_when_it_is_whole_lies_nowhere_and_the_next_one_leaves_nothing_of_it(hotline, killed, case, tmp_path):
    out = tmp_path / "cases"
    killed("export.written", "export", "--log", "cases", out)
    assert (False, [".cases.export"]) == (out.exists(), names(tmp_path))
    assert 0 == hotline("export", "--log", "cases", out).returncode
    assert [out] == list(tmp_path.iterdir())
    assert 0 == hotline("verify", out).returncode


@pytest.fixture
def obeying():
    """Whoever starts the tests in the background of a shell hands down that Ctrl-C is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_interrupted_in_the_middle_nothing_is_left(line, case, tmp_path, obeying):
    (tmp_path / "place").mkdir()
    command = [HOTLINE, "bundle", "--case", str(case), "--home", line.stack.home, tmp_path / "place" / "bundle"]
    file = line.stack.home / "failpoints" / "hotline"
    arm(file, "bundle.written", 1, "stop")  # all is written, and nobody was told
    asking = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    eventually(file.with_suffix(".hit").exists)
    file.with_suffix(".hit").unlink()
    assert [] != list((tmp_path / "place").iterdir())
    time.sleep(0.2)
    asking.send_signal(signal.SIGINT)
    asking.send_signal(signal.SIGCONT)
    asking.communicate(timeout=30)
    assert (True, []) == (asking.returncode != 0, list((tmp_path / "place").iterdir()))
    assert [] == of_request(line, "BundleExported", newest_request(line))


def test_two_at_one_request_do_not_disturb_each_other(line, hotline, killed, case, tmp_path):
    out = tmp_path / "bundle"
    killed("bundle.requested", "bundle", "--case", case, out)
    request = newest_request(line)
    file = line.stack.home / "failpoints" / "hotline"
    arm(file, "bundle.written", 1, "stop")
    first = subprocess.Popen([HOTLINE, "bundle", "--request", str(request), "--home", line.stack.home, out])
    eventually(file.with_suffix(".hit").exists)
    file.with_suffix(".hit").unlink()
    second = hotline("bundle", "--request", request, out)
    assert (2, True) == (second.returncode, "somebody else is writing" in second.stderr)
    first.send_signal(signal.SIGCONT)
    assert 0 == first.wait(60)
    assert 0 == hotline("verify", out, "--case", case).returncode
    shutil.rmtree(out)

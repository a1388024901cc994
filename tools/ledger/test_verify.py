"""The offline verifier: bundles, exports, receipts and heads that are clean or not, and the command."""

import json
import os
import shutil
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest
from typer.testing import CliRunner

from chassis.ledger.checkpoint import Checkpoint
from chassis.ledger.entry import entry
from chassis.ledger.note import SigningKey
from chassis.ledger.policy import Policy
from chassis.ledger.proof import Proof
from chassis.ledger.tree import EMPTY_ROOT
from tools import ledger_commands
from tools.ledger.bundle import LogToShow, write_bundle
from tools.ledger.conftest import CASES, POLICY, STATE_200, TOLD, UNTIL, asked, bundle_at, finding
from tools.ledger.findings import Held
from tools.ledger.hands import Hands
from tools.ledger.sample import history, signed_head
from tools.ledger.verify import Asked, WrongCallError, held_of, verify
from tools.ledger.writing import CannotWriteError


def test_a_bundle_is_clean_as_a_folder_and_as_a_tar_and_both_have_the_same_sum(tmp_path):
    folder, tar = tmp_path / "bundle", tmp_path / "bundle.tar"
    assert bundle_at(folder) == bundle_at(tar, tar=True) == sha256(tar.read_bytes()).hexdigest()
    for path in (folder, tar):
        report = verify(path, asked())
        assert [f"OK {key.key.name} {len(TOLD.rows[log])}" for log, key in sorted(TOLD.keys.items())] == [
            str(line).rpartition(" ")[0] for line in report.lines
        ]
    assert {"bundle", "bundle.tar"} == {path.name for path in tmp_path.iterdir()}


def test_the_export_of_one_log_is_clean_if_it_shows_all_states(export):
    assert verify(export, asked()).clean
    shutil.rmtree(export / "states")
    assert ("missing", CASES, 1) == finding(verify(export, asked()))


def test_work_shared_between_processes_has_the_same_result(bundle, tmp_path):
    with Hands(2) as hands:
        assert list(range(1, 21)) == list(hands.map(_next, range(20)))
    with Hands(1) as hands:
        assert list(range(1, 21)) == list(hands.map(_next, range(20)))


def _next(number):
    return number + 1


def test_a_bundle_of_one_case_shows_its_streams_whole_and_says_what_it_cannot_show(tmp_path):
    of_case = TOLD.of_case
    states = [row.state for log, rows in TOLD.rows.items() for row in rows if row.stream == of_case[log]]
    bundle_at(tmp_path / "case", streams={log: [str(stream)] for log, stream in of_case.items()}, states=states)
    report = verify(tmp_path / "case", asked(case=str(of_case["cases"])))
    assert report.clean
    assert "whether others belong to the case cannot be seen" in report.remarks[0]
    assert ("missing", CASES, 0) == finding(verify(tmp_path / "case", asked(case=str(of_case["intake"]))))


def test_one_state_of_a_listed_stream_left_out_is_missing_at_its_position(tmp_path):
    of_case = TOLD.of_case
    rows = [row for row in TOLD.rows["cases"] if row.stream == of_case["cases"]]
    others = [row.state for log in ("intake", "projections") for row in TOLD.rows[log] if row.stream == of_case[log]]
    states = [*others, *(row.state for row in rows[:1] + rows[2:])]
    bundle_at(tmp_path / "case", streams={log: [str(stream)] for log, stream in of_case.items()}, states=states)
    assert ("missing", CASES, rows[1].position) == finding(verify(tmp_path / "case", asked()))


def test_a_bundle_is_written_of_what_was_signed_or_not_at_all(tmp_path):
    told = history(until=UNTIL, rows={"cases": 20})
    told.rows["cases"][3] = told.rows["cases"][4]
    logs = {"cases": LogToShow(told.entries("cases"), TOLD.note("cases", 20))}
    with pytest.raises(CannotWriteError, match="do not have the root"):
        write_bundle(logs, instant={"cases": 20}, streams={}, states=[], policy=b"", out=tmp_path / "b.tar", tar=True)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    with pytest.raises(CannotWriteError, match="not an empty folder"):
        bundle_at(tmp_path / "taken")
    with pytest.raises(CannotWriteError, match="does not name the size"):
        write_bundle(
            {"cases": LogToShow(TOLD.entries("cases"), TOLD.note("cases"))},
            instant={"cases": 20}, streams={}, states=[], policy=b"", out=tmp_path / "c",
        )  # fmt: skip


# -- receipts and checkpoints ------------------------------------------------------------------------------------------------------


def test_a_receipt_is_verified_with_nothing_but_the_policy_and_shows_what_was_recorded(tmp_path):
    path, state = tmp_path / "a.tlog-proof", tmp_path / "state"
    path.write_bytes(TOLD.receipt("cases", 200))
    state.write_bytes(TOLD.rows["cases"][199].state)
    report = verify(path, asked(), state)
    assert report.clean
    assert report.remarks[0].startswith(f"entry 200: {TOLD.rows['cases'][199].type}, version")
    state.write_bytes(b"{}")
    assert ("state", CASES, 200) == finding(verify(path, asked(), state))


def test_a_receipt_for_an_entry_that_does_not_exist_is_refused(tmp_path):
    shown = Proof.read(TOLD.receipt("cases", 290))
    path = tmp_path / "a.tlog-proof"
    path.write_bytes(Proof(290, shown.hashes, shown.note, shown.extra).text())
    assert ("root", CASES, 291) == finding(verify(path, asked()))


def test_a_checkpoint_is_judged_against_the_heads_that_are_held(tmp_path):
    path = tmp_path / "checkpoint"
    path.write_bytes(TOLD.note("cases", 100))
    assert verify(path, asked()).clean
    newer = Held(Checkpoint(CASES, 200, bytes(32)), "the held checkpoint")
    assert ("rollback", CASES, 101) == finding(verify(path, asked(held=[newer])))
    other = Held(Checkpoint(CASES, 100, bytes(32)), "the held checkpoint")
    assert ("fork", CASES, 0) == finding(verify(path, asked(held=[other])))


def test_heads_held_in_the_middle_of_a_tile_at_its_end_and_of_nothing_are_compared(export):
    for size in (0, 1, 255, 256, 257, 290):
        root = EMPTY_ROOT if size == 0 else POLICY.opened(TOLD.note("cases", size)).checkpoint.root
        head = Held(Checkpoint(CASES, size, root), "the held checkpoint")
        assert verify(export, asked(held=[head])).clean
        assert ("fork", CASES, 0) == finding(
            verify(export, asked(held=[head._replace(checkpoint=Checkpoint(CASES, size, bytes(32)))]))
        )


def test_a_held_receipt_is_a_held_head(tmp_path, export):
    path = tmp_path / "a.tlog-proof"
    path.write_bytes(TOLD.receipt("cases", 3))
    assert 290 == held_of(path, POLICY).checkpoint.size
    with pytest.raises(WrongCallError, match="cannot be read"):
        held_of(tmp_path / "none", POLICY)


# -- the command ------------------------------------------------------------------------------------------------------


def hotline(*arguments):
    return CliRunner().invoke(ledger_commands.app, ["verify", *map(str, arguments)])


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "my-policy"
    path.write_bytes(TOLD.policy)
    return path


def test_the_command_prints_a_line_a_log_and_ends_with_0_1_or_2(bundle, policy, tmp_path):
    clean = hotline(bundle, "--policy", policy)
    assert (0, 3) == (clean.exit_code, len(clean.stdout.splitlines()))
    (bundle / STATE_200).write_bytes(b"{}")
    found = hotline(bundle, "--policy", policy)
    assert 1 == found.exit_code
    assert f"FAIL state {CASES} 200 " in found.stdout
    as_json = hotline(bundle, "--policy", policy, "--json")
    assert {"ok": False, "code": "state", "origin": CASES, "position": 200} == {
        key: value for key, value in json.loads(as_json.stdout.splitlines()[0]).items() if key != "reason"
    }
    for wrong in (
        ["--policy", tmp_path / "none"],
        ["--policy", bundle / "instant"],
        ["--policy", policy, "--max-age", "soon"],
        ["--policy", policy, "--case", "mine"],
    ):
        assert 2 == hotline(bundle, *wrong).exit_code
    assert 2 == hotline(tmp_path / "none", "--policy", policy).exit_code


def test_the_policy_inside_a_bundle_is_not_the_readers(bundle, tmp_path):
    stranger = SigningKey.of_seed(CASES, bytes(32))
    own = tmp_path / "own"
    own.write_text(
        "".join(f"log {key}\n" for key in (stranger.verifier, *(TOLD.keys[log].verifier for log in ("intake", "projections"))))
        + "quorum none\n"
    )
    result = hotline(bundle, "--policy", own)
    assert f"FAIL signature {CASES} - " in result.stdout


def test_with_witnesses_the_age_of_a_head_is_that_of_the_newest_complete_quorum(tmp_path):
    path, quorum = tmp_path / "checkpoint", Policy.read(TOLD.policy_with_quorum)
    path.write_bytes(TOLD.note("cases"))
    assert verify(path, Asked(quorum, now=UNTIL + timedelta(hours=1), max_age=timedelta(hours=2))).clean
    assert "stale" == finding(verify(path, Asked(quorum, now=UNTIL + timedelta(hours=3), max_age=timedelta(hours=2))))[0]
    assert "stale" == finding(verify(path, Asked(quorum, now=UNTIL - timedelta(hours=1), max_age=timedelta(hours=2))))[0]
    path.write_bytes(TOLD.note("cases").rpartition("— witness".encode())[0])
    assert "signature" == finding(verify(path, Asked(quorum)))[0]


def test_an_export_needs_a_running_stack_and_says_so(tmp_path):
    result = CliRunner().invoke(ledger_commands.app, ["export", str(tmp_path / "out"), "--log", "cases", "--home", str(tmp_path)])
    assert (2, False) == (result.exit_code, (tmp_path / "out").exists())
    assert "no local stack is running" in result.stderr


def test_nobody_waits_at_a_pipe(tmp_path, policy):
    os.mkfifo(tmp_path / "pipe")
    assert 2 == hotline(tmp_path / "pipe", "--policy", policy).exit_code


def test_what_the_recipe_gives_to_try_is_what_this_code_computes():
    page = (Path(__file__).parents[2] / "docs" / "recipe-verifier.md").read_text(encoding="utf-8")
    key = SigningKey.of_seed("hotline111.example/test/cases", bytes(range(32)))
    rows = [row_for(n) for n in (1, 2, 3)]
    assert key.verifier in page
    assert rows[0].decode() in page
    assert signed_head(key, rows).decode() in page


def row_for(n):
    return entry(
        "hotline111.example/test/cases", n, UNTIL, UUID("00000000-0000-4000-8000-000000000001"), n, "cases.CaseOpened", b"{}"
    )


def test_a_head_of_a_log_that_is_not_here_is_not_silently_left_aside(export):
    other = Held(POLICY.opened(TOLD.note("intake")).checkpoint, "the held checkpoint")
    assert "compared with nothing" in verify(export, asked(held=[other])).remarks[0]


def test_a_held_head_that_is_not_genuine_is_a_finding(bundle, policy, tmp_path):
    head = tmp_path / "head"
    head.write_bytes(TOLD.note("cases", 50).replace(b"\n50\n", b"\n51\n"))
    result = hotline(bundle, "--policy", policy, "--held", head)
    assert (1, True) == (result.exit_code, "FAIL signature - - held head 1" in result.stdout)

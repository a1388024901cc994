"""Verifying over a change of keys: both verifiers take the policies of several epochs, and agree about whose word counts when."""

import subprocess
from hashlib import sha256

import pytest
from typer.testing import CliRunner

from chassis.ledger.note import SigningKey
from contracts.cases import PolicyAdopted
from tests.programs import built
from tools import ledger_commands
from tools.ledger.conftest import CASES, TOLD, UNTIL, bundle_at
from tools.ledger.sample import history, row_of, signed_head
from tools.ledger.tamper import GO, go, python

OLD, NEW = TOLD.keys["cases"], SigningKey.of_seed(CASES, b"n" * 32)
OTHERS = "".join(f"log {TOLD.keys[log].verifier}\n" for log in ("intake", "projections")) + "quorum none\n"
FILES = {
    "1": f"# epoch 1 from 2026-11-01\nlog {OLD.verifier}\n{OTHERS}",
    "2": f"# epoch 2 from 2026-12-01\nlog {OLD.verifier}\nlog {NEW.verifier}\n{OTHERS}",
    "3": f"# epoch 3 from 2027-01-01\n# after {CASES} 200\nlog {NEW.verifier}\n{OTHERS}",
}


@pytest.fixture(scope="module")
def program():
    return built(str(GO))


@pytest.fixture
def epochs(tmp_path):
    folder = tmp_path / "epochs"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def said(program):
    """What both say: exit code, and the words up to the position."""

    def say(path, *policies):
        options = [str(word) for policy in policies for word in ("--policy", policy)]
        answers = [verifier([*options, str(path)]) for verifier in (python, go(program))]
        ours, theirs = ((code, sorted(line.split(" ")[:4] for line in text.splitlines())) for code, text in answers)
        assert ours == theirs
        return ours[0], [" ".join(words[:3]) for words in ours[1] if words[0] == "FAIL"]

    return say


def head(key, size):
    return signed_head(key, TOLD.entries("cases")[:size])


def test_a_note_counts_by_the_key_of_its_epoch(tmp_path, epochs, said):
    path = tmp_path / "checkpoint"
    for key, size, code in ((OLD, 200, 0), (NEW, 200, 0), (OLD, 201, 1), (NEW, 201, 0)):
        path.write_bytes(head(key, size))
        assert code == said(path, epochs)[0], (key.verifier, size)
    assert (0, []) == said(path, epochs / "3")
    path.write_bytes(head(OLD, 200))
    assert (0, []) == said(path, epochs / "1")
    assert (1, [f"FAIL signature {CASES}"]) == said(path, epochs / "3")
    assert (0, []) == said(path, epochs / "3", epochs / "1")


def test_a_receipt_kept_from_before_the_change_still_proves(tmp_path, epochs, said):
    path = tmp_path / "a.tlog-proof"
    path.write_bytes(TOLD.receipt("cases", 3))
    assert (1, [f"FAIL signature {CASES}"]) == said(
        path, epochs
    )  # its head is of 290 entries, which the old key cannot have signed
    (epochs / "3").write_text(FILES["3"].replace(" 200\n", " 290\n"))
    assert (0, []) == said(path, epochs)


def test_a_bundle_of_after_the_change_shows_heads_of_before_it(tmp_path, epochs, said):
    bundle_at(tmp_path / "bundle")
    (tmp_path / "bundle/logs/cases/checkpoint").write_bytes(head(NEW, 290))
    assert (0, []) == said(tmp_path / "bundle", epochs)  # the archived head of 10 entries is signed by the old key
    assert (1, [f"FAIL signature {CASES}"]) == said(tmp_path / "bundle", epochs / "3")
    (tmp_path / "bundle/logs/cases/checkpoints/250").write_bytes(head(OLD, 250))
    assert (1, [f"FAIL signature {CASES}"]) == said(tmp_path / "bundle", epochs)


def test_policies_that_contradict_each_other_make_the_call_wrong(tmp_path, epochs, said):
    path = tmp_path / "checkpoint"
    path.write_bytes(head(OLD, 10))
    (epochs / "again").write_text(FILES["1"])
    assert (2, []) == said(path, epochs)
    (epochs / "again").write_text(FILES["1"].replace("# epoch 1", "# epoch one"))
    assert (2, []) == said(path, epochs)
    assert (2, []) == said(path, tmp_path / "none")


# -- the policy that a log says it is judged by ------------------------------------------------------------------------------------


def adopting(told, digest):
    """The same history, at the end of which the log says that it is judged by that policy."""
    row = told.rows["cases"][-1]
    fact = PolicyAdopted(epoch=7, sha256=digest)
    told.rows["cases"][-1] = row_of("cases", fact, row.position, row.stream, row.version, "policy:epoch", row.recorded_at)
    return told


@pytest.mark.parametrize("known", [True, False])
def test_a_log_that_says_it_is_judged_by_another_policy_is_clean_and_the_reader_is_told(tmp_path, program, known):
    told = history(until=UNTIL, rows={"cases": 20})
    (tmp_path / "policy").write_bytes(told.policy)
    digest = sha256(told.policy).hexdigest() if known else "a" * 64
    bundle_at(tmp_path / "bundle", adopting(told, digest))
    path, policy = str(tmp_path / "bundle"), str(tmp_path / "policy")
    ours = CliRunner().invoke(ledger_commands.app, ["verify", path, "--policy", policy])
    theirs = subprocess.run([program, "--policy", policy, path], capture_output=True, text=True, check=False)
    assert (0, 0) == (ours.exit_code, theirs.returncode)
    sentence = "says in entry 20 that it is judged by epoch 7"
    assert [not known] * 2 == [sentence in said for said in (ours.stderr, theirs.stderr)]

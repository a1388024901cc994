"""The offline verifier: what is clean, and everything hostile that a file can be. No file makes it fall over."""

import gzip
import io
import json
import os
import shutil
import tarfile
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from chassis.ledger.checkpoint import Checkpoint
from chassis.ledger.entry import entry
from chassis.ledger.note import SigningKey
from chassis.ledger.policy import Policy
from chassis.ledger.proof import Proof
from chassis.ledger.tree import EMPTY_ROOT
from tools import ledger_commands
from tools.ledger.bundle import LogToShow, write_bundle
from tools.ledger.findings import Held
from tools.ledger.hands import Hands
from tools.ledger.layout import sums_of
from tools.ledger.sample import History, history, signed_head
from tools.ledger.verify import Asked, WrongCallError, held_of, policy_of, verify
from tools.ledger.writing import CannotWriteError, LogWriter, StateWriter

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


# -- clean --------------------------------------------------------------------------------------------------------------------


def test_a_bundle_is_clean_as_a_folder_and_as_a_tar_and_both_have_the_same_sum(tmp_path):
    folder, tar = tmp_path / "bundle", tmp_path / "bundle.tar"
    assert bundle_at(folder) == bundle_at(tar, tar=True) == sha256(tar.read_bytes()).hexdigest()
    for path in (folder, tar):
        report = verify(path, asked())
        assert [f"OK {key.key.name} {len(TOLD.rows[log])}" for log, key in sorted(TOLD.keys.items())] == [
            str(line).rpartition(" ")[0] for line in report.lines
        ]
    assert {"bundle", "bundle.tar"} == {path.name for path in tmp_path.iterdir()}


def test_a_tar_made_by_other_hands_is_taken_if_it_is_plain(bundle, tmp_path):
    with tarfile.open(tmp_path / "other.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(bundle, ".")
    assert verify(tmp_path / "other.tar", asked()).clean


def test_the_export_of_one_log_is_clean_and_says_so_without_states_too(export):
    assert verify(export, asked()).clean
    shutil.rmtree(export / "states")
    report = verify(export, asked())
    assert report.clean
    assert "no states are shown" in report.remarks[0]


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
    assert ("missing", "", 0) == finding(verify(tmp_path / "case", asked(case=str(of_case["intake"]))))


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


# -- receipts and checkpoints -------------------------------------------------------------------------------------------------


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
    assert ("stale", CASES, 0) == finding(verify(path, asked(max_age=timedelta(days=1))))


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


# -- what is wrong is named, with its place -----------------------------------------------------------------------------------


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


@pytest.mark.parametrize("which", FILES)
def test_a_spoilt_file_is_found_with_its_log_and_its_position(bundle, which):
    name, change, expected = FILES[which]
    spoil(bundle / name, change)
    assert expected == finding(verify(bundle, asked()))


GONE = {
    "logs/cases/tile/entries/001.p/34": ("missing", CASES, 257),
    "logs/cases/checkpoint": ("missing", CASES, 0),
    STATE_200: ("missing", CASES, 200),
    "states/SHA256SUMS": ("missing", "", 0),
    "streams": ("missing", "", 0),
    "instant": ("missing", "", 0),
}


@pytest.mark.parametrize("name", GONE)
def test_a_file_that_is_not_there_is_missed(bundle, name):
    (bundle / name).unlink()
    if name == STATE_200:
        relist(bundle)
    assert GONE[name] == finding(verify(bundle, asked()))


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


@pytest.mark.parametrize("name", EXTRA)
def test_a_file_that_no_bundle_has_is_not_overlooked(bundle, name):
    path = bundle / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"what somebody shall find later")
    assert "extra" == finding(verify(bundle, asked()))[0]


def test_a_log_of_the_policy_that_the_bundle_does_not_show_is_missing(bundle):
    for name in ("instant", "streams"):
        spoil(bundle / name, lambda raw: b"".join(line for line in raw.splitlines(keepends=True) if not line.startswith(b"intake")))
    shutil.rmtree(bundle / "logs" / "intake")
    for row in TOLD.rows["intake"]:
        (bundle / "states" / sha256(row.state).hexdigest()).unlink()
    relist(bundle)
    report = verify(bundle, asked())
    assert {("missing", TOLD.keys["intake"].key.name)} <= {
        (line.finding.code, line.origin) for line in report.lines if line.finding
    }


def test_a_state_that_no_entry_names_is_not_overlooked(bundle):
    (bundle / "states" / sha256(b"x").hexdigest()).write_bytes(b"x")
    relist(bundle)
    assert ("extra", "", 0) == finding(verify(bundle, asked()))


def test_what_was_caused_by_something_later_than_the_instant_is_found(tmp_path):
    told = history(until=UNTIL, rows={"intake": 20, "cases": 20})
    row = told.rows["cases"][5]
    state = json.loads(row.state)
    state["meta"]["cause"] = "intake:21"
    told.rows["cases"][5] = row._replace(state=json.dumps(state).encode())
    (tmp_path / "policy").write_bytes(told.policy)
    bundle_at(tmp_path / "bundle", told)
    report = verify(tmp_path / "bundle", Asked(policy_of(tmp_path / "policy"), now=UNTIL))
    assert ("cause", told.keys["cases"].key.name, 6) == finding(report)


def test_a_log_that_skipped_a_version_when_it_was_written_is_found_though_all_is_signed(tmp_path):
    told = history(until=UNTIL, rows={"cases": 20})
    told.rows["cases"][7] = told.rows["cases"][7]._replace(version=9)
    (tmp_path / "policy").write_bytes(told.policy)
    bundle_at(tmp_path / "bundle", told)
    assert ("versions", told.keys["cases"].key.name, 8) == finding(
        verify(tmp_path / "bundle", Asked(policy_of(tmp_path / "policy")))
    )


def test_a_stamp_in_the_future_and_a_log_that_is_too_old_are_stale(bundle):
    assert "stale" == finding(verify(bundle, Asked(POLICY, now=UNTIL - timedelta(hours=1))))[0]
    assert verify(bundle, asked(max_age=timedelta(hours=2))).clean
    assert "stale" == finding(verify(bundle, asked(max_age=timedelta(minutes=30))))[0]


# -- hostile containers ---------------------------------------------------------------------------------------------------------


def tar_of(path, *members):
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for named, content in members:
            member = tarfile.TarInfo(named) if isinstance(named, str) else named
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def special(kind, target=""):
    member = tarfile.TarInfo("instant")
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ([("../../etc/passwd", b"x")], "extra"),
        ([("/etc/passwd", b"x")], "extra"),
        ([("logs/../instant", b"x")], "extra"),
        ([("instant", b"cases 1\n"), ("instant", b"cases 2\n")], "extra"),
        ([(special(tarfile.SYMTYPE, "/etc/passwd"), b"")], "extra"),
        ([(special(tarfile.LNKTYPE, "streams"), b"")], "extra"),
        ([(special(tarfile.FIFOTYPE), b"")], "extra"),
        ([(special(tarfile.CHRTYPE), b"")], "extra"),
        ([("tên", b"x")], "malformed"),
        ([], "malformed"),
    ],
)
def test_a_tar_can_hold_files_and_folders_and_nothing_that_leads_elsewhere(tmp_path, members, code):
    path = tar_of(tmp_path / "b.tar", *members)
    assert code == finding(verify(path, asked()))[0]


def test_a_tar_with_extended_headers_is_refused_for_they_could_claim_any_size(tmp_path):
    with tarfile.open(tmp_path / "b.tar", "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x" * 1000}) as tar:
        tar.addfile(tarfile.TarInfo("instant"))
    assert "extra" == finding(verify(tmp_path / "b.tar", asked()))[0]


def test_compressed_bundles_are_not_unpacked(bundle, tmp_path):
    path = tmp_path / "b.tar.gz"
    path.write_bytes(gzip.compress(bytes(10_000_000)))
    assert ("malformed", "", 0) == finding(verify(path, asked()))


def test_a_tar_that_ends_early_or_goes_on_behind_its_end_is_found(tmp_path):
    bundle_at(tmp_path / "b.tar", tar=True)
    whole = (tmp_path / "b.tar").read_bytes()
    for size in (511, 512, 5_000, len(whole) // 2):
        (tmp_path / "b.tar").write_bytes(whole[:size])
        assert "malformed" == finding(verify(tmp_path / "b.tar", asked()))[0]
    (tmp_path / "b.tar").write_bytes(whole + b"more")
    assert "extra" == finding(verify(tmp_path / "b.tar", asked()))[0]


def test_no_link_and_no_device_is_followed_in_a_folder(bundle):
    os.mkfifo(bundle / "logs/cases/pipe")
    assert "extra" == finding(verify(bundle, asked()))[0]
    (bundle / "logs/cases/pipe").unlink()
    (bundle / "policy").unlink()
    (bundle / "policy").symlink_to("/etc/hostname")
    assert "extra" == finding(verify(bundle, asked()))[0]


def test_more_files_or_entries_than_the_reader_takes_are_a_finding_not_a_full_memory(bundle, export):
    assert ("malformed", "", 0) == finding(verify(bundle, asked(most=100)))
    shutil.rmtree(export / "states")
    assert ("malformed", CASES, 0) == finding(verify(export, asked(most=289)))


def test_a_checkpoint_that_claims_more_entries_than_there_are_ends_at_the_first_missing_bundle(export):
    (export / "checkpoint").write_bytes(TOLD.keys["cases"].sign(Checkpoint(CASES, 2**62, bytes(32)).text()))
    assert ("missing", CASES, 257) == finding(verify(export, asked(most=2**63)))


def test_an_enormous_state_is_not_read(bundle):
    with (bundle / STATE_200).open("r+b") as file:
        file.truncate(1 << 40)  # sparse
    assert ("state", CASES, 200) == finding(verify(bundle, asked()))


@pytest.mark.parametrize(
    "deep",
    [b'{"meta":' * 100_000, b"[" * 1_000_000, b'{"meta":null}', b'{"meta":{},"meta":{}}', b"\xff", b"", "{}".encode("utf-16")],
)
def test_a_state_that_is_no_envelope_is_a_finding(tmp_path, deep):
    told = history(until=UNTIL, rows={"cases": 20})
    told.rows["cases"][5] = told.rows["cases"][5]._replace(state=deep)
    (tmp_path / "policy").write_bytes(told.policy)
    bundle_at(tmp_path / "bundle", told)
    report = verify(tmp_path / "bundle", Asked(policy_of(tmp_path / "policy"), now=UNTIL))
    assert ("cause", told.keys["cases"].key.name, 6) == finding(report)


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_altered_byte_of_a_tar_goes_unseen_and_none_makes_the_verifier_fall(tmp_path, data):
    path = tmp_path / "b.tar"
    if not path.exists():
        bundle_at(path, tar=True)
        path.with_suffix(".keep").write_bytes(path.read_bytes())
    whole = path.with_suffix(".keep").read_bytes()
    at, other = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(1, 255))
    path.write_bytes(whole[:at] + bytes([whole[at] ^ other]) + whole[at + 1 :])
    verify(path, asked())  # padding and the copy of the policy prove nothing, so that some bytes are free


@given(st.binary(max_size=2_000))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_at_all_are_a_finding(tmp_path, raw):
    path = tmp_path / "anything"
    path.write_bytes(raw)
    assert not verify(path, asked()).clean


# -- the command --------------------------------------------------------------------------------------------------------------


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

"""Everything hostile that a file can be: a finding, in bounded memory, and never an accident."""

import gzip
import io
import os
import shutil
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.ledger.checkpoint import Checkpoint
from tools.ledger.conftest import (
    CASES,
    STATE_200,
    TOLD,
    UNTIL,
    asked,
    bundle_at,
    finding,
)
from tools.ledger.sample import history
from tools.ledger.verify import Asked, policy_of, verify


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

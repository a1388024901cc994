"""A bundle of the running line: asked for on record, verified by whoever trusts nobody, and handed over on record."""

import json
import tarfile
from hashlib import sha256

import pyrage
import pytest
from typer.testing import CliRunner

from deploy.local.stack import SERVICES
from tests.faults.desks import handed_over, looked_at, reported, taken_over
from tests.line import eventually
from tools.commands import app
from tools.ledger.writing import write_tar

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def opened(line):
    """A case that was opened, handed over, taken over and read; all of it signed and folded."""
    record = reported(line)
    taken_over(line, handed_over(line, record))
    looked_at(line, record)
    case = line.fact("cases.CaseOpened", record_id=record["id"])
    assert line.get(f"/projections/v1/cases/{case.stream}", hotline_purpose="duty").is_success
    line.rest()
    told = line.heads()
    eventually(lambda: all(signed(line, log) >= told[log] for log in SERVICES))
    return case


@pytest.fixture
def hotline(line):
    """The command line, on this stack."""

    def run(command, *words):
        where = ("--home", str(line.stack.home)) if command == "bundle" else ("--policy", str(line.stack.policy_file), "--quiet")
        return CliRunner().invoke(app, [command, *map(str, words), *where])

    return run


def signed(line, log):
    return line.rows(log, "SELECT coalesce(max(size), 0) FROM checkpoint")[0][0]


def on_record(line, kind):
    return line.facts(f"projections.{kind}")


def instant_in(folder):
    return {log: int(size) for log, size in map(str.split, (folder / "instant").read_text().splitlines())}


def test_the_bundle_of_a_case_verifies_and_with_one_byte_altered_it_does_not(line, hotline, opened, tmp_path):
    out = tmp_path / "bundle"
    written = hotline("bundle", "--case", opened.stream, out)
    assert 0 == written.exit_code, written.output
    clean = hotline("verify", out, "--case", opened.stream)
    assert (0, 5) == (clean.exit_code, clean.stdout.count("OK ")), clean.output
    listed = {line_.split()[0] for line_ in (out / "streams").read_text().splitlines()}
    assert set(SERVICES) == listed
    state = min((out / "states").glob("?" * 64))
    whole = state.read_bytes()
    state.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    broken = hotline("verify", out, "--case", opened.stream)
    assert 1 == broken.exit_code
    assert "FAIL state" in broken.output


def test_request_read_and_hand_over_stand_in_the_log_in_this_order(line, hotline, opened, tmp_path):
    out = tmp_path / "bundle.tar"
    written = hotline("bundle", "--case", opened.stream, out, "--tar", "--reason", "complaint")
    assert 0 == written.exit_code, written.output
    asked = on_record(line, "BundleRequested")[-1]
    assert (str(opened.stream), "complaint", "KTV-01") == (str(asked.fact.case_id), asked.fact.reason, asked.fact.auditor)
    (read,) = [each for each in line.facts("projections.CaseRead", opened.stream) if each.position > asked.position]
    assert ("clear_part", "KTV-01") == (read.fact.view, read.meta["actor"])
    (handed,) = line.facts("projections.BundleExported", asked.stream)
    assert asked.position < read.position < handed.position
    assert sha256(out.read_bytes()).hexdigest() == handed.fact.digest
    assert read.fact.shown == handed.fact.instant
    assert 0o600 == out.stat().st_mode & 0o777
    assert [out] == list(tmp_path.iterdir())
    assert 0 == hotline("verify", out, "--case", opened.stream).exit_code


def test_whole_logs_show_every_state_and_no_cause_lies_behind_their_instant(line, hotline, opened, tmp_path):
    screened = int(opened.meta["cause"].removeprefix("intake:"))
    out = tmp_path / "logs"
    written = hotline("bundle", "--logs", "cases,intake", "--instant", f"intake:{screened - 1}", out)
    assert 0 == written.exit_code, written.output
    sizes = instant_in(out)
    assert sizes["intake"] < screened
    assert sizes["cases"] < opened.position
    assert {"cases *", "intake *"} == set((out / "streams").read_text().splitlines())
    assert 0 == hotline("verify", out).exit_code
    assert write_tar(out) == on_record(line, "BundleExported")[-1].fact.digest


def test_earlier_checkpoints_that_are_asked_for_are_in_the_bundle_and_verified_with_it(line, hotline, opened, tmp_path):
    ((size,),) = line.rows("cases", "SELECT min(size) FROM checkpoint")
    out = tmp_path / "bundle"
    written = hotline("bundle", "--case", opened.stream, "--checkpoint", f"cases:{size}", "--checkpoint", "daily", out)
    assert 0 == written.exit_code, written.output
    ((note,),) = line.rows("cases", "SELECT note FROM checkpoint WHERE size = %s", size)
    assert note == (out / f"logs/cases/checkpoints/{size}").read_text(encoding="utf-8")
    assert 0 == hotline("verify", out, "--case", opened.stream).exit_code
    (out / f"logs/cases/checkpoints/{size}").write_text(note.replace(f"\n{size}\n", f"\n{size + 1}\n"), encoding="utf-8")
    assert "FAIL signature" in hotline("verify", out).output


def test_a_checkpoint_that_never_was_is_said_to_be_none(line, hotline, opened, tmp_path):
    ((signed_size,),) = line.rows("cases", "SELECT max(size) FROM checkpoint")
    refused = hotline("bundle", "--case", opened.stream, "--checkpoint", f"cases:{signed_size + 10**6}", tmp_path / "none")
    assert (2, []) == (refused.exit_code, list(tmp_path.iterdir()))
    assert f"no checkpoint of {signed_size + 10**6} entries was signed" in refused.output
    assert 2 == hotline("bundle", "--case", opened.stream, "--checkpoint", "cases", tmp_path / "none").exit_code


def test_a_case_is_not_in_what_was_signed_before_it_was_opened(line, hotline, opened, tmp_path):
    refused = hotline("bundle", "--case", opened.stream, "--instant", f"cases:{opened.position - 1}", tmp_path / "none")
    assert (2, []) == (refused.exit_code, list(tmp_path.iterdir()))
    assert "no case of this id is known" in refused.output


def test_a_supervisor_gets_no_bundle_and_leaves_no_request(line, hotline, opened, tmp_path):
    before = len(on_record(line, "BundleRequested"))
    refused = hotline("bundle", "--case", opened.stream, "--as", "GS-01", tmp_path / "none")
    assert (2, []) == (refused.exit_code, list(tmp_path.iterdir()))
    assert "not-allowed" in refused.output
    assert before == len(on_record(line, "BundleRequested"))


@pytest.fixture(scope="module")
def auditor(tmp_path_factory):
    """His key of age, and the file of its public half."""
    key = pyrage.x25519.Identity.generate()
    file = tmp_path_factory.mktemp("auditor") / "auditor.pub"
    file.write_text(str(key.to_public()))
    return key, file


def agrees(line, request, who):
    path = f"/projections/v1/bundles/{request}"
    return line.decided(f"{path}/approvals", {}, who, of=path)


def test_sealed_parts_are_handed_over_once_two_others_have_agreed_and_to_the_auditor_alone(
    line, hotline, opened, auditor, tmp_path
):
    key, public = auditor
    out = tmp_path / "bundle.age"
    asked = hotline("bundle", "--case", opened.stream, "--opened", "--to", public, out)
    assert (2, True) == (asked.exit_code, "approvals-missing: 0 of 2 people have agreed" in asked.output)
    request = on_record(line, "BundleRequested")[-1]
    assert request.fact.opened
    go_on = ("bundle", "--request", request.stream, "--to", public, out)
    assert agrees(line, request.stream, "GS-01").is_success
    once = hotline(*go_on)
    assert (2, True) == (once.exit_code, "approvals-missing: 1 of 2" in once.output)
    assert agrees(line, request.stream, "DL-01").is_success
    in_clear = hotline("bundle", "--request", request.stream, out)
    assert (2, True) == (in_clear.exit_code, "are encrypted to the auditor" in in_clear.output)
    assert [] == list(tmp_path.iterdir()) + line.facts("projections.BundleExported", request.stream)

    done = hotline(*go_on)
    assert 0 == done.exit_code, done.output
    assert ([out], 0o600) == (list(tmp_path.iterdir()), out.stat().st_mode & 0o777)
    (handed,) = line.facts("projections.BundleExported", request.stream)
    assert sha256(out.read_bytes()).hexdigest() == handed.fact.digest
    tar = tmp_path / "bundle.tar"
    tar.write_bytes(pyrage.decrypt(out.read_bytes(), [key]))
    assert 0 == hotline("verify", tar, "--case", opened.stream).exit_code
    with tarfile.open(tar) as files:
        shown = {
            member.name: json.load(files.extractfile(member)) for member in files.getmembers() if member.name.startswith("opened/")
        }
    reports = [parts for parts in shown.values() if any("/children/0/" in pointer for part in parts.values() for pointer in part)]
    assert reports


def test_only_what_is_opened_is_encrypted_and_a_key_that_is_none_is_refused_before_anything_is_written(
    line, hotline, opened, auditor, tmp_path
):
    refused = hotline("bundle", "--case", opened.stream, "--to", auditor[1], tmp_path / "none")
    assert (2, True) == (refused.exit_code, "only a bundle with sealed parts in clear is encrypted" in refused.output)
    refused = hotline("bundle", "--case", opened.stream, "--opened", "--to", "age1nobody", tmp_path / "none")
    assert (2, True) == (refused.exit_code, "a public key of age" in refused.output)
    assert [] == list(tmp_path.iterdir())

"""What is wrong is named, with its log and its position."""

import json
import shutil
from datetime import timedelta
from hashlib import sha256

import pytest

from tools.ledger.conftest import EXTRA, FILES, GONE, POLICY, STATE_200, TOLD, UNTIL, asked, bundle_at, finding, relist, spoil
from tools.ledger.sample import history
from tools.ledger.verify import Asked, policy_of, verify


@pytest.mark.parametrize("which", FILES)
def test_a_spoilt_file_is_found_with_its_log_and_its_position(bundle, which):
    name, change, expected = FILES[which]
    spoil(bundle / name, change)
    assert expected == finding(verify(bundle, asked()))


@pytest.mark.parametrize("name", GONE)
def test_a_file_that_is_not_there_is_missed(bundle, name):
    (bundle / name).unlink()
    if name == STATE_200:
        relist(bundle)
    assert GONE[name] == finding(verify(bundle, asked()))


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

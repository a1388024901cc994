"""Two verifiers that share no code say the same of the same bytes: the code, the log and the position of each finding."""

import pytest

from tests.programs import built
from tools.ledger.conftest import EXTRA, FILES, GONE, TOLD, bundle_at, relist, spoil
from tools.ledger.tamper import GO, go, python


@pytest.fixture(scope="module")
def program():
    return built(str(GO))


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    path = tmp_path_factory.mktemp("both")
    (path / "policy").write_bytes(TOLD.policy)
    return path


@pytest.fixture
def agree(desk, program):
    def say(path):
        said = [verifier(["--policy", str(desk / "policy"), str(path)]) for verifier in (python, go(program))]
        ours, theirs = ((code, sorted(line.split(" ")[:4] for line in lines.splitlines())) for code, lines in said)
        assert ours == theirs
        return ours[0]

    return say


def test_of_what_is_clean(bundle, tmp_path, agree):
    bundle_at(tmp_path / "b.tar", tar=True)
    for name, content in (("receipt", TOLD.receipt("cases", 200)), ("checkpoint", TOLD.note("cases", 100))):
        (tmp_path / name).write_bytes(content)
    assert [0, 0, 0, 0] == [agree(path) for path in (bundle, tmp_path / "b.tar", tmp_path / "receipt", tmp_path / "checkpoint")]


@pytest.mark.parametrize("which", FILES)
def test_of_a_spoilt_file(bundle, agree, which):
    name, change, _ = FILES[which]
    spoil(bundle / name, change)
    assert 1 == agree(bundle)


@pytest.mark.parametrize("name", GONE)
def test_of_a_file_that_is_not_there(bundle, agree, name):
    (bundle / name).unlink()
    if name.startswith("states/") and not name.endswith("SUMS"):
        relist(bundle)
    assert 1 == agree(bundle)


@pytest.mark.parametrize("name", EXTRA)
def test_of_a_file_that_no_bundle_has(bundle, agree, name):
    (bundle / name).parent.mkdir(parents=True, exist_ok=True)
    (bundle / name).write_bytes(b"what somebody shall find later")
    assert 1 == agree(bundle)


def test_of_a_receipt_for_another_place(tmp_path, agree):
    path = tmp_path / "a.tlog-proof"
    for position, index in ((200, b"index 200"), (290, b"index 290"), (10, b"index 8")):
        path.write_bytes(TOLD.receipt("cases", position).replace(b"index %d" % (position - 1), index))
        assert 1 == agree(path)

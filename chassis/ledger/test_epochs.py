"""The policies of several epochs: a key counts for the sizes of its epoch, and what a file says of its epoch cannot be misread."""

import pytest

from chassis.ledger.checkpoint import Checkpoint
from chassis.ledger.errors import LedgerError
from chassis.ledger.note import SigningKey, signed
from chassis.ledger.policy import Policy
from chassis.ledger.test_formats import finding

ORIGIN, OTHER_ORIGIN = "hotline111.example/test/cases", "hotline111.example/test/intake"
OLD, NEW = (SigningKey.of_seed(ORIGIN, bytes([n]) * 32) for n in (1, 2))
OTHER = SigningKey.of_seed(OTHER_ORIGIN, bytes([3]) * 32)
FIRST = f"# epoch 1 from 2026-11-01\nlog {OLD.verifier}\nlog {OTHER.verifier}\nquorum none\n"
BOTH = f"#epoch 2\nlog {OLD.verifier}\nlog {NEW.verifier}\nlog {OTHER.verifier}\nquorum none\n"
LAST = f"# of an invented line\n# epoch 3 from 2027-01-01\n# after {ORIGIN} 650\nlog {NEW.verifier}\nlog {OTHER.verifier}\nquorum none\n"


def epochs(*texts):
    return Policy.of_epochs([text.encode() for text in texts])


def note(size, *keys):
    return signed(Checkpoint(keys[0].key.name, size, bytes(32)).text(), keys)


def test_the_newest_epoch_knows_the_earlier_ones_in_whatever_order_they_came():
    policy = epochs(LAST, FIRST, BOTH)
    assert [3, 2, 1] == [each.epoch for each in policy.epochs]
    assert [{}, {ORIGIN: 650}, {ORIGIN: 650}] == [each.until for each in policy.epochs]


@pytest.mark.parametrize("size", [0, 1, 649, 650])
def test_a_key_counts_in_its_epoch_after_it_was_replaced(size):
    assert size == epochs(FIRST, BOTH, LAST).opened(note(size, OLD), ORIGIN).checkpoint.size


@pytest.mark.parametrize("size", [651, 2**62])
def test_a_retired_key_signs_nothing_beyond_the_end_of_its_epoch(size):
    policy = epochs(FIRST, BOTH, LAST)
    with finding("signature"):
        policy.opened(note(size, OLD), ORIGIN)
    assert size == policy.opened(note(size, NEW), ORIGIN).checkpoint.size
    assert size == policy.opened(note(size, OLD, NEW), ORIGIN).checkpoint.size


def test_while_both_sign_one_of_them_is_enough_and_a_false_line_of_a_key_of_that_epoch_is_not_overlooked():
    policy = epochs(BOTH, LAST)
    assert 500 == policy.opened(note(500, NEW), ORIGIN).checkpoint.size
    torn = note(500, NEW) + note(499, OLD).rpartition(b"\n\n")[2]
    with finding("signature"):
        policy.opened(torn, ORIGIN)


def test_an_epoch_alone_says_nothing_of_what_was_before_it():
    with finding("signature"):
        epochs(LAST).opened(note(650, NEW), ORIGIN)
    assert 651 == epochs(LAST).opened(note(651, NEW), ORIGIN).checkpoint.size


def test_a_log_whose_key_was_not_replaced_is_bounded_by_nothing():
    policy = epochs(FIRST, BOTH, LAST)
    for size in (1, 650, 651, 10_000):
        assert size == policy.opened(note(size, OTHER), OTHER_ORIGIN).checkpoint.size
    with finding("origin"):
        policy.opened(note(5, OTHER), ORIGIN)


def test_a_log_that_is_listed_no_more_is_known_for_what_it_was():
    without = f"# epoch 4\nlog {NEW.verifier}\nquorum none\n"
    policy = epochs(LAST, without)
    assert {ORIGIN} == policy.logs.keys()
    assert {ORIGIN, OTHER_ORIGIN} == policy.origins
    assert 5 == policy.opened(note(5, OTHER)).checkpoint.size


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [FIRST, FIRST],
        [FIRST, FIRST.replace("# epoch 1 from 2026-11-01\n", "")],
        [FIRST + "# epoch 2\n"],
        [FIRST.replace("epoch 1", "epoch one")],
        [FIRST.replace("2026-11-01", "tomorrow")],
        [LAST.replace(" 650", " 0650")],
        [LAST.replace(" 650", f" {2**63}")],
        [LAST + f"# after {ORIGIN} 651\n"],
        [LAST + "# after hotline111.example/test/none 651\n"],
        [BOTH, LAST.replace(f"# after {ORIGIN} 650\n", "")],
        [LAST.replace("# epoch 3 from 2027-01-01\n", "")],
        [LAST, f"# epoch 4\n# after {ORIGIN} 649\nlog {NEW.verifier}\nquorum none\n"],
        [FIRST, f"# epoch 2\nlog {SigningKey.of_seed(OTHER_ORIGIN, bytes([1]) * 32).verifier}\nquorum none\n"],
    ],
)
def test_policies_of_which_nobody_can_tell_what_they_say_are_refused(texts):
    with finding("policy"):
        epochs(*texts)


def test_files_and_folders_of_files_are_read_and_hidden_files_are_not(tmp_path):
    (tmp_path / "epochs").mkdir()
    for name, text in (("1", FIRST), ("2", BOTH), (".2.swp", "half a file")):
        (tmp_path / "epochs" / name).write_text(text)
    (tmp_path / "newest").write_text(LAST)
    assert [3, 2, 1] == [each.epoch for each in Policy.at(tmp_path / "epochs", tmp_path / "newest").epochs]
    with pytest.raises(OSError, match="none"):
        Policy.at(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LedgerError, match="there is no policy"):
        Policy.at(tmp_path / "empty")

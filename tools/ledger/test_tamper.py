"""A short form of `make tamper`: one attack of each kind, with both means and all three readers."""

import pytest

from tools.ledger.attacks import ATTACKS, CARELESS, CONTROL
from tools.ledger.tamper import python, run

SHORT = {"1", "3", "4", "8a", "10", "12", "13", "14c"}


@pytest.mark.slow
def test_each_kind_of_tampering_is_found_by_whom_it_can_be_found_and_the_unaltered_copy_is_clean(tmp_path):
    attacks = [CONTROL, *(attack for attack in ATTACKS if attack.number in SHORT), CARELESS[0]]
    table = []
    assert run(tmp_path, attacks, {"hotline verify": python}, table.append), "\n".join(table)
    assert len(attacks) + 2 == len(table)


def test_the_matrix_has_all_fourteen_ways():
    assert {str(n) for n in range(1, 15)} == {attack.number.rstrip("abc") for attack in ATTACKS}


def test_a_verifier_that_finds_nothing_makes_the_table_wrong(tmp_path):
    table = []
    (attack,) = [attack for attack in ATTACKS if attack.number == "2"]
    assert not run(tmp_path, [attack], {"blind": lambda _: (0, "OK everything\n")}, table.append)
    assert "WRONG" in table[1]


def test_a_verifier_whose_exit_code_contradicts_its_words_makes_the_table_wrong(tmp_path):
    assert not run(tmp_path, [CONTROL], {"torn": lambda _: (1, "OK everything\n")}, lambda _: None)

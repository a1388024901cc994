"""References survive the telephone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.digest import ALPHABET
from contracts.references import LOGS, NotAReferenceError, Reference, parse, reference

LETTERS = st.sampled_from(sorted(LOGS))
POSITIONS = st.integers(1, 2**63 - 1)


def code_of(text: str) -> str | None:
    try:
        parse(text)
    except NotAReferenceError as error:
        return error.code
    return None


def test_the_case_opened_at_18421_is_spoken_c_hzn_6():
    assert (reference("C", 18421), parse("C-HZN-6").log, parse("C-HZN-6").position) == ("C-HZN-6", "cases", 18421)


def test_small_positions_keep_three_places():
    assert [reference("R", position) for position in (1, 28, 29, 32)] == ["R-001-1", "R-00W-W", "R-00X-0", "R-010-3"]


@given(LETTERS, POSITIONS)
def test_what_is_spoken_is_understood(letter, position):
    spoken = reference(letter, position)
    for heard in (spoken, spoken.lower(), spoken.replace("-", " "), spoken.replace("-", "")):
        assert Reference(letter, position) == parse(heard)


def test_the_letters_i_l_and_o_are_heard_as_digits():
    assert Reference("R", 1) == parse("R-00i-L") == parse("r OO1 1")


@given(LETTERS, st.integers(1, 10**6), st.data())
def test_one_wrong_symbol_is_noticed_unless_it_lies_29_apart(letter, position, data):
    spoken = reference(letter, position)
    at = data.draw(st.integers(2, len(spoken) - 3))
    wrong = data.draw(st.sampled_from(ALPHABET))
    apart = abs(ALPHABET.index(wrong) - ALPHABET.index(spoken[at]))
    expected = None if apart in {0, 29} else "wrong-check-symbol"
    assert code_of(spoken[:at] + wrong + spoken[at + 1 :]) in ({expected, "not-a-reference"} if apart else {None})


@pytest.mark.parametrize("text", ["", "C", "C-6", "C-ZN-6", "X-HZN-6", "C-HUN-6", "C-HZN-", "C-000-0", "C-" + "Z" * 14 + "-0"])
def test_what_is_no_reference_is_refused(text):
    assert code_of(text) == "not-a-reference"


@pytest.mark.parametrize("text", ["C-HZN-7", "C-ZHN-6", "C-HZN-X"])
def test_a_slip_of_the_tongue_is_refused(text):
    assert code_of(text) == "wrong-check-symbol"


@pytest.mark.parametrize(("letter", "position"), [("C", 0), ("C", -1), ("Q", 1)])
def test_there_is_no_reference_for_a_position_before_the_first_or_another_letter(letter, position):
    with pytest.raises(NotAReferenceError):
        reference(letter, position)

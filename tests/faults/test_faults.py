"""The quick ones of `make chaos`, on the stack of all tests: that they can be made, and that every invariant holds after them."""

from pathlib import Path
from random import Random

import pytest

from chassis.failpoints import PLACES
from tests.faults.__main__ import chosen
from tests.faults.chaos import FAULTS, NotRun, Row, run
from tests.faults.kills import ASKED_FOR, IN_TOOLS, REACHED_BY

pytestmark = [pytest.mark.real, pytest.mark.slow]
QUICK = (
    "back ends terminated while they commit",
    "every record three times",
    "mail taken, and the server dies before it says so",
)


@pytest.fixture(scope="module", autouse=True)
def registered():
    chosen()


@pytest.mark.parametrize("name", QUICK)
def test_every_invariant_holds_after_a_fault(line, name):
    row = run(FAULTS[name], line, Random(111), short=True)
    assert () == row.sentences
    assert row.held
    assert row.repetitions


def test_a_broken_promise_of_the_fault_itself_is_counted(line):
    def broken(chaos):
        chaos.expect(False, "this does not hold")  # noqa: FBT003 - it is what is said

    row = run(FAULTS[QUICK[0]].__class__("it", "nothing", "nothing", broken), line, Random(1), short=True, people=1)
    assert (("this does not hold",), 1, False) == (row.sentences, row.wrong, row.held)


def test_a_fault_that_this_machine_does_not_allow_is_not_run_and_never_held(line):
    def not_here(chaos):
        raise NotRun("no reason")

    row = run(FAULTS[QUICK[0]].__class__("it", "nothing", "nothing", not_here), line, Random(1), short=True, people=1)
    assert (row, False) == (Row("it", not_run="no reason"), row.held)
    assert "not run: no reason" in str(row)


def test_every_named_place_is_reached_by_some_process():
    assert PLACES.keys() == REACHED_BY.keys() | ASKED_FOR.keys() | IN_TOOLS.keys()
    assert set() == set(ASKED_FOR.values()) - FAULTS.keys()
    for place, tests in IN_TOOLS.items():
        assert f'"{place}"' in (Path(__file__).parents[2] / tests).read_text(encoding="utf-8")


def test_the_page_about_faults_says_of_each_what_is_done_and_what_is_expected():
    page = (Path(__file__).parents[2] / "docs" / "faults.md").read_text(encoding="utf-8")
    assert [] == [each.name for each in FAULTS.values() if f"| {each.name} | {each.done} | {each.expected} |" not in page]

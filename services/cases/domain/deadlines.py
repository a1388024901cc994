"""Clocks that pass, and clocks that two people agree are no longer owed; both on a closed case, too."""

from collections.abc import Iterator

from contracts.cases import CaseFact, ClockBreached, ClockWaived
from contracts.clocks import BreachClock, WaiveClock, asked_to_waive, breach
from services.cases.domain.state import Case, decide, not_in_the_future


@decide.register
def breach_clock(command: BreachClock, case: Case) -> Iterator[CaseFact]:
    yield from breach(ClockBreached, case.clocks, command)


@decide.register
def waive_clock(command: WaiveClock, case: Case) -> Iterator[CaseFact]:
    not_in_the_future(command)
    yield from asked_to_waive(ClockWaived, case.clocks, command)

"""Clocks of contacts and records pass their due time, or are no longer owed. None of them does more than tell."""

from collections.abc import Iterator

from contracts.clocks import BreachClock, WaiveClock, asked_to_waive, breach
from contracts.intake import ClockBreached, ClockWaived, IntakeFact
from contracts.kernel import Refused
from services.intake.domain.state import State, decide, not_in_the_future


@decide.register
def breach_clock(command: BreachClock, state: State | None) -> Iterator[IntakeFact]:
    if state is not None:
        yield from breach(ClockBreached, state.clocks, command)


@decide.register
def waive_clock(command: WaiveClock, state: State | None) -> Iterator[IntakeFact]:
    """Refuses `clock-not-running`, `own-waiver`."""
    if state is None:
        raise Refused("not-found")
    not_in_the_future(command)
    yield from asked_to_waive(ClockWaived, state.clocks, command)

"""Faults of the clock: back one hour, forward one day."""

from tests.faults.chaos import Chaos, fault

HOUR, DAY = 3600.0, 86400.0


@fault(
    "clock back one hour",
    "the clock of every service goes back one hour while they work, and is put right again",
    "stamps never run back; no clock breaches twice, none is forgotten",
)
def back(chaos: Chaos) -> None:
    with chaos.strike():
        chaos.line.forward(-HOUR)
        chaos.desks.tell(3)
        chaos.line.forward(HOUR)


@fault(
    "clock forward one day",
    "the clock of every service jumps one day ahead while they work, and stays there",
    "every clock that ran out meanwhile is told once",
)
def forward(chaos: Chaos) -> None:
    with chaos.strike():
        chaos.line.forward(DAY)
        chaos.desks.tell(3)

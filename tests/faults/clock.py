"""Faults of the clock: back one hour, forward one day."""

import time

from chassis.timing import LOOK_AGAIN
from tests.faults.chaos import Chaos, fault

HOUR, DAY = 3600.0, 86400.0


@fault(
    "clock back one hour",
    "the clock of every service goes back one hour between two calls, and is put right again",
    "stamps never run back; no clock breaches twice, none is forgotten; a report about an earlier call is refused as from the future",
)
def back(chaos: Chaos) -> None:
    with chaos.strike():
        _jump(chaos, -HOUR)
        chaos.desks.tell(3)
        _jump(chaos, HOUR)


@fault(
    "clock forward one day",
    "the clock of every service jumps one day ahead between two calls, and stays there",
    "every clock that ran out meanwhile is told once",
)
def forward(chaos: Chaos) -> None:
    with chaos.strike():
        _jump(chaos, DAY)
        chaos.desks.tell(3)


def _jump(chaos: Chaos, seconds: float) -> None:
    """Between two stories of each desk: a call of this afternoon is no call of the hour that comes again."""
    chaos.desks.pause()
    chaos.line.forward(seconds)
    time.sleep(5 * LOOK_AGAIN)  # a desk must not know before a service does: its call would come from the future
    chaos.desks.go_on()

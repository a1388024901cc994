"""Clocks of records that pass, or are waived by two people."""

from datetime import timedelta
from functools import partial

import pytest

from contracts.clocks import BreachClock, WaiveClock
from contracts.intake import ClockBreached, ClockStarted, ClockWaived, ReportReceived
from contracts.shapes import Addressee
from services.intake.domain import decide, evolve
from tests.given import NOW
from tests.given import given as any_given

given = partial(any_given, decide=decide, evolve=evolve)
HANOI = "hanoi@2025-07-01"
DESK = Addressee(role="supervisor_desk", place=HANOI)
DUE = NOW + timedelta(minutes=30)
REPORT = ReportReceived(
    contacts=[], source="school", centre=HANOI, owner="officer-7", received_at=NOW, children=[], alleged=[], emergency=False,
    procedures=[],
)  # fmt: skip
SCREENING = ClockStarted(
    clock="screening", rule="screening@2025-07-01", counted_from=NOW, due_at=DUE, responsible=DESK, tell=[DESK]
)
BREACHED = ClockBreached(clock="screening", due_at=DUE, responsible=DESK, tell=[DESK])
WAIVER = {"clock": "screening", "reason": "wrong_entry", "approved_by": "officer-9"}


def test_a_screening_that_is_due_breaches_and_tells_the_supervisors_desk():
    given(REPORT, SCREENING).when(BreachClock(clock="screening"), at=DUE).then(BREACHED)


@pytest.mark.parametrize("clock", ["screening", "case-opened", "nothing"])
def test_a_clock_that_is_not_due_or_not_running_does_not_breach(clock):
    given(REPORT, SCREENING).when(BreachClock(clock=clock), at=DUE - timedelta(seconds=1)).then_nothing()


def test_a_clock_breaches_once():
    given(REPORT, SCREENING, BREACHED).when(BreachClock(clock="screening"), at=DUE + timedelta(days=1)).then_nothing()


def test_a_running_clock_is_waived_by_two_people():
    given(REPORT, SCREENING).when(WaiveClock(**WAIVER), by="officer-7").then(ClockWaived(**WAIVER))


def test_nobody_waives_a_clock_alone():
    given(REPORT, SCREENING).when(WaiveClock(**WAIVER), by="officer-9").refused("own-waiver")


def test_a_clock_that_is_not_owed_is_not_waived():
    asked = WaiveClock(**WAIVER | {"clock": "case-opened"})
    given(REPORT, SCREENING).when(asked).refused("clock-not-running", running=["screening"])


def test_a_waiver_does_not_lie_in_the_future():
    given(REPORT, SCREENING).when(WaiveClock(**WAIVER, occurred_at=DUE)).refused("in-the-future")


def test_nothing_is_waived_or_breached_where_there_is_nothing():
    given().when(WaiveClock(**WAIVER)).refused("not-found")
    given().when(BreachClock(clock="screening")).then_nothing()

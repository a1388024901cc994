"""Clocks pass by themselves, and are waived by two people."""

from datetime import timedelta
from functools import partial

import pytest

from contracts.cases import CaseClosed, ClockBreached, ClockMet, ClockRecomputed, ClockWaived
from contracts.clocks import BreachClock, WaiveClock
from services.cases.domain import decide, evolve
from services.cases.test_samples import CHILD, DESK, LEAD, clock, opened
from tests.given import NOW
from tests.given import given as any_given

given = partial(any_given, decide=decide, evolve=evolve)
EMERGENCY = clock("emergency", NOW)
BREACHED = ClockBreached(clock="emergency", due_at=NOW, responsible=LEAD, tell=[DESK])
BREACH = BreachClock(clock="emergency")
CLOSED = CaseClosed(reason="died", decided_by="chair-1", lead="99803@2025-07-01", child_id=CHILD)


def waive(clock="emergency", approved_by="supervisor-1", **but):
    return WaiveClock(clock=clock, reason="not_applicable", approved_by=approved_by, **but)


def test_a_clock_that_is_due_breaches_and_the_breach_stays_with_the_body_then_responsible():
    given(opened(), EMERGENCY).when(BREACH).then(BREACHED)


def test_a_clock_does_not_breach_before_it_is_due():
    given(opened(), EMERGENCY).when(BREACH, at=NOW - timedelta(seconds=1)).then_nothing()


@pytest.mark.parametrize(
    "fact",
    [
        BREACHED,
        ClockMet(clock="emergency", met_at=NOW, late=False),
        ClockWaived(clock="emergency", reason="not_applicable", approved_by="supervisor-1"),
    ],
)
def test_a_second_timer_does_no_harm(fact):
    given(opened(), EMERGENCY, fact).when(BREACH).then_nothing()


def test_a_recomputed_clock_breaches_at_its_new_due_time():
    later = NOW + timedelta(hours=1)
    recomputed = ClockRecomputed(clock="emergency", was_due_at=NOW, due_at=later, because="rule", rule="emergency@2027-01-01")
    given(opened(), EMERGENCY, recomputed).when(BREACH).then_nothing()
    assert later == given(opened(), EMERGENCY, recomputed).when(BREACH, at=later).told[0].due_at


def test_a_clock_still_passes_on_a_closed_case():
    given(opened(), EMERGENCY, CLOSED).when(BREACH).then(BREACHED)


@pytest.mark.parametrize("history", [(), (BREACHED,), (CLOSED,)])
def test_a_clock_is_waived_with_a_reason_by_two_people_breached_or_not_and_after_closure_too(history):
    given(opened(), EMERGENCY, *history).when(waive()).then(
        ClockWaived(clock="emergency", reason="not_applicable", approved_by="supervisor-1")
    )


def test_one_person_alone_cannot_waive_a_clock():
    given(opened(), EMERGENCY).when(waive(approved_by="officer-7"), by="officer-7").refused("own-waiver")


def test_a_clock_that_is_not_owed_cannot_be_waived():
    given(opened(), EMERGENCY).when(waive("procedure")).refused("clock-not-running", running=["emergency"])


def test_a_waiver_is_not_dated_ahead():
    given(opened(), EMERGENCY).when(waive(occurred_at=NOW + timedelta(days=1))).refused("in-the-future")

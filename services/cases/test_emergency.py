"""Emergency measures of any competent body."""

from datetime import timedelta
from functools import partial

import pytest
from pydantic import ValidationError

from contracts.cases import CaseClosed, ClockBreached, EmergencyMeasureApplied, EmergencyMeasureEnded
from services.cases.domain import decide, evolve
from services.cases.domain.emergency import ApplyEmergencyMeasure, EndEmergencyMeasure
from services.cases.test_samples import CHILD, DESK, LEAD, POLICE, RECEIVED, breached, clock, met, opened
from tests.given import NOW
from tests.given import given as any_given

given = partial(any_given, decide=decide, evolve=evolve)
DUE = RECEIVED + timedelta(hours=12)
EMERGENCY = clock("emergency", DUE)
CLOSED = CaseClosed(reason="died", decided_by="chair-1", lead="99803@2025-07-01", child_id=CHILD)


def apply(at=RECEIVED, by=POLICE, **but):
    return ApplyEmergencyMeasure(measure="removal", by=by, applied_at=at, **but)


def applied(number=1, at=RECEIVED, by=POLICE, **but):
    return EmergencyMeasureApplied(number=number, measure="removal", by=by, applied_at=at, child_id=CHILD, **but)


def ended(number=1, at=NOW):
    return EmergencyMeasureEnded(number=number, ended_at=at, because="danger_over")


def end(number=1, at=NOW):
    return EndEmergencyMeasure(number=number, ended_at=at, because="danger_over")


def test_the_first_measure_of_any_body_meets_the_twelve_hours_at_the_time_it_happened():
    acted_at = RECEIVED + timedelta(minutes=20)
    given(opened(emergency=True), EMERGENCY).when(apply(acted_at, place="bệnh viện", note="đã đưa ra khỏi nhà")).then(
        applied(at=acted_at, place="bệnh viện", note="đã đưa ra khỏi nhà"), met("emergency", acted_at)
    )


def test_a_measure_in_time_that_is_told_late_is_met_in_time_beside_its_breach():
    breached = ClockBreached(clock="emergency", due_at=DUE, responsible=LEAD, tell=[DESK])
    given(opened(emergency=True), EMERGENCY, breached).when(apply(DUE), at=DUE + timedelta(hours=3)).then(
        applied(at=DUE), met("emergency", DUE)
    )


def test_a_measure_after_the_due_time_is_met_late_beside_its_breach_whether_the_timer_came_first_or_not():
    late = DUE + timedelta(seconds=1)
    done = met("emergency", late, late=True)
    given(opened(emergency=True), EMERGENCY).when(apply(late), at=late).then(applied(at=late), breached(EMERGENCY), done)
    given(opened(emergency=True), EMERGENCY, breached(EMERGENCY)).when(apply(late), at=late).then(applied(at=late), done)


def test_a_second_measure_is_numbered_and_meets_nothing_again():
    given(opened(emergency=True), applied()).when(apply(by=LEAD)).then(applied(2, by=LEAD))


def test_the_number_of_an_ended_measure_is_not_given_again():
    given(opened(), applied(), ended()).when(apply()).then(applied(2))


def test_a_measure_may_be_needed_without_an_emergency_and_meets_nothing():
    given(opened()).when(apply()).then(applied())


def test_a_measure_cannot_have_been_applied_in_the_future():
    given(opened()).when(apply(NOW + timedelta(seconds=1))).refused("in-the-future")


def test_a_measure_needs_the_body_that_acted():
    with pytest.raises(ValidationError):
        ApplyEmergencyMeasure(measure="removal", applied_at=NOW)


def test_a_measure_ends_by_its_number():
    given(opened(), applied(), applied(2)).when(end(2)).then(ended(2))


def test_a_measure_that_is_unknown_or_has_ended_cannot_be_ended():
    given(opened(), applied()).when(end(2)).refused("no-such-measure", active=[1])
    given(opened(), applied(), ended()).when(end(1)).refused("no-such-measure", active=[])


def test_a_measure_does_not_end_before_it_was_applied():
    given(opened(), applied()).when(end(1, RECEIVED - timedelta(seconds=1))).refused("no-such-measure")


def test_a_measure_cannot_have_ended_in_the_future():
    given(opened(), applied()).when(end(1, NOW + timedelta(seconds=1))).refused("in-the-future")


def test_a_closed_case_takes_no_measures():
    given(opened(), CLOSED).when(apply()).refused("case-closed", reason="died")
    given(opened(), applied(), CLOSED).when(end()).refused("case-closed")

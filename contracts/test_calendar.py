"""Working days are what the government decided, as far as it was known."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.calendar import (
    ZONE,
    after_calendar_days,
    after_cap_days,
    after_hours,
    after_working_days,
    calendar_of,
    end_of,
    local_day,
    vietnam,
)

ANNOUNCED = {
    2025: (
        "01-01 01-27 01-28 01-29 01-30 01-31 04-07 04-30 05-01 05-02 09-01 09-02",
        "04-26",
    ),
    2026: (
        "01-01 01-02 02-16 02-17 02-18 02-19 02-20 04-27 04-30 05-01 08-31 09-01 09-02",
        "01-10 08-22",
    ),
}
INSTANTS = st.datetimes(datetime(2024, 12, 1), datetime(2026, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


def local(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=ZONE)


def days_of(year: int) -> list[date]:
    first = date(year, 1, 1)
    return [first + timedelta(days=n) for n in range((date(year + 1, 1, 1) - first).days)]


@pytest.mark.parametrize("year", ANNOUNCED)
def test_offices_are_closed_on_exactly_the_announced_days_and_open_on_the_saturdays_worked_instead(year):
    closed = {f"{day:%m-%d}" for day in days_of(year) if day.weekday() < 5 and not vietnam().works(day)}
    worked = {f"{day:%m-%d}" for day in days_of(year) if day.weekday() >= 5 and vietnam().works(day)}
    assert (set(ANNOUNCED[year][0].split()), set(ANNOUNCED[year][1].split())) == (closed, worked)


def test_the_second_of_january_2026_was_a_working_day_until_the_25th_of_december_2025():
    before = vietnam().known_at(local(2025, 12, 24, 23, 59, 59))
    after = vietnam().known_at(local(2025, 12, 25))
    assert (before.id, before.works(date(2026, 1, 2)), before.works(date(2026, 1, 10))) == ("vn@2025-10-13", True, False)
    assert (after.id, after.works(date(2026, 1, 2)), after.works(date(2026, 1, 10))) == ("vn@2025-12-25", False, True)


def test_a_limit_over_that_new_year_moves_with_the_decision():
    start = local(2025, 12, 24, 9)
    assert [local(2026, 1, 3), local(2026, 1, 6)] == [
        after_working_days(vietnam().known_at(now), start, 6) for now in (local(2025, 12, 24, 9), local(2025, 12, 25, 9))
    ]


def test_the_24th_of_november_is_a_switch_and_off():
    assert vietnam().works(date(2026, 11, 24))
    rows = [
        {"id": "vn@2026-06-01", "decision": "an act", "decided_on": date(2026, 6, 1), "off": [date(2026, 11, 24)]},
    ]
    assert not calendar_of(rows).works(date(2026, 11, 24))


def test_the_fixed_days_of_the_labour_code_are_off_before_a_year_is_announced():
    assert [vietnam().works(day) for day in (date(2027, 1, 1), date(2027, 1, 4))] == [False, True]


def test_a_saturday_worked_instead_is_counted():
    assert local(2026, 8, 23) == after_working_days(vietnam(), local(2026, 8, 21, 9), 1)


@pytest.mark.parametrize("start", [local(2026, 3, 3), local(2026, 3, 3, 23, 59, 59)])
def test_the_day_of_receipt_is_not_counted_however_early_or_late(start):
    assert after_working_days(vietnam(), start, 1) == local(2026, 3, 5)


def test_a_field_that_nobody_agreed_on_is_refused():
    with pytest.raises(TypeError, match="holidays"):
        calendar_of([{"id": "vn@x", "decision": "x", "decided_on": date(2026, 1, 1), "holidays": []}])


def test_a_later_decision_wins_where_two_name_a_day():
    day = date(2026, 8, 22)
    rows = [
        {"id": "b", "decision": "b", "decided_on": date(2026, 2, 1), "off": [day]},
        {"id": "a", "decision": "a", "decided_on": date(2026, 1, 1), "working": [day]},
    ]
    calendar = calendar_of(rows)
    assert [calendar.known_at(local(2026, month, 1)).works(day) for month in (1, 2)] == [True, False]


@given(INSTANTS, st.integers(0, 20))
def test_a_limit_in_working_days_ends_at_24_00_of_a_working_day(start, limit):
    due = after_working_days(vietnam(), start, limit + 1)
    last = local_day(due - timedelta(microseconds=1))
    assert due == end_of(last)
    assert vietnam().works(last)


@given(INSTANTS, st.integers(1, 20))
def test_exactly_that_many_working_days_lie_after_the_first_day_and_up_to_the_end(start, limit):
    last = local_day(after_working_days(vietnam(), start, limit) - timedelta(microseconds=1))
    first = local_day(start)
    between = [first + timedelta(days=n) for n in range(1, (last - first).days + 1)]
    assert limit == sum(vietnam().works(day) for day in between)


@given(INSTANTS, INSTANTS, st.integers(1, 20))
def test_a_later_start_never_brings_an_earlier_end(one, other, limit):
    early, late = sorted((one, other))
    for count in (after_working_days, after_calendar_days):
        assert count(vietnam(), early, limit) <= count(vietnam(), late, limit)
    assert after_cap_days(early, limit) <= after_cap_days(late, limit)


@given(INSTANTS, st.integers(1, 30))
def test_a_cap_never_lengthens_and_is_never_later_than_the_same_days_to_act(start, limit):
    cap = after_cap_days(start, limit)
    assert local_day(start) + timedelta(days=limit) == local_day(cap - timedelta(microseconds=1))
    assert cap <= after_calendar_days(vietnam(), start, limit) <= cap + timedelta(days=9)


@given(INSTANTS, st.integers(0, 10**6))
def test_hours_run_through_everything(start, seconds):
    assert timedelta(seconds=seconds) == after_hours(start, timedelta(seconds=seconds)) - start

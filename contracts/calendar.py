"""Working days as the government decided them, and the ways in which a limit is counted.

All functions are pure over a `Calendar`: the decisions known at one instant. Instants come in with any offset and go
out in UTC; a day is a local day of Asia/Ho_Chi_Minh and ends at 24:00, which is 00:00 of the next.

The first day is not counted (Civil Code 2015 art. 147). Working days skip weekends and days off and count Saturdays
worked instead. Calendar days roll to the next working day when they end on a day off. Caps on a restraint never roll.
Hours run through all of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from contracts import data

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision on working days, by its document. yearly: (month, day) off in every year."""

    id: str
    decision: str
    decided_on: date
    off: frozenset[date]
    working: frozenset[date]
    yearly: frozenset[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Calendar:
    """The decisions known at an instant, oldest first.

    `id` is the latest one's and is quoted by every due time it made.
    """

    decisions: tuple[Decision, ...]

    @property
    def id(self) -> str:
        return self.decisions[-1].id if self.decisions else "vn@weekends"

    def known_at(self, now: datetime) -> "Calendar":
        """Only what had been decided by `now`: a decision is known from the beginning of its local day."""
        today = local_day(now)
        return Calendar(tuple(decision for decision in self.decisions if decision.decided_on <= today))

    def works(self, day: date) -> bool:
        """Whether offices work that day, by the latest decision that names it, else by the weekday."""
        for decision in reversed(self.decisions):
            if day in decision.working:
                return True
            if day in decision.off or (day.month, day.day) in decision.yearly:
                return False
        return day.weekday() < SATURDAY


def calendar_of(rows: Iterable[Mapping[str, Any]]) -> Calendar:
    """The calendar that these rows of a calendar file decide, without those whose switch is off.

    TypeError for an unknown field.
    """
    decisions = [_decision(**row) for row in rows if row.get("in_force", True)]
    return Calendar(tuple(sorted(decisions, key=lambda decision: decision.decided_on)))


def _decision(
    *,
    id: str,  # noqa: A002  # the field's name
    decision: str,
    decided_on: date,
    off: Iterable[date] = (),
    working: Iterable[date] = (),
    yearly: Iterable[str] = (),
    in_force: bool = True,  # noqa: ARG001  # asked before
) -> Decision:
    days = frozenset((int(day[:2]), int(day[3:])) for day in yearly)
    return Decision(id, decision, decided_on, frozenset(off), frozenset(working), days)


@cache
def vietnam() -> Calendar:
    """All decisions entered so far, from `contracts/calendars/vn.yaml`."""
    return calendar_of(data.read("calendars", "vn.yaml"))


def local_day(at: datetime) -> date:
    """The local calendar day of an instant."""
    return at.astimezone(ZONE).date()


def end_of(day: date) -> datetime:
    """24:00 local of the day, in UTC."""
    return datetime.combine(day + timedelta(days=1), time(), ZONE).astimezone(UTC)


def after_hours(start: datetime, limit: timedelta) -> datetime:
    """Hours run through nights, weekends and holidays; an act at the due instant is in time."""
    return start.astimezone(UTC) + limit


def after_working_days(calendar: Calendar, start: datetime, limit: int) -> datetime:
    """24:00 of the `limit`-th working day after the day of `start`."""
    day = local_day(start)
    while limit > 0:
        day += timedelta(days=1)
        limit -= calendar.works(day)
    return end_of(day)


def after_calendar_days(calendar: Calendar, start: datetime, limit: int) -> datetime:
    """24:00 of the `limit`-th day after the day of `start`, or of the next working day when offices are closed on it."""
    day = local_day(start) + timedelta(days=limit)
    while not calendar.works(day):
        day += timedelta(days=1)
    return end_of(day)


def after_cap_days(start: datetime, limit: int) -> datetime:
    """24:00 of the `limit`-th day after the day of `start`, whatever day it is: a cap on a restraint never lengthens."""
    return end_of(local_day(start) + timedelta(days=limit))

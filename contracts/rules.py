"""Deadlines, ladders and disclosures as dated data: `contracts/rules/*.yaml` read once and asked without a clock of its
own.

A limit stands in law or is internal, and every screen says which. `LAW` is the set in force; `DEMO` counts seconds
instead, so that a demonstration of days takes minutes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

from contracts import data
from contracts.calendar import (
    Calendar,
    after_calendar_days,
    after_cap_days,
    after_hours,
    after_working_days,
    end_of,
    local_day,
    vietnam,
)

LOGS = ("intake", "cases", "referrals", "notifications", "projections")
Limit = timedelta | int


@dataclass(frozen=True, slots=True)
class Due:
    """When something is due, and by what: `rule` as `plan-draft@2017-07-01`, `calendar` as `vn@2025-12-25` where days were
    counted.
    """

    due_at: datetime
    rule: str
    calendar: str | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Rules:
    """A rule set.

    Pure: the same question gets the same answer for ever, given the same data. Every method: KeyError for an unknown
    rule.
    """

    name: str
    book: Mapping[str, Mapping[str, Any]]
    ladders: Mapping[str, Any]
    disclosure: Mapping[str, Mapping[str, Any]]
    calendar: Calendar
    seconds: Mapping[str, int]
    pauses: tuple[timedelta, ...]

    def __repr__(self) -> str:
        return f"rules_named({self.name!r})"

    def due(
        self,
        rule: str,
        counted_from: datetime,
        now: datetime,
        *,
        emergency: bool = False,
        kind: str | None = None,
        province: str | None = None,
        on: date | None = None,
        until: datetime | None = None,
    ) -> Due:
        """When `rule` is due.

        counted_from selects the version of the rule: a limit is that of the law in force when the obligation arose,
        however late it was typed in; before the first version, the first. now selects the decisions of the calendar: a
        due time says what was known when it was computed, and a later decision makes a new computation, not another
        past.
        kind: of the hand-off, or the right asked for. province: code or place; only internal limits have a level of a
        province.
        on: a day somebody wrote down: due at its 24:00, without a roll. until: an instant somebody set: due then,
        though a cap holds. An act at the due instant is in time.
        """
        entry = self._rule(rule)
        if rule in self.seconds and until is None:
            start = counted_from if on is None else now  # a day weeks ahead of a story has no start in seconds
            return Due(after_hours(start, timedelta(seconds=self.seconds[rule])), f"{rule}@demo", None)
        version, row = _row(entry, counted_from, {"emergency": emergency, "hand_off": kind, "right": kind}, province)
        quoted = f"{rule}@{version}"
        if on is not None:
            return Due(end_of(on), quoted, None)
        counted, calendar = self._count(row.get("kind", entry["kind"]), counted_from, row["limit"], now)
        if until is None:
            return Due(counted, quoted, calendar)
        end = after_hours(until, timedelta())
        return Due(min(end, counted) if entry["kind"] == "cap_days" else end, quoted, None)

    def _count(self, kind: str, start: datetime, limit: Limit, now: datetime) -> tuple[datetime, str | None]:
        known = self.calendar.known_at(now)
        match kind, limit:
            case "hours", timedelta():
                return after_hours(start, limit), None
            case "working_days", int():
                return after_working_days(known, start, limit), known.id
            case "calendar_days", int():
                return after_calendar_days(known, start, limit), known.id
            case "cap_days", int():
                return after_cap_days(start, limit), None
            case _:
                raise ValueError(f"{limit!r} is no limit in {kind}")

    def has(self, rule: str) -> bool:
        return rule in self.book

    def rules(self) -> tuple[str, ...]:
        """The names of all rules."""
        return tuple(self.book)

    def kind_of(self, rule: str) -> str:
        """hours, working_days, calendar_days or cap_days."""
        return str(self._rule(rule)["kind"])

    def legal(self, rule: str) -> str | None:
        """`Decree 56/2017 art. 28.1`, or None for an internal limit."""
        legal = self._rule(rule).get("legal")
        return legal and f"{legal['text']} art. {legal['article']}"

    def reading(self, rule: str) -> str:
        """From what the limit counts and how it ends, where the text leaves it open."""
        return str(self._rule(rule)["reading"])

    def warn(self, rule: str) -> timedelta:
        """How long before the due time a screen warns; zero for never."""
        return _duration(self._rule(rule).get("warn", "PT0S"))

    def tell(self, rule: str) -> tuple[str, ...]:
        """Who is told of a breach: codes of list `role`, and `lead` for the commune responsible for the case."""
        return tuple(self._rule(rule)["tell"])

    def ladder(self, kind: str, level: int) -> tuple[str, ...]:
        """The roles to tell at rung `level`, from 1, of a hand-off of this kind; past the top, those told again and again."""
        if level < 1:
            raise ValueError("rungs are counted from 1")
        ladder = self._ladder(kind)
        rungs = ladder["rungs"]
        return tuple(rungs[level - 1] if level <= len(rungs) else ladder["then"])

    def rungs(self, kind: str) -> int:
        """How many rungs the ladder has; past them, tell every `ladder_pause`."""
        return len(self._ladder(kind)["rungs"])

    def ladder_pause(self, kind: str) -> timedelta:
        """How long to wait between two tellings past the top."""
        return _duration(self._ladder(kind)["every"])

    def attempts(self, kind: str) -> int:
        """How many fruitless attempts climb a rung without waiting for the breach."""
        return int(self._ladder(kind)["attempts"])

    def disclosed(self, kind: str) -> tuple[str, ...]:
        """Names of the personal fields that a hand-off of this kind discloses."""
        return tuple(self.disclosure[kind]["disclosed"])

    def basis(self, kind: str) -> str:
        """The article, a code of list `basis`, on which a hand-off of this kind discloses them."""
        return str(self.disclosure[kind]["basis"])

    def attempt_pauses(self) -> tuple[timedelta, ...]:
        """The pause before each attempt to send a message over one channel; as many as there are attempts."""
        return self.pauses

    def _rule(self, rule: str) -> Mapping[str, Any]:
        if rule not in self.book:
            raise KeyError(f"no rule {rule!r}")
        return self.book[rule]

    def _ladder(self, kind: str) -> Mapping[str, Any]:
        return {**self.ladders, **self.ladders["kinds"].get(kind, {})}


def _row(
    entry: Mapping[str, Any], counted_from: datetime, facts: Mapping[str, Any], province: str | None
) -> tuple[str, Mapping[str, Any]]:
    """The version to quote and the limit that fits: the province's own level first, then the rule's."""
    day, code = local_day(counted_from), (province or "").partition("@")[0]
    own = [version for version in entry.get("where", ()) if version["province"] == code and version["from"] <= day]
    if own and (row := _fitting(own[-1], facts)):
        return f"{own[-1]['from']}/{code}", row
    versions = entry["versions"]
    version = next((version for version in reversed(versions) if version["from"] <= day), versions[0])
    row = _fitting(version, facts)
    if row is None:
        raise ValueError(f"rule {entry['id']!r} has no limit for this")
    return str(version["from"]), row


def _fitting(version: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for row in version.get("limits", ()):
        conditions = {name: wanted for name, wanted in row.items() if name in facts}
        if all(facts[name] in (wanted if isinstance(wanted, list) else [wanted]) for name, wanted in conditions.items()):
            return row
    return version if "limit" in version else None


def _duration(text: str) -> timedelta:
    """An ISO 8601 duration of days, hours, minutes and seconds."""
    found = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", text)
    if not found or found.lastindex is None:
        raise ValueError(f"{text!r} is no duration")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _read(name: str) -> Any:
    return data.read("rules", f"{name}.yaml")


def _parsed(version: Mapping[str, Any]) -> Mapping[str, Any]:
    """The version or limit with its durations as timedelta."""
    limit = version.get("limit")
    return {
        **version,
        **({"limit": _duration(limit)} if isinstance(limit, str) else {}),
        "limits": [_parsed(row) for row in version.get("limits", ())],
    }


@cache
def _law() -> tuple[Mapping[str, Mapping[str, Any]], Mapping[str, Any], Mapping[str, Mapping[str, Any]]]:
    """Rules by name, ladders and disclosures as the files say."""
    book = {
        row["id"]: {
            **row,
            "versions": [_parsed(version) for version in row["versions"]],
            "where": [_parsed(version) for version in row.get("where", ())],
        }
        for log in LOGS
        for row in _read(log)
    }
    return book, _read("ladders"), _read("disclosure")


@cache
def rules_named(name: str) -> Rules:
    """The rule set `law` or `demo`. KeyError for any other."""
    if name not in {"law", "demo"}:
        raise KeyError(f"no rule set {name!r}")
    book, ladders, disclosure = _law()
    overlay = _read("demo") if name == "demo" else {"seconds": {}, "pauses": book["delivery"]["pauses"]}
    return Rules(
        name=name,
        book=book,
        ladders=ladders,
        disclosure=disclosure,
        calendar=vietnam(),
        seconds=overlay["seconds"],
        pauses=tuple(_duration(text) for text in overlay["pauses"]),
    )


LAW = rules_named("law")
DEMO = rules_named("demo")

"""Values in a story: local times, `${names}` that are filled in, paths into answers, and what counts as the same."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
LOCAL_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d):(\d\d)(?::(\d\d))?")
NAME = re.compile(r"\$\{([^}]+)\}")
MOVED = re.compile(r"(now|today)([+-]\d+)?([smhd])?")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
STEP = re.compile(r"\[([^\]]*)\]|@(\w+)|([^.\[\]@]+)")
NEARLY = timedelta(seconds=60)

Now = Callable[[], datetime]


class Missing(LookupError):
    """A path leads nowhere, or a name is not known yet; the message says which."""


def local_time(text: str) -> datetime | None:
    """`2026-03-10 24:00` in the zone of the line; None for any other text."""
    found = LOCAL_TIME.fullmatch(text)
    if not found:
        return None
    day, hour, minute, second = found.groups()
    midnight = datetime.combine(date.fromisoformat(day), datetime.min.time(), ZONE)
    return midnight + timedelta(hours=int(hour), minutes=int(minute), seconds=int(second or 0))


def names_in(value: Any) -> Iterator[str]:
    """The first part of every `${…}` inside."""
    if isinstance(value, str):
        for found in NAME.findall(value):
            yield re.split(r"[.\[@]", found, maxsplit=1)[0] if not MOVED.fullmatch(found) else "now"
    elif isinstance(value, Mapping):
        for item in [*value.keys(), *value.values()]:
            yield from names_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from names_in(item)


def fill(value: Any, names: Mapping[str, Any], now: Now) -> Any:
    """The value with its `${…}` replaced: a text that is nothing but one name takes that name's value and type."""
    if isinstance(value, str):
        if at := local_time(value):
            return at.isoformat()
        if whole := NAME.fullmatch(value):
            return _named(whole[1], names, now)
        return NAME.sub(lambda found: str(_named(found[1], names, now)), value)
    if isinstance(value, Mapping):
        return {str(fill(name, names, now)): fill(item, names, now) for name, item in value.items()}
    return [fill(item, names, now) for item in value] if isinstance(value, list) else value


def _named(text: str, names: Mapping[str, Any], now: Now) -> Any:
    if moved := MOVED.fullmatch(text):
        base, number, unit = moved.groups()
        at = now().astimezone(ZONE) + timedelta(**{UNITS[unit or "s"]: int(number or 0)})
        return at.isoformat() if base == "now" else at.date().isoformat()
    return select(names, text)


def select(value: Any, path: str) -> Any:
    """What lies at `state.hand_offs[kind=handover,addressee.role=commune_pc]@key`. Raises Missing.

    `[0]` is an index, `[name=value,…]` the one item of a list or mapping that fits, `@key` its key, `@count` how many fit.
    """
    found: list[tuple[Any, Any]] = [("", value)]
    chosen = False  # whether `found` is what a condition chose, which may be none or many
    for place, word, name in STEP.findall(path):
        if word == "count":
            return len(found) if chosen else len(_pairs(_only(found, path)[1]))
        key, item = _only(found, path)
        if word == "key":
            return key
        chosen = bool(place) and not place.lstrip("-").isdigit()
        if chosen:
            found = [pair for pair in _pairs(item) if _fits(pair[1], place)]
        else:
            found = [(name or place, _member(item, name or int(place), path))]
    return _only(found, path)[1]


def _only(found: list[tuple[Any, Any]], path: str) -> tuple[Any, Any]:
    if len(found) != 1:
        raise Missing(f"{len(found) or 'nothing'} at {path}")
    return found[0]


def _pairs(item: Any) -> list[tuple[Any, Any]]:
    return list(item.items()) if isinstance(item, Mapping) else list(enumerate(item)) if isinstance(item, list) else []


def _member(item: Any, place: str | int, path: str) -> Any:
    try:
        return item[place]
    except (KeyError, IndexError, TypeError):
        raise Missing(f"nothing at {path}") from None


def _fits(item: Any, conditions: str) -> bool:
    for condition in conditions.split(","):
        path, _, wanted = condition.partition("=")
        try:
            if str(select(item, path.strip())) != wanted.strip():
                return False
        except Missing:
            return False
    return True


def same(expected: Any, actual: Any) -> bool:
    """Equal as a story means it: instants whatever their zone, `~` within a minute, `*` anything there, mappings in part."""
    if expected == "*":
        return actual is not None
    if isinstance(expected, str):
        return _same_text(expected, actual)
    if isinstance(expected, Mapping):
        return isinstance(actual, Mapping) and all(name in actual and same(item, actual[name]) for name, item in expected.items())
    if isinstance(expected, list):
        fits = isinstance(actual, list) and len(expected) == len(actual)
        return fits and all(same(one, other) for one, other in zip(expected, actual, strict=True))
    return type(expected) is type(actual) and expected == actual


def _same_text(expected: str, actual: Any) -> bool:
    if expected == actual:
        return True
    wanted, found = instant(expected.removeprefix("~").strip()), instant(actual)
    if wanted is None or found is None:
        return False
    return abs(wanted - found) <= (NEARLY if expected.startswith("~") else timedelta())


def instant(text: Any) -> datetime | None:
    """The instant that a text names: local as stories write it, or ISO 8601 with its offset; None if it names none."""
    if not isinstance(text, str):
        return None
    if at := local_time(text):
        return at
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else None

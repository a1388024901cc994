"""What changed in a file between two instants: field by field, each with the facts that changed it, and fact by fact."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from chassis.mapper import Recorded
from services.projections.views.shown import Shown
from services.projections.views.timeline import Entry

MOST = 300  # facts: a second or two


class Changed(Shown):
    """A field of the file. pointer: where (RFC 6901), empty for the whole file; before, after: None where there was nothing.

    by: the facts that touched it, as `<log>:<position>`, oldest first; each stands in `facts` with who, when and in which capacity.
    None where more than 300 facts lie in between: who touched what is then to be asked of shorter stretches.
    """

    pointer: str
    before: Any
    after: Any
    by: list[str] | None


class Diff(Shown):
    """What was recorded after instant `since`, up to and with instant `until`, and what that changed in the file."""

    id: UUID
    version: int
    since: str
    until: str
    changes: list[Changed]
    facts: list[Entry]
    incomplete: bool


class Difference(NamedTuple):
    """Two values of one place."""

    pointer: str
    before: Any
    after: Any


def changed(
    before: Sequence[Recorded], later: Sequence[Recorded], file_of: Callable[[Sequence[Recorded]], Shown | None]
) -> list[Changed]:
    """The fields that differ once `later` is known, too. file_of: the fold, done anew after each fact to see what that changes."""
    known, first = list(before), _plain(file_of(before))
    if len(later) > MOST:
        return [Changed(**found._asdict(), by=None) for found in differences(first, _plain(file_of([*before, *later])))]
    file, touched = first, list[tuple[str, str]]()
    for event in later:
        known.append(event)
        now = _plain(file_of(known))
        touched += [(found.pointer, event.cause) for found in differences(file, now)]
        file = now
    return [Changed(**found._asdict(), by=_by(found.pointer, touched)) for found in differences(first, file)]


def differences(before: Any, after: Any, pointer: str = "") -> Iterator[Difference]:
    """The deepest places at which two JSON values differ, in their own order; what only one of them has is told as a whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*before, *after]):
            step = str(name).replace("~", "~0").replace("/", "~1")
            yield from differences(before.get(name), after.get(name), f"{pointer}/{step}")
    elif isinstance(before, list) and isinstance(after, list):
        for n in range(max(len(before), len(after))):
            yield from differences(_at(before, n), _at(after, n), f"{pointer}/{n}")
    elif before != after:
        yield Difference(pointer, before, after)


def _by(pointer: str, touched: Sequence[tuple[str, str]]) -> list[str]:
    return list(dict.fromkeys(cause for other, cause in touched if _overlap(other, pointer)))


def _plain(file: Shown | None) -> Any:
    return file.model_dump(mode="json") if file else None


def _at(values: Sequence[Any], n: int) -> Any:
    return values[n] if n < len(values) else None


def _overlap(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")

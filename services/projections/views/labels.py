"""Status labels are computed from the facts of one stream (`standing`), never a guard; tracks stand beside."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from chassis.mapper import Recorded
from contracts.cases import CaseOpened, EmergencyMeasureApplied, EmergencyMeasureEnded, HandOffNoted
from contracts.kernel import Fact
from services.projections.views.shown import Track, label

F = TypeVar("F", bound=Fact)


def facts_of(events: Sequence[Recorded], kind: type[F]) -> list[F]:
    """The facts of one kind, in order."""
    return [event.fact for event in events if isinstance(event.fact, kind)]


def last(events: Sequence[Recorded], kind: type[F]) -> F | None:
    """The latest fact of a kind."""
    return next(reversed(facts_of(events, kind)), None)


def tracks_of(events: Sequence[Recorded]) -> Iterator[Track]:
    """What runs beside the status."""
    applied = len(facts_of(events, EmergencyMeasureApplied))
    opened = last(events, CaseOpened)
    if applied or (opened and opened.emergency):
        active = applied > len(facts_of(events, EmergencyMeasureEnded))
        yield _track("emergency", "active" if active else "ended" if applied else "flagged")
    kinds = {noted.kind for noted in facts_of(events, HandOffNoted)}
    if "crime_report" in kinds:
        yield _track("criminal", "sent")
    if "identification" in kinds:
        yield _track("identification", "open")


def _track(code: str, state: str) -> Track:
    return Track(**label("track", code).model_dump(), state=state)

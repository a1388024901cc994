"""What files show: shapes of the answers, and the small folds that several files share."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from chassis.mapper import Recorded
from chassis.problems import plain
from contracts import clocks, codes, places
from contracts.digest import canonical
from contracts.kernel import Fact
from contracts.references import reference
from contracts.rules import LAW
from contracts.shapes import Addressee

CLOCK_FACTS = (clocks.Met, clocks.Waived, clocks.Breached, clocks.Recomputed)
LETTERS = {"record": "R", "case": "C", "hand_off": "H"}


class Shown(BaseModel):
    """A part of an answer. A sealed field is None where it was not opened: no right, no key, or never told."""

    model_config = ConfigDict(frozen=True)


class Label(Shown):
    """A status or place as code and in Vietnamese."""

    code: str
    vi: str


class Track(Shown):
    """What runs beside the status, and how far it is."""

    code: str
    vi: str
    state: str


class Body(Shown):
    """An addressee: role and place, with the words of a screen."""

    role: Label
    place: Label


class Told(Shown):
    """A fact with its envelope. seen: the version that was on the teller's screen (`If-Match`)."""

    log: str
    position: int
    version: int
    type: str
    recorded_at: datetime
    occurred_at: datetime
    actor: str
    capacity: str
    seen: int | None
    fact: dict[str, Any]


class ClockShown(Shown):
    """A promise with its due time; `law` is None for an internal limit. What was breached stays breached for ever.

    state: running, met, waived, or restarted where a new clock of the same name took its place.
    was_due_at: earlier due times, before a calendar, rule or delivery moved them.
    """

    clock: str
    rule: str
    calendar: str | None
    law: str | None
    counted_from: datetime
    due_at: datetime
    was_due_at: list[datetime]
    responsible: Body
    state: str
    breached: bool
    met_at: datetime | None
    late: bool | None
    waived_because: str | None

    @property
    def owed(self) -> bool:
        return self.state == "running"


class Link(Shown):
    """Another file."""

    id: UUID
    reference: str


def label(list_id: str, code: str) -> Label:
    """A code with its Vietnamese word; a code that is newer than this build stands for itself."""
    return Label(code=code, vi=codes.label(list_id, code))


def place(code: str) -> Label:
    """A place with its name."""
    return Label(code=code, vi=places.label(code))


def body(of: Addressee) -> Body:
    """An addressee in words."""
    return Body(role=label("role", of.role), place=place(of.place))


def told(event: Recorded, **instead: Any) -> Told:
    """A fact as it stands in an answer; `instead` overrides fields that this answer does not show."""
    seen, recorded_at = event.meta.get("seen"), stamp(event)
    return Told(
        log=event.log,
        position=event.position,
        version=event.version,
        type=event.fact.TOPIC,
        recorded_at=recorded_at,
        occurred_at=datetime.fromisoformat(event.meta.get("occurred_at", recorded_at.isoformat())),
        actor=event.meta.get("actor", ""),
        capacity=event.meta.get("as", ""),
        seen=int(seen) if seen else None,
        fact=plain(event.fact) | instead,
    )


def stamp(event: Recorded) -> datetime:
    """When the log recorded it. Facts out of a log always have a stamp."""
    if event.recorded_at is None:
        raise ValueError("a fact that is not from a log has no stamp")
    return event.recorded_at


def of_kind(events: Iterable[Recorded], *kinds: type[Fact]) -> list[Recorded]:
    """The events that tell one of these facts."""
    return [event for event in events if isinstance(event.fact, kinds)]


def referred(kind: str, first: Recorded) -> Link:
    """The id and the spoken reference of a stream, from its first fact."""
    return Link(id=first.stream, reference=reference(LETTERS[kind], first.position))


def clocks_of(events: Sequence[Recorded]) -> list[ClockShown]:
    """Every clock that these events of one stream ever started, in that order; never healed, never left out."""
    shown: list[ClockShown] = []
    latest: dict[str, int] = {}
    for event in events:
        fact: Any = event.fact
        if isinstance(fact, clocks.Started):
            if (before := latest.get(fact.clock)) is not None and shown[before].owed:
                shown[before] = shown[before].model_copy(update={"state": "restarted"})
            latest[fact.clock] = len(shown)
            shown.append(_started(fact))
        elif isinstance(fact, CLOCK_FACTS) and fact.clock in latest:
            number = latest[fact.clock]
            shown[number] = shown[number].model_copy(update=_moved(fact, shown[number]))
    return shown


def _started(fact: clocks.Started) -> ClockShown:
    rule = fact.clock.partition("/")[0]
    return ClockShown(
        clock=fact.clock,
        rule=fact.rule,
        calendar=fact.calendar,
        law=LAW.legal(rule) if LAW.has(rule) else None,
        counted_from=fact.counted_from,
        due_at=fact.due_at,
        was_due_at=[],
        responsible=body(fact.responsible),
        state="running",
        breached=False,
        met_at=None,
        late=None,
        waived_because=None,
    )


def _moved(fact: Any, clock: ClockShown) -> dict[str, Any]:
    """What a later clock fact changes. What breached stays breached, whatever is done afterwards."""
    match fact:
        case clocks.Met():
            return {"state": "met", "met_at": fact.met_at, "late": fact.late}
        case clocks.Waived():
            return {"state": "waived", "waived_because": fact.reason}
        case clocks.Breached():
            return {"breached": True}
        case _:
            new = {"due_at": fact.due_at, "rule": fact.rule, "calendar": fact.calendar}
            return new | {"was_due_at": [*clock.was_due_at, fact.was_due_at]}


def answer_bytes(shown: Shown) -> bytes:
    """The body of an answer: RFC 8785 JSON, so that the same instant gives the same bytes."""
    return canonical(shown.model_dump(mode="json"))

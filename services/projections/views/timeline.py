"""The timeline of a case: every fact of its family in one order, clear fields only; and who has read any of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from chassis import sealing
from chassis.mapper import Recorded
from contracts.projections import CaseRead
from services.projections.views.shown import Label, Shown, Told, label, stamp, told

By = Literal["occurred", "recorded"]


class Entry(Shown):
    """A fact, what it belongs to, and its clear fields."""

    of: str
    stream: UUID
    told: Told


class Timeline(Shown):
    """Sorted by when a thing is said to have happened, or by when it was recorded: the two orders differ, and both matter."""

    id: UUID
    version: int
    by: By
    entries: list[Entry]
    incomplete: bool


class Read(Shown):
    """Somebody was about to be shown something of this case. shown: the instant of the answer."""

    at: datetime
    actor: str
    capacity: str
    kind: str
    id: UUID
    view: Label
    purpose: Label
    reason: Label | None
    shown: str


class Reads(Shown):
    """Every read of the case, its record, contacts and hand-offs, oldest first."""

    id: UUID
    reads: list[Read]
    incomplete: bool


def timeline(read: UUID, events: Sequence[Recorded], kinds: dict[UUID, str], by: By, incomplete: bool) -> Timeline:
    """events: of every stream of the family in the order in which they were recorded; kinds: what each stream is."""
    entries = [
        Entry(of=kinds[event.stream], stream=event.stream, told=told(event).model_copy(update={"fact": clear(event)}))
        for event in events
        if not isinstance(event.fact, CaseRead)
    ]
    if by == "occurred":
        entries.sort(key=lambda entry: entry.told.occurred_at)  # stable: what is claimed for one instant stays as recorded
    version = max((event.version for event in events if event.stream == read and not isinstance(event.fact, CaseRead)), default=0)
    return Timeline(id=read, version=version, by=by, entries=entries, incomplete=incomplete)


def clear(event: Recorded) -> dict[str, Any]:
    """The fields of a fact that are not sealed: the names of the others do not even appear."""
    fields, _ = sealing.split(event.fact)
    return fields


def reads(read: UUID, events: Sequence[Recorded], incomplete: bool) -> Reads:
    """events: in the order in which they were recorded."""
    found = [
        Read(
            at=stamp(event),
            actor=event.meta.get("actor", ""),
            capacity=event.meta.get("as", ""),
            kind=event.fact.kind,
            id=event.stream,
            view=label("view", event.fact.view),
            purpose=label("purpose", event.fact.purpose),
            reason=label("read_reason", event.fact.reason) if event.fact.reason else None,
            shown=event.fact.shown,
        )
        for event in events
        if isinstance(event.fact, CaseRead)
    ]
    return Reads(id=read, reads=found, incomplete=incomplete)

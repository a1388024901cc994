"""Every fact of a case and its family in one order, clear fields only; beside a decision what was seen, and the rules."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from chassis import sealing
from chassis.mapper import Recorded
from contracts import clocks
from contracts.cases import PlanSubmitted
from contracts.projections import CaseRead
from contracts.rules import LAW
from services.projections.views.labels import last
from services.projections.views.shown import CLOCK_FACTS, LETTERS, Label, Shown, Told, label, stamp, told
from services.projections.views.standing import standing

By = Literal["occurred", "recorded"]


class Looked(Shown):
    """The last answer that somebody was given about a file: `as_of=<shown>` gives the same bytes again. read: of the read log."""

    read: str
    at: datetime
    view: Label
    shown: str


class Screen(Shown):
    """What whoever decided had on the screen: the stream at the version that they named (`If-Match`).

    position: of the last fact they saw of it. plan, digest: the text of the plan that counted there. looked: what they had read of
    this stream last before they decided; None if they read it somewhere else.
    """

    version: int
    position: str | None
    recorded_at: datetime | None
    label: Label | None
    plan: int | None
    digest: str | None
    looked: Looked | None


class Ruled(Shown):
    """A clock that this fact, or its command, started or moved, by the rule and the calendar of that date. law: None for a limit of
    the line's own. due_at: as it stood after this fact."""

    clock: str
    rule: str
    calendar: str | None
    law: str | None
    due_at: datetime


class Entry(Shown):
    """A fact, what it belongs to, its clear fields; what was seen by whoever decided it, and the rules that applied."""

    of: str
    stream: UUID
    told: Told
    screen: Screen | None
    rules: list[Ruled]


class Timeline(Shown):
    """Sorted by when a thing is said to have happened, or by when it was recorded: the two orders differ, and both matter."""

    id: UUID
    version: int
    by: By
    entries: list[Entry]
    incomplete: bool


def timeline(read: UUID, entries: Sequence[Entry], by: By, incomplete: bool) -> Timeline:
    """entries: of every stream of the family in the order in which they were recorded."""
    version = max((entry.told.version for entry in entries if entry.stream == read), default=0)
    ordered = sorted(entries, key=lambda entry: entry.told.occurred_at) if by == "occurred" else list(entries)
    return Timeline(
        id=read, version=version, by=by, entries=ordered, incomplete=incomplete
    )  # stable: one instant stays as recorded


def entries_of(events: Sequence[Recorded], reads: Sequence[Recorded], kinds: Mapping[UUID, str]) -> list[Entry]:
    """An entry a fact of the family. reads: of its files; both in the order of recording. kinds: what each stream is."""
    rules = _rules(events)
    streams: dict[UUID, list[Recorded]] = {}
    entries: list[Entry] = []
    for event in events:
        before = streams.setdefault(event.stream, [])
        entries.append(
            Entry(
                of=kinds[event.stream],
                stream=event.stream,
                told=told(event).model_copy(update={"fact": clear(event)}),
                screen=_screen(event, before, reads, kinds[event.stream]),
                rules=rules[event.cause],
            )
        )
        before.append(event)
    return entries


def clear(event: Recorded) -> dict[str, Any]:
    """The fields of a fact that are not sealed: the names of the others do not even appear."""
    fields, _ = sealing.split(event.fact)
    return fields


def _screen(event: Recorded, before: Sequence[Recorded], reads: Sequence[Recorded], kind: str) -> Screen | None:
    """before: the facts of its stream that were recorded earlier."""
    seen = event.meta.get("seen")
    if seen is None:
        return None
    there = [each for each in before if each.version <= int(seen)]
    plan = last(there, PlanSubmitted)
    return Screen(
        version=int(seen),
        position=there[-1].cause if there else None,
        recorded_at=stamp(there[-1]) if there else None,
        label=label(f"{kind}_label", standing(there).label()) if there and kind in LETTERS else None,
        plan=plan.plan if plan else None,
        digest=plan.digest if plan else None,
        looked=_looked(event, reads, kind),
    )


def _looked(event: Recorded, reads: Sequence[Recorded], kind: str) -> Looked | None:
    for each in reversed(reads):
        fact = each.fact
        if not isinstance(fact, CaseRead) or (each.stream, fact.kind) != (event.stream, kind) or stamp(each) > stamp(event):
            continue
        if each.meta.get("actor") == event.meta.get("actor"):
            return Looked(read=each.cause, at=stamp(each), view=label("view", fact.view), shown=fact.shown)
    return None


def _rules(events: Sequence[Recorded]) -> dict[str, list[Ruled]]:
    """`<log>:<position>` → the clocks of that fact; of a fact that is no clock's, all those that its command told of."""
    running: dict[tuple[UUID, str], Ruled] = {}
    of_command: dict[tuple[UUID, str], list[Ruled]] = {}
    own: dict[str, list[Ruled]] = {}
    for event in events:
        if ruled := _ruled(event, running):
            own[event.cause] = [ruled]
            of_command.setdefault(_command(event), []).append(ruled)
    return {event.cause: own.get(event.cause) or of_command.get(_command(event), []) for event in events}


def _command(event: Recorded) -> tuple[UUID, str]:
    return event.stream, event.meta.get("command", event.cause)


def _ruled(event: Recorded, running: dict[tuple[UUID, str], Ruled]) -> Ruled | None:
    fact = event.fact
    if isinstance(fact, (clocks.Started, clocks.Recomputed)):
        name = fact.clock.partition("/")[0]
        law = LAW.legal(name) if LAW.has(name) else None
        ruled = Ruled(clock=fact.clock, rule=fact.rule, calendar=fact.calendar, law=law, due_at=fact.due_at)
        running[event.stream, fact.clock] = ruled
        return ruled
    return running.get((event.stream, fact.clock)) if isinstance(fact, CLOCK_FACTS) else None

"""Deadlines as facts: the shapes every log shares, and the pure rules of starting, meeting, breaching and waiving a clock.

A clock is named `<rule>` or `<rule>/<number or referral>` on its stream, at most one runs under a name. It is never paused and
never healed: what was due stays breached, and a thing done late is *met, late* beside its breach.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from contracts.codes import WaiverReason
from contracts.kernel import Command, Fact, Given, Instant, Refused, Shape, changed
from contracts.shapes import Addressee, Line


class Started(Shape):
    """A promise with a due time. `rule` and `calendar` are quoted with their dates; `tell` are the bodies a breach is told to."""

    clock: Line
    rule: Line
    calendar: Line | None = None
    counted_from: Instant
    due_at: Instant
    responsible: Addressee
    tell: list[Addressee]


class Met(Shape):
    """What was owed is done. `met_at` is when it happened; late is counted from it, not from when somebody told."""

    clock: Line
    met_at: Instant
    late: bool


class Breached(Shape):
    """The due time passed undone. The breach stays with the body that was responsible then."""

    clock: Line
    due_at: Instant
    responsible: Addressee
    tell: list[Addressee]


class Waived(Shape):
    """No longer owed: a code, and a second person who agreed."""

    clock: Line
    reason: WaiverReason
    approved_by: Line


class Recomputed(Shape):
    """A new calendar, rule or delivery moved the due time; the old one is kept."""

    clock: Line
    was_due_at: Instant
    due_at: Instant
    because: Line
    rule: Line
    calendar: Line | None = None


@dataclass(frozen=True)
class Clock:
    """An open clock of a stream: owed until met or waived, `breached` or not."""

    rule: str
    counted_from: datetime
    due_at: datetime
    responsible: Addressee
    tell: tuple[Addressee, ...]
    breached: bool = False


Clocks = Mapping[str, Clock]
NO_CLOCKS: Clocks = MappingProxyType({})
ClockFact = Started | Met | Breached | Waived | Recomputed
S = TypeVar("S", bound=Started)
M = TypeVar("M", bound=Met)
B = TypeVar("B", bound=Breached)
W = TypeVar("W", bound=Waived)


class BreachClock(Command):
    """The timer's command: the due time of this clock has passed."""

    clock: Line


class WaiveClock(Command):
    """A person asks that a running clock be no longer owed; `approved_by` is a second person's subject id."""

    needs_if_match: ClassVar[bool] = True
    clock: Line
    reason: WaiverReason
    approved_by: Line


def start(
    make: type[S],
    clock: str,
    counted_from: datetime,
    given: Given,
    *,
    responsible: Addressee,
    parties: Mapping[str, Addressee],
    **limits: Any,
) -> S:
    """The fact that starts `clock`; `parties` resolves the rule's `tell` codes (lead, supervisor_desk …) to bodies.

    limits: what the rule's limit depends on (`emergency`, `kind`, `province`, `on`, `until`), see `contracts.rules`.
    """
    rule = clock.partition("/")[0]
    due = given.rules.due(rule, counted_from, given.now, **limits)
    return make(
        clock=clock,
        rule=due.rule,
        calendar=due.calendar,
        counted_from=counted_from,
        due_at=due.due_at,
        responsible=responsible,
        tell=[parties[code] for code in given.rules.tell(rule) if code in parties],
    )


def meet(met: type[M], breached: type[B], clocks: Clocks, names: str | Iterable[str], at: datetime) -> Iterator[M | B]:
    """A `ClockMet` for each of these clocks that is owed. An act at the due instant is in time.

    Done late, it was due undone: where the timer has not said so yet, the breach is told first, so that the history is the same
    whoever comes first.
    """
    for name in [names] if isinstance(names, str) else names:
        if clock := clocks.get(name):
            late = at > clock.due_at
            if late and not clock.breached:
                yield _breach(breached, name, clock)
            yield met(clock=name, met_at=at, late=late)


def waive(make: type[W], clocks: Clocks, names: Iterable[str], reason: str, approved_by: str) -> Iterator[W]:
    """A `ClockWaived` for each of these clocks that still runs; a breached one keeps its breach and is waived as well."""
    for name in names:
        if name in clocks:
            yield make(clock=name, reason=reason, approved_by=approved_by)


def breach(make: type[B], clocks: Clocks, command: BreachClock) -> Iterator[B]:
    """A `ClockBreached` if the clock runs and is due, else nothing: two timers, or a late one, do no harm."""
    clock = clocks.get(command.clock)
    if clock and not clock.breached and command.now >= clock.due_at:
        yield _breach(make, command.clock, clock)


def _breach(make: type[B], name: str, clock: Clock) -> B:
    return make(clock=name, due_at=clock.due_at, responsible=clock.responsible, tell=list(clock.tell))


def asked_to_waive(make: type[W], clocks: Clocks, command: WaiveClock) -> Iterator[W]:
    """A waiver by two people; refused for a clock that is not owed, and where both are one person."""
    if command.clock not in clocks:
        raise Refused("clock-not-running", running=sorted(clocks))
    if command.approved_by == command.actor:
        raise Refused("own-waiver")
    yield make(clock=command.clock, reason=command.reason, approved_by=command.approved_by)


def running(clocks: Clocks, name: str) -> bool:
    """Owed and not yet breached."""
    return name in clocks and not clocks[name].breached


def fold(clocks: Clocks, fact: Fact | ClockFact) -> Clocks:
    """The open clocks after a clock fact."""
    match fact:
        case Started():
            clock = Clock(fact.rule, fact.counted_from, fact.due_at, fact.responsible, tuple(fact.tell))
            return MappingProxyType({**clocks, fact.clock: clock})
        case Met() | Waived():
            return MappingProxyType({name: clock for name, clock in clocks.items() if name != fact.clock})
        case Breached() if fact.clock in clocks:
            return MappingProxyType({**clocks, fact.clock: changed(clocks[fact.clock], breached=True)})
        case Recomputed() if fact.clock in clocks:
            return MappingProxyType({**clocks, fact.clock: changed(clocks[fact.clock], due_at=fact.due_at, rule=fact.rule)})
        case _:
            return clocks


CLOCK_FACTS: tuple[type[Shape], ...] = (Started, Met, Breached, Waived, Recomputed)


def fold_clocks_of(evolve: Any) -> None:
    """Teach a domain's `evolve` (a singledispatch over facts) the five clock facts; its states have a field `clocks`."""

    def fold_into(fact: Any, state: Any) -> Any:
        return changed(state, clocks=fold(state.clocks, fact))

    register: Callable[[type, Any], Any] = evolve.register
    for kind in CLOCK_FACTS:
        register(kind, fold_into)

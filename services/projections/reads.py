"""A read is a fact of its own, recorded before the answer: who read which view of which file, in what capacity, why, as of when.
So is a refusal, and so is a search."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import singledispatch
from typing import Annotated, Any, ClassVar
from uuid import UUID, uuid5

from pydantic import Field

from contracts import clocks
from contracts.clocks import NO_CLOCKS, BreachClock, Clocks, WaiveClock, fold_clocks_of
from contracts.codes import Purpose, ReadReason, SearchField, View
from contracts.kernel import NS, Command, Fact, changed
from contracts.projections import CaseRead, ClockBreached, ClockWaived, ReadRefused, SearchMade
from contracts.shapes import Line, told


class RecordRead(Command):
    """A file is about to be shown. Every request is a read of its own."""

    creates: ClassVar[bool] = True
    kind: Line
    view: View
    purpose: Purpose
    reason: Line | None = None
    shown: Line


class RecordRefusal(Command):
    """A file is about to be refused. Every request is a refusal of its own, of a file that exists and of one that does not."""

    creates: ClassVar[bool] = True
    route: Line
    code: Line


class RecordSearch(Command):
    """The hits of a search are about to be shown. `query` is what was asked, word for word."""

    creates: ClassVar[bool] = True
    hits: Annotated[int, Field(ge=0)]
    looked_in: list[SearchField]
    purpose: Purpose
    reason: ReadReason | None = None
    shown: Line
    query: Line


def search_id(actor: str, at: datetime) -> UUID:
    """The stream of what somebody searches for in one month (UTC), and the key under which the queries of that month are sealed."""
    return uuid5(uuid5(NS, actor), f"search:{at:%Y-%m}")


@dataclass(frozen=True)
class ReadBefore:
    """How often a file was read, how often it was refused, and the clocks on its reads; on the stream of a month, the searches."""

    times: int = 0
    refused: int = 0
    searches: int = 0
    clocks: Clocks = field(default_factory=lambda: NO_CLOCKS)


@singledispatch
def decide(command: Command, state: ReadBefore | None) -> Iterator[Fact]:
    """The facts this command leads to."""
    raise NotImplementedError(type(command).__name__)


@decide.register
def record_read(command: RecordRead, _: ReadBefore | None) -> Iterator[Fact]:
    yield CaseRead(**told(command))


@decide.register
def record_refusal(command: RecordRefusal, _: ReadBefore | None) -> Iterator[Fact]:
    yield ReadRefused(**told(command))


@decide.register
def record_search(command: RecordSearch, _: ReadBefore | None) -> Iterator[Fact]:
    yield SearchMade(**told(command), search_id=command.given.stream)


@decide.register
def breach_clock(command: BreachClock, state: ReadBefore) -> Iterator[Fact]:
    yield from clocks.breach(ClockBreached, state.clocks, command)


@decide.register
def waive_clock(command: WaiveClock, state: ReadBefore) -> Iterator[Fact]:
    yield from clocks.asked_to_waive(ClockWaived, state.clocks, command)


@singledispatch
def evolve(_: Fact, state: Any) -> Any:
    """The state after a fact."""
    return state


@evolve.register
def was_read(_: CaseRead, state: ReadBefore | None) -> ReadBefore:
    before = state or ReadBefore()
    return changed(before, times=before.times + 1)


@evolve.register
def was_refused(_: ReadRefused, state: ReadBefore | None) -> ReadBefore:
    before = state or ReadBefore()
    return changed(before, refused=before.refused + 1)


@evolve.register
def was_searched(_: SearchMade, state: ReadBefore | None) -> ReadBefore:
    before = state or ReadBefore()
    return changed(before, searches=before.searches + 1)


fold_clocks_of(evolve)

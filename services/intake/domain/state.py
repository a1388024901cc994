"""The kinds of stream that intake keeps, from their clear fields alone, and the roots that the themes teach their facts to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import singledispatch
from uuid import UUID

from contracts.clocks import NO_CLOCKS, Clocks, fold_clocks_of
from contracts.codes import (
    AgeBand,
    AgeBasis,
    Channel,
    ContactKind,
    DataAnswer,
    DataStage,
    ErasureBasis,
    Hold,
    Language,
    Procedure,
    RestrictionBasis,
    Right,
    Tier,
)
from contracts.intake import IntakeFact
from contracts.kernel import Command, Refused
from contracts.places import Place
from contracts.shapes import Addressee


@dataclass(frozen=True)
class Contact:
    """One call, message, mail or letter. `agent` is whoever answered last, `kind` the latest class."""

    channel: Channel
    centre: Place
    caller_id: UUID
    received_at: datetime
    agent: str | None = None
    interpreter_id: UUID | None = None
    kind: ContactKind | None = None
    tier: Tier | None = None
    language: Language | None = None
    clocks: Clocks = field(default_factory=lambda: NO_CLOCKS)


@dataclass(frozen=True)
class Reported:
    """A child of the record, as far as a screening must know it."""

    age_band: AgeBand
    age_basis: AgeBasis


@dataclass(frozen=True)
class Record:
    """The line's file on one matter. A child is screened once; `awaited` names the children whose case each clock waits for."""

    centre: Place
    owner: str
    received_at: datetime
    incident_at: datetime | None
    incident_commune: Place | None
    residence_commune: Place | None
    emergency: bool
    procedures: tuple[Procedure, ...]
    children: Mapping[UUID, Reported]
    screened: frozenset[UUID] = frozenset()
    screenings: int = 0
    openings: int = 0
    awaited: Mapping[str, frozenset[UUID]] = field(default_factory=dict)
    cases: Mapping[UUID, UUID] = field(default_factory=dict)
    clocks: Clocks = field(default_factory=lambda: NO_CLOCKS)

    @property
    def unscreened(self) -> dict[UUID, Reported]:
        """The children nobody has decided about yet, in the order in which they were reported."""
        return {child: reported for child, reported in self.children.items() if child not in self.screened}

    @property
    def opening_clock(self) -> str:
        """Clock of the next screening that opens cases: one each, so that a later one never heals the breach of an earlier."""
        return "case-opened" if not self.openings else f"case-opened/{self.openings + 1}"


@dataclass(frozen=True)
class DataRequest:
    """A right that was asked for; `answers` are the latest of each stage."""

    right: Right
    answers: Mapping[DataStage, DataAnswer] = field(default_factory=dict)


@dataclass(frozen=True)
class Held:
    """Why the person may not be forgotten; `until_on` is the last day, `case_id` the open case it stands for."""

    hold: Hold
    until_on: date | None = None
    case_id: UUID | None = None

    @property
    def key(self) -> tuple[Hold, UUID | None]:
        """What it is known by: a later one replaces it."""
        return self.hold, self.case_id


@dataclass(frozen=True)
class Proposal:
    """An erasure that one data officer proposed and nobody has decided about."""

    basis: ErasureBasis
    proposed_by: str
    request: int | None = None


@dataclass(frozen=True)
class Person:
    """What becomes of the data of one mention of a human being.

    decision: the approval's, from which nothing goes back. forgotten_at: when the key was destroyed.
    """

    requests: Mapping[int, DataRequest] = field(default_factory=dict)
    holds: tuple[Held, ...] = ()
    restricted: RestrictionBasis | None = None
    proposal: Proposal | None = None
    decision: str | None = None
    forgotten_at: datetime | None = None
    clocks: Clocks = field(default_factory=lambda: NO_CLOCKS)

    def held(self, hold: Hold, case_id: UUID | None = None) -> Held | None:
        """The hold of this kind, of this case."""
        return next((held for held in self.holds if held.key == (hold, case_id)), None)

    def binding(self, today: date) -> list[Held]:
        """The holds that bind on this day."""
        return [held for held in self.holds if held.until_on is None or today <= held.until_on]


State = Contact | Record | Person


@singledispatch
def decide(command: Command, state: State | None) -> Iterator[IntakeFact]:
    """The facts that this command leads to. Raises Refused; NotImplementedError for a command that is not intake's."""
    raise NotImplementedError(type(command).__name__)


@singledispatch
def evolve(_: object, state: State | None) -> State | None:
    """The state after a fact. A fact may matter to others and change nothing here."""
    return state


fold_clocks_of(evolve)


def contact_in(state: State | None) -> Contact:
    """Raises Refused `not-found` for a stream of another kind: what is no contact is no contact of anybody's."""
    if not isinstance(state, Contact):
        raise Refused("not-found")
    return state


def record_in(state: State | None) -> Record:
    """Raises Refused `not-found` for a stream of another kind."""
    if not isinstance(state, Record):
        raise Refused("not-found")
    return state


def person_in(state: State | None) -> Person:
    """What is known of a person, of whom nothing has to be. Raises Refused `not-found` for a stream of another kind."""
    if not isinstance(state, Person | None):
        raise Refused("not-found")
    return state or Person()


def known_in(state: State | None) -> Person:
    """A person about whom something can still be decided. Raises Refused `not-found`, `person-forgotten`."""
    person = person_in(state)
    if person.forgotten_at:
        raise Refused("person-forgotten")
    return person


def desks(centre: Place) -> dict[str, Addressee]:
    """The desks of a centre by role: whoever answers there for a clock, and is told of its breach."""
    return {role: Addressee(role=role, place=centre) for role in ("supervisor_desk", "operator_desk")}


def not_in_the_future(command: Command, *instants: datetime | None) -> None:
    """Raises Refused `in-the-future` where somebody tells of what has not happened yet."""
    if any(at > command.now for at in (command.occurred_at, *instants) if at):
        raise Refused("in-the-future")

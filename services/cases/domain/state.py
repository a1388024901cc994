"""The case as its facts make it, and the two roots that the themes extend: `decide` and `evolve`.

Numbers. A *cycle* is one intervention: it opens with the first plan submitted since the last one closed, and `InterventionClosed`
ends it; cycles count 1, 2, 3 … and Form 03 names the cycle it belongs to. A *plan* is one text: `PlanSubmitted.plan` counts the
texts of a case 1, 2, 3 … through all cycles, so a resubmission is the next number, and an approval, a review and a closure name
exactly the text they are about. The closure of a cycle thus names its last text. One text counts at a time, `Case.plan`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import singledispatch
from typing import Any
from uuid import UUID

from contracts import clocks
from contracts.cases import CaseFact, ClockStarted
from contracts.clocks import NO_CLOCKS, Clocks, fold_clocks_of
from contracts.kernel import Command, Fact, Given, Refused, changed
from contracts.places import Place, province_of
from contracts.shapes import Addressee, PlanItem


@dataclass(frozen=True)
class NotedHandOff:
    """What this case last heard of a hand-off that carries it."""

    kind: str
    addressee: Addressee
    step: str
    item: int | None


@dataclass(frozen=True)
class Plan:
    """The text that counts in the open intervention. decision_no: of its approval. review: the version of its last review."""

    number: int
    digest: str
    items: tuple[PlanItem, ...]
    review_on: date
    author: str
    decision_no: str | None = None
    review: int | None = None


@dataclass(frozen=True)
class Case:
    """Protection of one child. Clear fields only: whoever has no key folds the same case.

    lead: the commune PC responsible. received: it has the hand-over. measures: active ones, number → applied_at. assessed: cycle
    of the last Form 03, 0 for none. plan: None while no intervention is open. plans: texts submitted so far. approved: whether any
    ever was. reviewer: author of the last Form 06. closed: the reason, None while open. version: facts folded so far.
    """

    record_id: UUID
    child_id: UUID
    incident_commune: Place
    residence_commune: Place | None
    lead: Place
    centre: Place
    emergency: bool
    procedures: frozenset[str]
    clocks: Clocks = field(default_factory=lambda: NO_CLOCKS)
    hand_offs: Mapping[UUID, NotedHandOff] = field(default_factory=dict)
    received: bool = False
    measures: Mapping[int, datetime] = field(default_factory=dict)
    measures_applied: int = 0
    cycle: int = 1
    assessed: int = 0
    plans: int = 0
    plan: Plan | None = None
    approved: bool = False
    reviewer: str | None = None
    closed: str | None = None
    version: int = 0

    @property
    def lead_pc(self) -> Addressee:
        """The People's Committee that leads: it owes what the clocks of the law measure."""
        return Addressee(role="commune_pc", place=self.lead)

    @property
    def desk(self) -> Addressee:
        """The supervisor desk of the line's centre that forwarded the child."""
        return Addressee(role="supervisor_desk", place=self.centre)


@singledispatch
def decide(command: Command, case: Any) -> Iterator[CaseFact]:
    """The facts this command leads to. Raises Refused; NotImplementedError for a command of another service."""
    raise NotImplementedError(type(command).__name__)


@singledispatch
def evolve(_: Fact, case: Any) -> Any:
    """What one fact makes of the case; a fact may matter to others and change nothing here."""
    return case


fold_clocks_of(evolve)


def counted(fact: Fact, case: Case | None) -> Case | None:
    """`evolve`, and one version more, for `InterventionClosed` names its review by version. None for facts of no case."""
    after: Case | None = evolve(fact, case)
    return after and changed(after, version=after.version + 1)


def act_on(command: Command, case: Case, *instants: datetime) -> None:
    """What every act of a person needs. Raises Refused `case-closed`, and `in-the-future` for what cannot have happened yet."""
    if case.closed:
        raise Refused("case-closed", reason=case.closed)
    not_in_the_future(command, *instants)


def not_in_the_future(command: Command, *instants: datetime) -> None:
    """Raises Refused `in-the-future` if the command, or an instant that it tells, lies after now."""
    if max(command.happened_at, *instants, command.now) > command.now:
        raise Refused("in-the-future")


def start(
    case: Case, clock: str, counted_from: datetime, given: Given, *, responsible: Addressee, on: date | None = None
) -> ClockStarted:
    """The fact that starts a clock of this case; a province's own internal level is that of the lead's province."""
    province = province_of(case.lead)
    parties = {"lead": case.lead_pc, "supervisor_desk": case.desk}
    if province:
        parties["province_health"] = Addressee(role="province_health", place=province)
    return clocks.start(
        ClockStarted,
        clock,
        counted_from,
        given,
        responsible=responsible,
        parties=parties,
        emergency=case.emergency,
        province=province,
        on=on,
    )

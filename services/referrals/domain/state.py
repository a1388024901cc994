"""What a stream of referrals knows: a hand-off or an agency. Clear fields only; sealed text stays in the facts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import singledispatch
from typing import Any
from uuid import UUID

from contracts.clocks import NO_CLOCKS, Clocks, fold_clocks_of
from contracts.kernel import Command, Fact, Refused
from contracts.shapes import Addressee, HandOff


@dataclass(frozen=True)
class Referral:
    """A hand-off to one addressee.

    of: the matter, without the cases withdrawn since. attempts: how often somebody tried to reach the addressee; untaken: how
    many of these ended without anybody taking over. level: the highest rung of the ladder that was told, 0 for none; rung: whom
    it named; told: everybody the ladder named, once each. revoked: for all its cases.
    """

    of: HandOff
    sender: str
    sent_at: datetime
    agency_id: UUID | None = None
    due_on: date | None = None
    delivered_at: datetime | None = None
    attempts: int = 0
    untaken: int = 0
    level: int = 0
    rung: tuple[Addressee, ...] = ()
    told: tuple[Addressee, ...] = ()
    acknowledged_at: datetime | None = None
    completed: bool = False
    revoked: bool = False
    clocks: Clocks = field(default_factory=lambda: NO_CLOCKS)

    @property
    def acknowledged(self) -> bool:
        """A named person of the addressee took over."""
        return self.acknowledged_at is not None

    @property
    def settled(self) -> bool:
        """Nobody waits for the addressee to take over any more."""
        return self.acknowledged or self.completed or self.revoked


@dataclass(frozen=True)
class Agency:
    """The body that fills a role at a place from a day on."""

    addressee: Addressee
    label: str
    valid_from_on: date
    clocks: Clocks = field(default_factory=lambda: NO_CLOCKS)


State = Referral | Agency | None


@singledispatch
def decide(command: Command, state: State) -> Iterator[Fact]:
    """The facts that this command leads to in this state; none if it changes nothing. Raises Refused."""
    raise NotImplementedError(type(command).__name__)


@singledispatch
def evolve(_: Fact, state: Any) -> Any:
    """The state after a fact. A fact may matter to others and change nothing here."""
    return state


fold_clocks_of(evolve)


def hand_off(state: State) -> Referral:
    """The hand-off that a command is about; the stream of an agency is none."""
    if not isinstance(state, Referral):
        raise Refused("not-found")
    return state


def instant(claimed: datetime | None, command: Command) -> datetime:
    """When something happened by the teller's word. Raises Refused for an instant still to come."""
    at = claimed or command.happened_at
    if at > command.now:
        raise Refused("in-the-future")
    return at

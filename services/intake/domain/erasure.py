"""Forgetting a person: one data officer proposes, another approves, the worker destroys the key and says so afterwards."""

from collections.abc import Iterator
from typing import ClassVar
from uuid import UUID

from contracts.calendar import local_day
from contracts.codes import DataRefusal, ErasureBasis
from contracts.intake import ErasureApproved, ErasureRefused, ErasureRequested, IntakeFact, PersonForgotten
from contracts.kernel import Command, Instant, Refused, changed
from contracts.shapes import Line, told
from services.intake.domain.state import Person, Proposal, State, decide, evolve, known_in, person_in

ASKS_FOR_IT = frozenset({"erase", "withdraw"})
"""Rights whose fulfilment may be to forget."""


class RequestErasure(Command):
    """Propose to forget the person. `request`: the number of the data request that asks for it, if one does.

    `known` is not the caller's to say: the service fills in whether anything was ever sealed for this id.
    """

    creates: ClassVar[bool] = True
    filled: ClassVar[frozenset[str]] = frozenset({"known"})

    basis: ErasureBasis
    request: int | None = None
    known: bool = True


class ApproveErasure(Command):
    """Agree with a proposal of somebody else. `decision`: number of the written decision, never a name.

    `undecided` is not the caller's to say: the service fills in the records in which the person is a child about whom nobody has
    decided yet, or whose case is being opened.
    """

    needs_if_match: ClassVar[bool] = True
    filled: ClassVar[frozenset[str]] = frozenset({"undecided"})

    decision: Line
    undecided: tuple[UUID, ...] = ()


class RefuseErasure(Command):
    """The person is not to be forgotten."""

    needs_if_match: ClassVar[bool] = True

    reason: DataRefusal


class ForgetPerson(Command):
    """The worker has destroyed the key."""

    decision: Line
    destroyed_at: Instant


@decide.register
def request_erasure(command: RequestErasure, state: State | None) -> Iterator[IntakeFact]:
    """Also while a hold binds, so that it is answered. A second proposal changes nothing. Refuses `no-such-request`, and
    `nothing-to-forget` where the id is nobody's: a slip in it would be certified, while the person meant lives on in the files.
    """
    person = known_in(state)
    if not command.known:
        raise Refused("nothing-to-forget")
    if command.request is not None and not _asks_for_it(person, command.request):
        raise Refused("no-such-request", requests=[n for n in sorted(person.requests) if _asks_for_it(person, n)])
    if not person.proposal and not person.decision:
        yield ErasureRequested(basis=command.basis, request=command.request, proposed_by=command.actor)


def _asks_for_it(person: Person, number: int) -> bool:
    return number in person.requests and person.requests[number].right in ASKS_FOR_IT


@decide.register
def approve_erasure(command: ApproveErasure, state: State | None) -> Iterator[IntakeFact]:
    """Refuses `nothing-requested`, `own-proposal`, `hold-binds`, `report-undecided`."""
    person = known_in(state)
    if not person.proposal:
        raise Refused("nothing-requested")
    if person.proposal.proposed_by == command.actor:
        raise Refused("own-proposal")
    if holds := person.binding(local_day(command.now)):
        raise Refused("hold-binds", holds=holds)
    if command.undecided:
        raise Refused("report-undecided", records=list(command.undecided))
    yield ErasureApproved(decision=command.decision, approved_by=command.actor)


@decide.register
def refuse_erasure(command: RefuseErasure, state: State | None) -> Iterator[IntakeFact]:
    """Refuses `nothing-requested`."""
    if not known_in(state).proposal:
        raise Refused("nothing-requested")
    yield ErasureRefused(reason=command.reason)


@decide.register
def forget_person(command: ForgetPerson, state: State | None) -> Iterator[IntakeFact]:
    """Once; the worker that repeats it after a crash changes nothing. Refuses `not-approved`."""
    person = person_in(state)
    if person.forgotten_at:
        return
    if command.decision != person.decision:
        raise Refused("not-approved")
    yield PersonForgotten(**told(command))


@evolve.register
def after_request(fact: ErasureRequested, state: State | None) -> State:
    return changed(person_in(state), proposal=Proposal(fact.basis, fact.proposed_by, fact.request))


@evolve.register
def after_approval(fact: ErasureApproved, state: State | None) -> State:
    return changed(person_in(state), proposal=None, decision=fact.decision)


@evolve.register
def after_refusal(_: ErasureRefused, state: State | None) -> State:
    return changed(person_in(state), proposal=None)


@evolve.register
def after_forgetting(fact: PersonForgotten, state: State | None) -> State:
    return changed(person_in(state), forgotten_at=fact.destroyed_at)

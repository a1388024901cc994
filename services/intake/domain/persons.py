"""Persons: what they may ask for (Law 91/2025), what forbids to forget them, and who may still see them.

The stream of a person has the id of the mention, which is the id of its key. The first command on it creates it.
"""

from collections.abc import Iterator
from datetime import date
from typing import ClassVar
from uuid import UUID

from contracts.clocks import meet, start
from contracts.codes import (
    Authority,
    DataAnswer,
    DataRefusal,
    DataStage,
    Hold,
    HoldEnd,
    RestrictionBasis,
    RestrictionEnd,
    Right,
)
from contracts.intake import (
    ClockBreached,
    ClockMet,
    ClockStarted,
    DataRequestAnswered,
    DataRequestReceived,
    HoldLifted,
    HoldPlaced,
    IntakeFact,
    PersonRestricted,
    RestrictionLifted,
)
from contracts.kernel import Command, Instant, Refused, changed
from contracts.places import NATION
from contracts.shapes import Addressee, Text, told
from services.intake.domain.state import DataRequest, Held, State, decide, evolve, known_in, not_in_the_future, person_in

DESK = Addressee(role="data_desk", place=NATION)
"""Answers for the rights of persons, and is told when a limit passed."""
OPEN_CASE = "open_case"


class ReceiveDataRequest(Command):
    """Somebody asks for a right over their data, or a child's. received_at: on whatever channel it reached the line."""

    creates: ClassVar[bool] = True

    right: Right
    received_at: Instant
    authority: Authority
    statement: Text | None = None


class AnswerDataRequest(Command):
    """The requester is answered (2 working days), or told that it is done (10 to 20 days by right)."""

    number: int
    stage: DataStage
    answer: DataAnswer
    reason: DataRefusal | None = None


class PlaceHold(Command):
    """The person may not be forgotten, without end or up to and with a day. Again: another day."""

    creates: ClassVar[bool] = True

    hold: Hold
    until_on: date | None = None


class LiftHold(Command):
    """A hold that a data officer placed binds no longer. That of an open case ends with the case."""

    needs_if_match: ClassVar[bool] = True

    hold: Hold
    reason: HoldEnd


class HoldForCase(Command):
    """A case was opened for this child."""

    creates: ClassVar[bool] = True

    case_id: UUID


class ReleaseCase(Command):
    """The case of this child is closed."""

    creates: ClassVar[bool] = True

    case_id: UUID


class RestrictPerson(Command):
    """Show the person to the data officer alone."""

    creates: ClassVar[bool] = True

    basis: RestrictionBasis


class LiftRestriction(Command):
    """Show the person again to whoever may see them."""

    needs_if_match: ClassVar[bool] = True

    reason: RestrictionEnd


@decide.register
def receive_data_request(command: ReceiveDataRequest, state: State | None) -> Iterator[IntakeFact]:
    """Two clocks from the receipt: for an answer, and for the deed by right. Refuses `future-receipt`, `person-forgotten`."""
    person = known_in(state)
    if command.received_at > command.now:
        raise Refused("future-receipt")
    number = len(person.requests) + 1
    yield DataRequestReceived(**told(command), number=number, person_id=command.given.stream)
    for rule in ("data-answer", "data-right"):
        yield start(
            ClockStarted,
            f"{rule}/{number}",
            command.received_at,
            command.given,
            responsible=DESK,
            parties={DESK.role: DESK},
            kind=command.right,
        )


@decide.register
def answer_data_request(command: AnswerDataRequest, state: State | None) -> Iterator[IntakeFact]:
    """Also of a forgotten person: the requester must be told. An erasure is done when the key is destroyed, and not before.

    Refuses `no-such-request`, `say-why`, `not-forgotten`.
    """
    person = person_in(state)
    not_in_the_future(command)
    request = person.requests.get(command.number)
    if request is None:
        raise Refused("no-such-request", requests=sorted(person.requests))
    if command.answer != "granted" and command.reason is None:
        raise Refused("say-why")
    if (request.right, command.stage, command.answer) == ("erase", "done", "granted") and not person.forgotten_at:
        raise Refused("not-forgotten")
    if request.answers.get(command.stage) != command.answer:
        yield DataRequestAnswered(**told(command))
    met = [f"data-answer/{command.number}"] + ([f"data-right/{command.number}"] if command.stage == "done" else [])
    yield from meet(ClockMet, ClockBreached, person.clocks, met, command.happened_at)


@decide.register
def place_hold(command: PlaceHold, state: State | None) -> Iterator[IntakeFact]:
    """Refuses `erasure-approved`: the key may be gone already, and a hold that comes too late is not called one."""
    person = known_in(state)
    if person.decision:
        raise Refused("erasure-approved")
    if person.held(command.hold) != Held(command.hold, command.until_on):
        yield HoldPlaced(**told(command))


@decide.register
def lift_hold(command: LiftHold, state: State | None) -> Iterator[IntakeFact]:
    """Refuses `not-held`."""
    person = known_in(state)
    if not person.held(command.hold):
        raise Refused("not-held", held=[held.hold for held in person.holds if held.case_id is None])
    yield HoldLifted(**told(command))


@decide.register
def hold_for_case(command: HoldForCase, state: State | None) -> Iterator[IntakeFact]:
    """Nothing once the erasure is approved: then no case was open, and there is nothing left to hold."""
    person = person_in(state)
    if not person.decision and not person.held(OPEN_CASE, command.case_id):
        yield HoldPlaced(hold=OPEN_CASE, case_id=command.case_id)


@decide.register
def release_case(command: ReleaseCase, state: State | None) -> Iterator[IntakeFact]:
    if person_in(state).held(OPEN_CASE, command.case_id):
        yield HoldLifted(hold=OPEN_CASE, reason="case_closed", case_id=command.case_id)


@decide.register
def restrict_person(command: RestrictPerson, state: State | None) -> Iterator[IntakeFact]:
    if known_in(state).restricted != command.basis:
        yield PersonRestricted(basis=command.basis)


@decide.register
def lift_restriction(command: LiftRestriction, state: State | None) -> Iterator[IntakeFact]:
    """Refuses `not-restricted`."""
    if not known_in(state).restricted:
        raise Refused("not-restricted")
    yield RestrictionLifted(reason=command.reason)


@evolve.register
def after_request(fact: DataRequestReceived, state: State | None) -> State:
    person = person_in(state)
    return changed(person, requests={**person.requests, fact.number: DataRequest(fact.right)})


@evolve.register
def after_answer(fact: DataRequestAnswered, state: State | None) -> State:
    person = person_in(state)
    request = person.requests[fact.number]
    answered = changed(request, answers={**request.answers, fact.stage: fact.answer})
    return changed(person, requests={**person.requests, fact.number: answered})


@evolve.register
def after_hold(fact: HoldPlaced, state: State | None) -> State:
    person, placed = person_in(state), Held(fact.hold, fact.until_on, fact.case_id)
    return changed(person, holds=(*(held for held in person.holds if held.key != placed.key), placed))


@evolve.register
def after_lifting(fact: HoldLifted, state: State | None) -> State:
    person = person_in(state)
    return changed(person, holds=tuple(held for held in person.holds if held.key != (fact.hold, fact.case_id)))


@evolve.register
def after_restriction(fact: PersonRestricted, state: State | None) -> State:
    return changed(person_in(state), restricted=fact.basis)


@evolve.register
def after_release(_: RestrictionLifted, state: State | None) -> State:
    return changed(person_in(state), restricted=None)

"""Contacts: received over any channel, looked at, classified. Nine in ten end here."""

from collections.abc import Iterator
from typing import Annotated, ClassVar
from uuid import UUID

from contracts.clocks import meet, start
from contracts.codes import Channel, ContactKind, Form, Language, LineCode, Tier
from contracts.intake import ClockBreached, ClockMet, ClockStarted, ContactAnswered, ContactClassified, ContactReceived, IntakeFact
from contracts.kernel import Command, Instant, Personal, Refused, changed
from contracts.places import Place
from contracts.shapes import Line, Text, told
from services.intake.domain.state import Contact, State, contact_in, decide, desks, evolve, not_in_the_future

FIRST_LOOK = "first-look"


class ReceiveContact(Command):
    """A contact reached the line. received_at: our receipt, from which clocks count. sent_at: the sender's word, a claim."""

    creates: ClassVar[bool] = True

    channel: Channel
    line: LineCode
    form: Form
    received_at: Instant
    sent_at: Instant | None = None
    centre: Place
    caller_id: UUID
    handle: Annotated[Line | None, Personal("caller_id")] = None
    text: Annotated[Text | None, Personal("caller_id")] = None
    files: Annotated[list[str] | None, Personal("caller_id")] = None


class AnswerContact(Command):
    """Somebody took the contact. agent: subject id, by default the one who says so; an exchange names the one it connected."""

    answered_at: Instant | None = None
    agent: Line | None = None
    interpreter_id: UUID | None = None


class ClassifyContact(Command):
    """What kind of contact it was; again is a correction. topics: codes, sealed under the caller."""

    kind: ContactKind
    tier: Tier
    language: Language | None = None
    topics: list[str] | None = None


@decide.register
def receive_contact(command: ReceiveContact, state: State | None) -> Iterator[IntakeFact]:
    """Refuses `future-receipt` and, for a stream that exists, `already-received`: the repeat of a delivery never comes here."""
    if state is not None:
        raise Refused("already-received")
    if command.received_at > command.now:
        raise Refused("future-receipt")
    yield ContactReceived(**told(command))
    if command.channel != "phone":  # a ringing telephone is answered, not looked at
        desk = desks(command.centre)
        responsible = desk["supervisor_desk"]
        yield start(ClockStarted, FIRST_LOOK, command.received_at, command.given, responsible=responsible, parties=desk)


@decide.register
def answer_contact(command: AnswerContact, state: State | None) -> Iterator[IntakeFact]:
    """Another agent is a further answer; the same one again changes nothing."""
    contact = contact_in(state)
    not_in_the_future(command, command.answered_at)
    agent, at = command.agent or command.actor, command.answered_at or command.happened_at
    if (agent, command.interpreter_id) != (contact.agent, contact.interpreter_id):
        yield ContactAnswered(answered_at=at, agent=agent, interpreter_id=command.interpreter_id)
        yield from meet(ClockMet, ClockBreached, contact.clocks, FIRST_LOOK, at)


@decide.register
def classify_contact(command: ClassifyContact, state: State | None) -> Iterator[IntakeFact]:
    """Topics are sealed and not known here, so a class that brings some is always told."""
    contact = contact_in(state)
    not_in_the_future(command)
    known = (contact.kind, contact.tier, contact.language)
    if command.topics is not None or (command.kind, command.tier, command.language) != known:
        yield ContactClassified(caller_id=contact.caller_id, **told(command))
        yield from meet(ClockMet, ClockBreached, contact.clocks, FIRST_LOOK, command.happened_at)


@evolve.register
def after_received(fact: ContactReceived, _: State | None) -> State:
    return Contact(fact.channel, fact.centre, fact.caller_id, fact.received_at)


@evolve.register
def after_answered(fact: ContactAnswered, state: Contact) -> State:
    return changed(state, agent=fact.agent, interpreter_id=fact.interpreter_id)


@evolve.register
def after_classified(fact: ContactClassified, state: Contact) -> State:
    return changed(state, kind=fact.kind, tier=fact.tier, language=fact.language)

"""Reports: what somebody told about one or more children (Form 01, Decree 56/2017 art. 25), the first fact of a record."""

from collections.abc import Iterator
from typing import ClassVar
from uuid import UUID

from contracts.clocks import start
from contracts.codes import Procedure, Relation, Source, entries
from contracts.intake import ClockStarted, IntakeFact, ReportReceived
from contracts.kernel import Command, Instant, Refused
from contracts.places import Place, province_of
from contracts.shapes import Alleged, Child, Informant, told
from services.intake.domain.state import Record, Reported, State, decide, desks, evolve, not_in_the_future

SCREENING = "screening"
PROTECTED = frozenset({"under_7", "7_15", "unknown"})
"""Age bands under the Children Law art. 1; in doubt somebody is a child."""


class ReceiveReport(Command):
    """Form 01. Almost everything is optional, the informant's name above all; children may be added later.

    received_at: receipt by the first lawful receiving point, not the typing: every legal clock counts from it.
    """

    creates: ClassVar[bool] = True

    contacts: list[UUID]
    source: Source
    centre: Place
    received_at: Instant
    incident_at: Instant | None = None
    incident_commune: Place | None = None
    residence_commune: Place | None = None
    children: list[Child]
    alleged: list[Alleged]
    informant: Informant | None = None
    emergency: bool
    procedures: list[Procedure]

    @property
    def story(self) -> UUID | None:  # pyrefly: ignore[missing-override-decorator]  # typing has `override` from 3.12
        return self.contacts[0] if self.contacts else None


@decide.register
def receive_report(command: ReceiveReport, state: State | None) -> Iterator[IntakeFact]:
    """The record begins, owned by whoever typed it. Refuses `already-received`, `future-receipt`, `in-the-future`,
    `person-named-twice`, `emergency-cannot-be-off`.
    """
    if state is not None:
        raise Refused("already-received")
    if command.received_at > command.now:
        raise Refused("future-receipt")
    not_in_the_future(command, command.incident_at)
    _one_mention_each(command)
    if not command.emergency and _ground_given(command):
        raise Refused("emergency-cannot-be-off")
    yield ReportReceived(owner=command.actor, **told(command))
    desk = desks(command.centre)
    yield start(
        ClockStarted,
        SCREENING,
        command.received_at,
        command.given,
        responsible=desk["supervisor_desk"],
        parties=desk,
        emergency=command.emergency,
        province=command.incident_commune and province_of(command.incident_commune),
    )


def _one_mention_each(command: ReceiveReport) -> None:
    """A person is one mention with one key: two mentions under one id could not be forgotten apart."""
    informant = [command.informant.person_id] if command.informant else []
    people = [child.child_id for child in command.children] + [other.person_id for other in command.alleged] + informant
    if twice := sorted({person for person in people if people.count(person) > 1}):
        raise Refused("person-named-twice", persons=twice)


def _ground_given(command: ReceiveReport) -> bool:
    """Art. 31.1: grave danger, or father, mother or carer is the alleged perpetrator; whatever the risk."""
    if any(child.grounds for child in command.children):
        return True
    protected = not command.children or any(child.age_band in PROTECTED for child in command.children)
    return protected and any(_parent_or_carer(other.relation_to_child) for other in command.alleged)


def _parent_or_carer(relation: Relation | None) -> bool:
    while relation is not None and relation != "art_31_1":
        relation = entries("relation")[relation].parent
    return relation is not None


@evolve.register
def after_reported(fact: ReportReceived, _: State | None) -> State:
    return Record(
        centre=fact.centre,
        owner=fact.owner,
        received_at=fact.received_at,
        incident_at=fact.incident_at,
        incident_commune=fact.incident_commune,
        residence_commune=fact.residence_commune,
        emergency=fact.emergency,
        procedures=tuple(fact.procedures),
        children={child.child_id: Reported(child.age_band, child.age_basis) for child in fact.children},
    )

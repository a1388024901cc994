"""Agencies: which body fills a role at a place, and how it is reached."""

from collections.abc import Iterator
from datetime import date
from typing import ClassVar
from uuid import UUID

from contracts.codes import RoleCode
from contracts.kernel import Command, Refused
from contracts.places import Place
from contracts.referrals import AgencyRegistered, ReferralFact
from contracts.shapes import Addressee, AgencyContact, Line
from services.referrals.domain.state import Agency, State, decide, evolve


class RegisterAgency(Command):
    """The body that fills a role at a place from a day on; its contacts stand in the order to be tried.

    `taken_by`: not the caller's to say; the service's wiring fills it from its directory before the decision: the agency that is
    registered for the same role, place and day. Refused: `place-taken`.
    """

    creates: ClassVar[bool] = True
    filled: ClassVar[frozenset[str]] = frozenset({"taken_by"})
    role: RoleCode
    place: Place
    label: Line
    valid_from_on: date
    contacts: list[AgencyContact]
    taken_by: UUID | None = None


@decide.register
def register_agency(command: RegisterAgency, state: State) -> Iterator[ReferralFact]:
    if state or command.taken_by:
        raise Refused("place-taken")
    yield AgencyRegistered(
        agency_id=command.given.stream,
        role=command.role,
        place=command.place,
        label=command.label,
        valid_from_on=command.valid_from_on,
        contacts=command.contacts,
    )


@evolve.register
def registered(fact: AgencyRegistered, _: State) -> Agency:
    return Agency(Addressee(role=fact.role, place=fact.place), fact.label, fact.valid_from_on)

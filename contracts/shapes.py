"""Values that several services' facts share (catalogue of shapes)."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from contracts.codes import (
    AgeBand,
    AgeBasis,
    HandOffKind,
    Language,
    Level,
    Regime,
    Relation,
    RoleCode,
    Service,
    Sex,
)
from contracts.kernel import Personal, Shape
from contracts.places import Place

Text = Annotated[str, Field(min_length=1, max_length=20_000)]
Line = Annotated[str, Field(min_length=1, max_length=300)]


class Addressee(Shape):
    """Role and place, whoever fills it that day: `commune_pc@99801@2025-07-01`."""

    role: RoleCode
    place: Place

    def __str__(self) -> str:
        return f"{self.role}@{self.place}"

    def __hash__(self) -> int:
        return hash((self.role, self.place))


class Child(Shape):
    """A child as reported (Form 01). Unknown age counts as a child. Text about several children is stored once per child."""

    child_id: UUID
    age_band: AgeBand
    age_basis: AgeBasis
    sex: Sex
    language: Language | None = None
    name: Annotated[Line | None, Personal("child_id")] = None
    birth: Annotated[Line | None, Personal("child_id")] = None
    marks: Annotated[Text | None, Personal("child_id")] = None
    personal_id: Annotated[Line | None, Personal("child_id")] = None
    address: Annotated[Text | None, Personal("child_id")] = None
    school: Annotated[Line | None, Personal("child_id")] = None
    ethnicity: Annotated[Line | None, Personal("child_id")] = None
    groups: Annotated[list[str] | None, Personal("child_id")] = None
    state: Annotated[Text | None, Personal("child_id")] = None
    household: Annotated[Text | None, Personal("child_id")] = None
    concerns: Annotated[list[str] | None, Personal("child_id")] = None
    setting: Annotated[Line | None, Personal("child_id")] = None
    online: Annotated[bool | None, Personal("child_id")] = None
    grounds: Annotated[list[str] | None, Personal("child_id")] = None
    narrative: Annotated[Text | None, Personal("child_id")] = None


class Alleged(Shape):
    """An alleged perpetrator: a mention, never a finding."""

    person_id: UUID
    name: Annotated[Line | None, Personal("person_id")] = None
    relation_to_child: Annotated[Relation | None, Personal("person_id")] = None
    age: Annotated[Line | None, Personal("person_id")] = None
    sex: Annotated[Sex | None, Personal("person_id")] = None
    address: Annotated[Text | None, Personal("person_id")] = None
    note: Annotated[Text | None, Personal("person_id")] = None


class Informant(Shape):
    """Who told us. Without agreement the name is shown to nobody but the view `informant`."""

    person_id: UUID
    agrees_to_be_named: bool
    name: Annotated[Line | None, Personal("person_id")] = None
    phone: Annotated[Line | None, Personal("person_id")] = None
    address: Annotated[Text | None, Personal("person_id")] = None
    relation: Annotated[Relation | None, Personal("person_id")] = None
    language: Annotated[Language | None, Personal("person_id")] = None


class ScreenedChild(Shape):
    """A child for whom the screening decided."""

    child_id: UUID
    age_band: AgeBand
    age_basis: AgeBasis
    note: Annotated[Text | None, Personal("child_id")] = None


class HandOff(Shape):
    """The matter a referral carries: copied into each of its facts, so that reactions need no memory.

    `lead` is the commune responsible for the cases when it was handed off: told when a result is overdue, named in the message.
    """

    kind: HandOffKind
    record_id: UUID
    cases: list[UUID] = Field(min_length=1)
    children: list[UUID] = Field(min_length=1)
    addressee: Addressee
    centre: Place
    emergency: bool
    item: int | None = None
    lead: Place | None = None


class PlanItem(Shape):
    """One line of a plan: which service, by whom, until when."""

    item: int = Field(ge=1)
    service: Service
    regime: Regime | None = None
    provider: Addressee | None = None
    due_on: date | None = None


class Answer(Shape):
    """One row of Form 02, 03 or 06. Counts per level are derived, never stored."""

    row: Line
    level: Level
    note: Text | None = None


class PerChild(Shape):
    """Text about one child, sealed under that child: forgetting one leaves the others."""

    child_id: UUID
    text: Annotated[Text | None, Personal("child_id")] = None


class ChildDigest(Shape):
    """What a hand-off says about one child, as SHA-256 over salt and RFC 8785 JSON; the salt is sealed."""

    child_id: UUID
    digest: str
    salt: Annotated[str | None, Personal("child_id")] = None


class AgencyContact(Shape):
    """One way to reach an agency, in the order to be tried."""

    channel: Line
    address: Line
    hours: Line | None = None


class About(Shape):
    """What a message is about: the kind of stream and its id."""

    kind: Line
    id: UUID


def told(shape: Shape) -> dict[str, Any]:
    """The fields of a command as keyword arguments of its fact, without what belongs to the envelope."""
    return {name: value for name, value in shape if name != "occurred_at"}

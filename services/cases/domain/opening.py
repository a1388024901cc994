"""How a case begins: one a child and record, by a screening and by nothing else."""

from collections.abc import Iterator
from typing import ClassVar
from uuid import UUID

from contracts.cases import CaseFact, CaseOpened
from contracts.codes import AgeBand, AgeBasis, Level, Procedure
from contracts.kernel import Command, Instant, Refused
from contracts.places import Place
from contracts.shapes import told
from services.cases.domain.state import Case, decide, evolve, start


class OpenCase(Command):
    """A screening asks for the protection of this child. The commune of the incident leads (Decree 56/2017 art. 26.1)."""

    creates: ClassVar[bool] = True
    record_id: UUID
    child_id: UUID
    received_at: Instant
    incident_commune: Place
    residence_commune: Place | None = None
    centre: Place
    incident_at: Instant | None = None
    risk: Level
    emergency: bool
    procedures: list[Procedure]
    age_band: AgeBand
    age_basis: AgeBasis


@decide.register
def open_case(command: OpenCase, case: Case | None) -> Iterator[CaseFact]:
    """The case, and the clocks of the law from the receipt of the information, not from the typing.

    Intake has judged the instants against its own time; another machine's clock must not keep a child from having a case.
    """
    if case:
        raise Refused("already-open")
    opened = CaseOpened(**told(command), lead=command.incident_commune)
    begun = opened_case(opened, None)
    yield opened
    # Art. 26.1: forwarded at once. It is the line that owes this, so the line's desk is responsible, not the commune.
    yield start(begun, "handover", command.received_at, command.given, responsible=begun.desk)
    if command.emergency:  # art. 26.3, 31.1: twelve hours, whatever the score and the procedure
        yield start(begun, "emergency", command.received_at, command.given, responsible=begun.lead_pc)


@evolve.register
def opened_case(fact: CaseOpened, _: Case | None) -> Case:
    """The case at its first fact."""
    return Case(
        record_id=fact.record_id,
        child_id=fact.child_id,
        incident_commune=fact.incident_commune,
        residence_commune=fact.residence_commune,
        lead=fact.lead,
        centre=fact.centre,
        emergency=fact.emergency,
        procedures=frozenset(fact.procedures),
    )

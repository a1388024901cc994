"""Emergency measures: any competent body may act, and the first that does meets the twelve hours (Decree 56/2017 art. 26.3, 31)."""

from collections.abc import Iterator

from contracts import clocks
from contracts.cases import CaseFact, ClockBreached, ClockMet, EmergencyMeasureApplied, EmergencyMeasureEnded
from contracts.codes import Measure, MeasureEnd
from contracts.kernel import Command, Instant, Refused, changed
from contracts.shapes import Addressee, Text, told
from services.cases.domain.state import Case, act_on, decide, evolve


class ApplyEmergencyMeasure(Command):
    """A body has acted for the child. `by` is whoever acted, `applied_at` when it did, however late it is told."""

    measure: Measure
    by: Addressee
    applied_at: Instant
    place: Text | None = None
    note: Text | None = None


class EndEmergencyMeasure(Command):
    """A measure is over."""

    number: int
    ended_at: Instant
    because: MeasureEnd


@decide.register
def apply_emergency_measure(command: ApplyEmergencyMeasure, case: Case) -> Iterator[CaseFact]:
    act_on(command, case, command.applied_at)
    yield EmergencyMeasureApplied(**told(command), number=case.measures_applied + 1, child_id=case.child_id)
    yield from clocks.meet(ClockMet, ClockBreached, case.clocks, "emergency", command.applied_at)


@decide.register
def end_emergency_measure(command: EndEmergencyMeasure, case: Case) -> Iterator[CaseFact]:
    act_on(command, case, command.ended_at)
    applied_at = case.measures.get(command.number)
    if applied_at is None or command.ended_at < applied_at:
        raise Refused("no-such-measure", active=sorted(case.measures))
    yield EmergencyMeasureEnded(**told(command))


@evolve.register
def _(fact: EmergencyMeasureApplied, case: Case) -> Case:
    return changed(case, measures={**case.measures, fact.number: fact.applied_at}, measures_applied=fact.number)


@evolve.register
def _(fact: EmergencyMeasureEnded, case: Case) -> Case:
    return changed(case, measures={number: at for number, at in case.measures.items() if number != fact.number})

"""Review, the end of an intervention, and the chair's decision that ends the case (Decree 56/2017 art. 30)."""

from collections.abc import Iterator
from typing import ClassVar
from uuid import UUID

from contracts import clocks
from contracts.cases import CaseClosed, CaseFact, ClockBreached, ClockMet, ClockWaived, InterventionClosed, ReviewRecorded
from contracts.codes import CloseReason, InterventionOutcome, ReviewConclusion
from contracts.forms import FilledForm
from contracts.kernel import Command, Refused, changed
from contracts.shapes import Text, told
from services.cases.domain.forms import indicated_conclusion
from services.cases.domain.state import Case, act_on, decide, evolve, start

NEEDS_NO_INTERVENTION = frozenset({"not_confirmed", "out_of_scope", "reached_age", "died"})
"""Reasons for which a case may end without any intervention: each says that none is owed, or none is possible, any more.

The others would leave a child unprotected unseen: `settled` claims a protection that there never was, and a child who `moved` or
with whom contact was lost needs another lead or a search, not an end. They wait until the information is verified.
"""


class RecordReview(FilledForm, Command):
    """Form 06 (art. 30), on the approved plan. `disagrees` is needed where the conclusion is not that of the answers."""

    form_id: ClassVar[str] = "form06"
    conclusion: ReviewConclusion


class CloseIntervention(Command):
    """The chair ends the open intervention on its review; the hand-offs in `revoke` are no longer owed."""

    needs_if_match: ClassVar[bool] = True
    outcome: InterventionOutcome
    revoke: tuple[UUID, ...] = ()
    note: Text | None = None


class CloseCase(Command):
    """The chair ends the case (art. 30.1)."""

    needs_if_match: ClassVar[bool] = True
    reason: CloseReason
    note: Text | None = None


@decide.register
def record_review(command: RecordReview, case: Case) -> Iterator[CaseFact]:
    act_on(command, case)
    if case.plan is None or case.plan.decision_no is None:
        raise Refused("no-approved-plan")
    if command.conclusion != indicated_conclusion(command.answers) and command.disagrees is None:
        raise Refused("reason-needed", indicated=indicated_conclusion(command.answers))
    yield ReviewRecorded(**told(command), plan=case.plan.number, author=command.actor, child_id=case.child_id)
    yield from clocks.meet(ClockMet, ClockBreached, case.clocks, "review", command.happened_at)


@decide.register
def close_intervention(command: CloseIntervention, case: Case) -> Iterator[CaseFact]:
    act_on(command, case)
    if case.plan is None or case.plan.review is None:  # a plan that was changed or approved anew is reviewed anew
        raise Refused("review-first")
    if unknown := [referral for referral in command.revoke if referral not in case.hand_offs]:
        raise Refused("no-such-hand-off", unknown=unknown)
    yield InterventionClosed(**told(command), plan=case.plan.number, review=case.plan.review, child_id=case.child_id)
    if command.outcome == "risk_remains":  # art. 30.1c: a new cycle; the law gives it no number, so its days count from here
        yield start(case, "plan-internal", command.happened_at, command.given, responsible=case.lead_pc)


@decide.register
def close_case(command: CloseCase, case: Case) -> Iterator[CaseFact]:
    act_on(command, case)
    statutory = {name for name in case.clocks if command.given.rules.legal(name.partition("/")[0])}
    if still_open := [*_open_parts(case), *(name for name in sorted(statutory) if clocks.running(case.clocks, name))]:
        raise Refused("still-open", open=still_open)  # a breached clock of the law blocks nothing, and its breach stays
    if command.actor == case.reviewer:
        raise Refused("own-review")
    if case.cycle == 1 and command.reason not in NEEDS_NO_INTERVENTION:
        raise Refused("verify-first", without_intervention=sorted(NEEDS_NO_INTERVENTION))
    yield CaseClosed(**told(command), decided_by=command.actor, lead=case.lead, child_id=case.child_id)
    yield from clocks.waive(ClockWaived, case.clocks, sorted(case.clocks.keys() - statutory), "settled", command.actor)


def _open_parts(case: Case) -> list[str]:
    intervention = ["intervention"] if case.plan else []
    return intervention + [f"emergency-measure/{number}" for number in case.measures]


@evolve.register
def _(fact: ReviewRecorded, case: Case) -> Case:
    plan = case.plan and changed(case.plan, review=case.version + 1)  # the version that this very fact has
    return changed(case, plan=plan, reviewer=fact.author)


@evolve.register
def _(_: InterventionClosed, case: Case) -> Case:
    return changed(case, plan=None, cycle=case.cycle + 1)


@evolve.register
def _(fact: CaseClosed, case: Case) -> Case:
    return changed(case, closed=fact.reason)

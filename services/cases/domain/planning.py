"""From Form 03 to the approval: what is wrong, what shall be done, and the chair's decision on exactly that text (art. 27, 28)."""

from collections.abc import Iterator
from datetime import date
from typing import ClassVar

from contracts import clocks
from contracts.cases import (
    CaseFact,
    ClockBreached,
    ClockMet,
    ClockWaived,
    DetailedAssessmentRecorded,
    PlanApproved,
    PlanItems,
    PlanSubmitted,
)
from contracts.codes import Level
from contracts.digest import digest
from contracts.forms import FilledForm
from contracts.kernel import Command, Refused, changed
from contracts.shapes import Line, Text, told
from services.cases.domain.forms import indicated_level
from services.cases.domain.state import Case, Plan, act_on, decide, evolve, start

BOUND = ("goals", "activities", "items", "review_on")
"""What the digest of a plan binds: SHA-256(salt ‖ RFC 8785 JSON of these fields as the fact shows them)."""


class RecordDetailedAssessment(FilledForm, Command):
    """Form 03 (art. 27): danger and needs. `disagrees` is needed where the chosen level is not that of the answers."""

    form_id: ClassVar[str] = "form03"
    level: Level
    minutes: Line | None = None
    child_wishes: Text | None = None
    family_wishes: Text | None = None
    needs: Text | None = None


class SubmitPlan(Command):
    """Form 04 (art. 28.1). Its digest is computed here and answered; submitting again voids the approval of the text before."""

    goals: Text
    activities: Text
    items: PlanItems
    review_on: date


class ApprovePlan(Command):
    """Form 05 (art. 28.2): the chair approves the text with this digest, and no other."""

    needs_if_match: ClassVar[bool] = True
    digest: Line
    decision_no: Line


@decide.register
def record_detailed_assessment(command: RecordDetailedAssessment, case: Case) -> Iterator[CaseFact]:
    act_on(command, case)
    if command.level != indicated_level(command.answers) and command.disagrees is None:
        raise Refused("reason-needed", indicated=indicated_level(command.answers))
    yield DetailedAssessmentRecorded(**told(command), cycle=case.cycle, child_id=case.child_id)


@decide.register
def submit_plan(command: SubmitPlan, case: Case) -> Iterator[CaseFact]:
    act_on(command, case)
    if case.assessed != case.cycle and not case.measures:  # in an emergency the plan may come before Form 03
        raise Refused("assess-first", cycle=case.cycle)
    salt = command.given.salt
    content = command.model_dump(mode="json", include=set(BOUND))
    yield PlanSubmitted(
        **told(command),
        plan=case.plans + 1,
        digest=digest(salt, content),
        author=command.actor,
        child_id=case.child_id,
        salt=salt.hex(),
    )
    yield from clocks.meet(ClockMet, ClockBreached, case.clocks, ("plan-draft", "plan-internal"), command.happened_at)


@decide.register
def approve_plan(command: ApprovePlan, case: Case) -> Iterator[CaseFact]:
    act_on(command, case)
    plan = case.plan
    if plan is None:
        raise Refused("no-plan-submitted")
    if command.digest != plan.digest:
        raise Refused("plan-changed-since-read", plan=plan.number)
    if command.actor == plan.author:
        raise Refused("own-plan")
    if plan.decision_no == command.decision_no:
        return  # this very decision stands already
    if plan.decision_no is not None:
        raise Refused("no-plan-submitted", approved=plan.number)
    yield PlanApproved(
        plan=plan.number,
        digest=plan.digest,
        items=list(plan.items),
        review_on=plan.review_on,
        decision_no=command.decision_no,
        signatory=command.actor,
        record_id=case.record_id,
        child_id=case.child_id,
        centre=case.centre,
        lead=case.lead,
        emergency=case.emergency,
    )
    yield from clocks.meet(ClockMet, ClockBreached, case.clocks, "procedure", command.happened_at)
    # The review owed under the text before ran on until a second person put another text and its date in its place. If it was
    # breached, the breach stays in the history.
    yield from clocks.waive(ClockWaived, case.clocks, ["review"], "settled", command.actor)
    yield start(case, "review", command.happened_at, command.given, responsible=case.lead_pc, on=plan.review_on)


@evolve.register
def _(fact: DetailedAssessmentRecorded, case: Case) -> Case:
    return changed(case, assessed=fact.cycle)


@evolve.register
def _(fact: PlanSubmitted, case: Case) -> Case:
    plan = Plan(fact.plan, fact.digest, tuple(fact.items), fact.review_on, fact.author)
    return changed(case, plan=plan, plans=fact.plan)


@evolve.register
def _(fact: PlanApproved, case: Case) -> Case:
    return changed(case, plan=case.plan and changed(case.plan, decision_no=fact.decision_no), approved=True)

"""One invented child's case in facts and commands, for the tests beside this file. Times are those of an ordinary Tuesday."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from contracts.cases import (
    CaseOpened,
    ClockBreached,
    ClockMet,
    ClockStarted,
    DetailedAssessmentRecorded,
    HandOffNoted,
    InterventionClosed,
    PlanApproved,
    PlanSubmitted,
    ReviewRecorded,
)
from contracts.forms import rows
from contracts.shapes import Addressee, Answer, PlanItem
from services.cases.domain.opening import OpenCase

RECORD, CHILD, REFERRAL = UUID(int=1), UUID(int=2), UUID(int=3)
COMMUNE, OTHER_COMMUNE, PROVINCE, CENTRE = "99803@2025-07-01", "99801@2025-07-01", "98@2025-07-01", "danang@2025-07-01"
RECEIVED = datetime(2026, 3, 3, 2, 10, tzinfo=UTC)  # 09:10 in Đà Nẵng
DELIVERED = datetime(2026, 3, 3, 2, 36, tzinfo=UTC)
REVIEW_ON = date(2026, 6, 1)

LEAD = Addressee(role="commune_pc", place=COMMUNE)
DESK = Addressee(role="supervisor_desk", place=CENTRE)
HEALTH = Addressee(role="province_health", place=PROVINCE)
POLICE = Addressee(role="police", place=COMMUNE)
SHELTER = Addressee(role="social_facility", place=PROVINCE)

ITEM = PlanItem(item=1, service="psychological", provider=SHELTER)
TEXT: dict[str, Any] = {"goals": "an toàn ở nhà bà", "activities": "thăm mỗi tuần", "items": [ITEM], "review_on": REVIEW_ON}


def asked(**but: Any) -> OpenCase:
    """The command by which the case opens: at risk, no emergency, incident and residence in the same commune."""
    usual: dict[str, Any] = {
        "record_id": RECORD,
        "child_id": CHILD,
        "received_at": RECEIVED,
        "incident_commune": COMMUNE,
        "residence_commune": COMMUNE,
        "centre": CENTRE,
        "risk": "medium",
        "emergency": False,
        "procedures": ["child_protection"],
        "age_band": "7_15",
        "age_basis": "stated",
    }
    return OpenCase(**{**usual, **but})


def opened(**but: Any) -> CaseOpened:
    """The fact that `asked` with the same differences leads to."""
    return CaseOpened(**asked(**but).model_dump(exclude={"occurred_at"}), lead=COMMUNE)


def clock(name: str, due_at: datetime, responsible: Addressee = LEAD, rule: str = "rule@day") -> ClockStarted:
    """A clock that runs, for histories in which only its name and due time matter."""
    return ClockStarted(clock=name, rule=rule, counted_from=RECEIVED, due_at=due_at, responsible=responsible, tell=[DESK])


def breached(started: ClockStarted) -> ClockBreached:
    """The breach of a clock: it stays with the body that was responsible."""
    return ClockBreached(clock=started.clock, due_at=started.due_at, responsible=started.responsible, tell=started.tell)


def met(name: str, at: datetime, late: bool = False) -> ClockMet:
    return ClockMet(clock=name, met_at=at, late=late)


def noted(step: str, at: datetime = DELIVERED, kind: str = "handover", addressee: Addressee = LEAD) -> HandOffNoted:
    return HandOffNoted(referral_id=REFERRAL, kind=kind, addressee=addressee, step=step, at=at)


def answers(form: str, level: str) -> list[Answer]:
    """All rows of the form, so answered that each points to this level of danger."""
    good = {"high": "low", "low": "high"}.get(level, level)
    return [Answer(row=row, level=good if ".capacity." in row else level) for row in sorted(rows(form))]


def assessed(cycle: int = 1) -> DetailedAssessmentRecorded:
    return DetailedAssessmentRecorded(form="form03@2017-07-01", cycle=cycle, level="medium", child_id=CHILD)


def submitted(plan: int = 1, digest: str = "aa", author: str = "officer-7") -> PlanSubmitted:
    return PlanSubmitted(plan=plan, digest=digest, items=[ITEM], review_on=REVIEW_ON, author=author, child_id=CHILD)


def approved(plan: int = 1, digest: str = "aa", decision_no: str = "12/QĐ-UBND") -> PlanApproved:
    return PlanApproved(
        plan=plan,
        digest=digest,
        items=[ITEM],
        review_on=REVIEW_ON,
        decision_no=decision_no,
        signatory="chair-1",
        record_id=RECORD,
        child_id=CHILD,
        centre=CENTRE,
        emergency=False,
    )


def reviewed(plan: int = 1, author: str = "officer-7") -> ReviewRecorded:
    return ReviewRecorded(plan=plan, form="form06@2017-07-01", conclusion="close", author=author, child_id=CHILD)


def intervention_closed(plan: int = 1, review: int = 5) -> InterventionClosed:
    return InterventionClosed(plan=plan, outcome="goals_met", review=review, revoke=[], child_id=CHILD)

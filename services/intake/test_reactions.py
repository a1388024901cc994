"""What intake does when it hears cases."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from chassis.mapper import Recorded
from contracts.cases import CaseClosed, CaseOpened
from services.intake.domain.persons import HoldForCase, ReleaseCase
from services.intake.domain.screening import LinkCase
from services.intake.reactions import REACTIONS

AT = datetime(2026, 3, 3, 2, 36, tzinfo=UTC)
RECORD, CHILD, CASE = UUID(int=1), UUID(int=2), UUID(int=3)
OPENED = CaseOpened(
    record_id=RECORD,
    child_id=CHILD,
    received_at=AT - timedelta(hours=1),
    incident_commune="99801@2025-07-01",
    lead="99801@2025-07-01",
    centre="hanoi@2025-07-01",
    risk="high",
    emergency=False,
    procedures=["child_protection"],
    age_band="7_15",
    age_basis="stated",
)


def wanted(heard):
    """What the reactions want when they hear this, by reaction."""
    found = {
        reaction.name: (reaction.wants, list(reaction.commands(heard)))
        for reaction in REACTIONS
        if reaction.hears is type(heard.fact)
    }
    assert all(kind is type(command) for kind, asked in found.values() for _, command in asked)
    return {name: asked for name, (_, asked) in found.items()}


def test_a_record_learns_the_case_of_its_child_as_of_the_instant_it_was_opened_and_the_case_holds_the_child():
    heard = Recorded(CASE, 1, OPENED, {}, "cases", 7, AT)
    link = LinkCase(case_id=CASE, child_id=CHILD, occurred_at=AT)
    assert {"link-case": [(RECORD, link)], "hold-child": [(CHILD, HoldForCase(case_id=CASE))]} == wanted(heard)


def test_a_closed_case_holds_its_child_no_longer():
    closed = CaseClosed(reason="settled", decided_by="CT-1", lead="99801@2025-07-01", child_id=CHILD)
    heard = Recorded(CASE, 9, closed, {}, "cases", 70, AT)
    assert {"release-child": [(CHILD, ReleaseCase(case_id=CASE))]} == wanted(heard)


def test_no_refusal_of_a_reaction_is_taken_for_success():
    assert {frozenset()} == {reaction.done for reaction in REACTIONS}

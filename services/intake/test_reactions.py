"""What intake does when it hears cases."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from chassis.mapper import Recorded
from contracts.cases import CaseOpened
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


def test_a_record_learns_the_case_of_its_child_as_of_the_instant_it_was_opened():
    heard = Recorded(CASE, 1, OPENED, {}, "cases", 7, AT)
    (reaction,) = [reaction for reaction in REACTIONS if reaction.hears is CaseOpened]
    assert [(RECORD, LinkCase(case_id=CASE, child_id=CHILD, occurred_at=AT))] == list(reaction.commands(heard))
    assert LinkCase is reaction.wants


def test_no_refusal_of_a_link_is_taken_for_success():
    assert [frozenset()] == [reaction.done for reaction in REACTIONS]

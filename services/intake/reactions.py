"""What intake does when it hears other services."""

from chassis.mapper import Recorded
from chassis.reaction import Reaction, Reactions, Wanted
from contracts.cases import CaseOpened
from services.intake.domain.screening import LinkCase


def link_case(heard: Recorded) -> Wanted:
    """The record learns the case of each of its children, which exists since it was recorded there, not since it is heard here."""
    if isinstance(heard.fact, CaseOpened):
        command = LinkCase(case_id=heard.stream, child_id=heard.fact.child_id, occurred_at=heard.recorded_at)
        yield heard.fact.record_id, command


REACTIONS: Reactions = [Reaction("link-case", CaseOpened, LinkCase, link_case)]

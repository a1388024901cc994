"""What intake does when it hears other services."""

from chassis.mapper import Recorded
from chassis.reaction import Reaction, Reactions, Wanted
from contracts.cases import CaseClosed, CaseOpened
from services.intake.domain.persons import HoldForCase, ReleaseCase
from services.intake.domain.screening import LinkCase


def link_case(heard: Recorded) -> Wanted:
    """The record learns the case of each of its children, which exists since it was recorded there, not since it is heard here."""
    if isinstance(heard.fact, CaseOpened):
        command = LinkCase(case_id=heard.stream, child_id=heard.fact.child_id, occurred_at=heard.recorded_at)
        yield heard.fact.record_id, command


def hold_child(heard: Recorded) -> Wanted:
    """A child with an open case may not be forgotten."""
    if isinstance(heard.fact, CaseOpened):
        yield heard.fact.child_id, HoldForCase(case_id=heard.stream)


def release_child(heard: Recorded) -> Wanted:
    """The case is closed: it holds the child no longer."""
    if isinstance(heard.fact, CaseClosed):
        yield heard.fact.child_id, ReleaseCase(case_id=heard.stream)


REACTIONS: Reactions = [
    Reaction("link-case", CaseOpened, LinkCase, link_case),
    Reaction("hold-child", CaseOpened, HoldForCase, hold_child),
    Reaction("release-child", CaseClosed, ReleaseCase, release_child),
]

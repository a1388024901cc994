"""The lead is told when a case is closed, and of nothing that happened in it."""

from uuid import UUID

from chassis.mapper import Recorded
from contracts.cases import CaseClosed
from contracts.ids import thread_of
from contracts.shapes import Addressee
from services.notifications.reactions import REACTIONS

CASE, CHILD = UUID(int=1), UUID(int=2)
LEAD = Addressee(role="commune_pc", place="99803@2025-07-01")


def test_the_lead_hears_that_the_case_is_closed():
    closed = CaseClosed(reason="settled", decided_by="chair-1", lead=LEAD.place, child_id=CHILD)
    heard = Recorded(CASE, 9, closed, {}, "cases", 41)
    (reaction,) = [each for each in REACTIONS if each.hears is CaseClosed]
    ((thread, command),) = reaction.commands(heard)
    assert thread_of(CASE, LEAD) == thread
    assert ("case_closed", LEAD, None) == (command.letter.template, command.recipient, command.letter.children)

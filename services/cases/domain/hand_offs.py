"""What a case hears of its hand-offs: the forwarding that the law wants at once, the receipt that starts the commune's days."""

from collections.abc import Iterator
from typing import Final
from uuid import UUID

from contracts import clocks
from contracts.cases import CaseFact, ClockBreached, ClockMet, HandOffNoted
from contracts.codes import HandOffKind, HandOffStep
from contracts.kernel import Command, Instant, changed
from contracts.shapes import Addressee, told
from services.cases.domain.state import Case, NotedHandOff, decide, evolve, start

RECEIPT: Final = frozenset({"delivered", "acknowledged"})


class NoteHandOff(Command):
    """A hand-off that carries this case has moved. A closed case notes it, too: what was handed over is not taken back by closing.

    A case that does not exist refuses with `not-found`, and the fact is parked. That is right: referrals names only cases that the
    screening asked for, and the screening is heard before any hand-off it caused, so a missing case is a fault that must be seen.
    """

    referral_id: UUID
    kind: HandOffKind
    addressee: Addressee
    step: HandOffStep
    at: Instant
    item: int | None = None


@decide.register
def note_hand_off(command: NoteHandOff, case: Case) -> Iterator[CaseFact]:
    """Notes it, and moves the clocks that hang on it. Referrals has judged `at`: a skewed clock here must not park it."""
    yield HandOffNoted(**told(command))
    # Art. 26.1 wants the commune PC told. Where child protection is not among the procedures, any competent body will do.
    if command.step == "sent" and (command.addressee == case.lead_pc or "child_protection" not in case.procedures):
        yield from clocks.meet(ClockMet, ClockBreached, case.clocks, "handover", command.at)
    if _is_receipt(command, case) and not case.received and not case.closed:
        yield from _plan_is_owed(command, case)


def _is_receipt(noted: NoteHandOff | HandOffNoted, case: Case) -> bool:
    return noted.kind == "handover" and noted.step in RECEIPT and noted.addressee == case.lead_pc


def _plan_is_owed(command: NoteHandOff, case: Case) -> Iterator[CaseFact]:
    """The commune PC's days begin with its first receipt. What is done already is not owed, so its clock does not start."""
    done: dict[str, bool] = {}
    if case.emergency:  # art. 28 leaves emergencies without a number; the internal one stands beside the twelve hours
        done = {"plan-internal": case.plans > 0}
    elif "child_protection" in case.procedures:  # the decree owes a plan to children under its protection only
        done = {"plan-draft": case.plans > 0, "procedure": case.approved}
    for clock, is_done in done.items():
        if not is_done:
            yield start(case, clock, command.at, command.given, responsible=case.lead_pc)


@evolve.register
def _(fact: HandOffNoted, case: Case) -> Case:
    before = case.hand_offs.get(fact.referral_id)
    step = "revoked" if before and before.step == "revoked" else fact.step  # a late delivery gives nobody the matter back
    noted = NotedHandOff(fact.kind, fact.addressee, step, fact.item)
    received = case.received or _is_receipt(fact, case)
    return changed(case, hand_offs={**case.hand_offs, fact.referral_id: noted}, received=received)

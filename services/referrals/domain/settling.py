"""Settling: what was asked for is done, or the matter is withdrawn."""

from collections.abc import Iterator
from typing import ClassVar
from uuid import UUID

from contracts import clocks
from contracts.codes import CompletionResult, RevokeReason
from contracts.ids import case_of
from contracts.kernel import Command, Instant, Refused, changed
from contracts.referrals import ClockBreached, ClockMet, ClockWaived, ReferralCompleted, ReferralFact, ReferralRevoked
from contracts.shapes import HandOff, PerChild
from services.referrals.domain.state import Referral, State, decide, evolve, hand_off, instant
from services.referrals.domain.taking import COMPLETION


class CompleteReferral(Command):
    """What was asked for is done, or cannot be. The report is kept per child.

    Refused: `acknowledge-first` (a result without a person who took over is nobody's), `already-revoked`, `in-the-future`.
    """

    result: CompletionResult
    at: Instant | None = None
    report: tuple[PerChild, ...] = ()


@decide.register
def complete_referral(command: CompleteReferral, state: State) -> Iterator[ReferralFact]:
    referral = hand_off(state)
    if referral.revoked:
        raise Refused("already-revoked")
    if not referral.acknowledged:
        raise Refused("acknowledge-first")
    if referral.completed:
        return
    at = instant(command.at, command)
    yield ReferralCompleted(of=referral.of, result=command.result, at=at, report=list(command.report))
    yield from clocks.meet(ClockMet, ClockBreached, referral.clocks, COMPLETION, at)


@evolve.register
def completed(_: ReferralCompleted, state: Referral) -> Referral:
    return changed(state, completed=True)


class RevokeReferral(Command):
    """Withdraw the matter for some or all of its cases; for all of them nothing is owed any more. Other cases are passed over."""

    needs_if_match: ClassVar[bool] = True
    cases: list[UUID]
    reason: RevokeReason


@decide.register
def revoke_referral(command: RevokeReferral, state: State) -> Iterator[ReferralFact]:
    referral = hand_off(state)
    withdrawn = [case for case in referral.of.cases if case in command.cases]
    if not withdrawn or referral.completed or referral.revoked:
        return
    yield ReferralRevoked(of=referral.of, cases=withdrawn, reason=command.reason, told=list(referral.told))
    if withdrawn == referral.of.cases:
        yield from clocks.waive(ClockWaived, referral.clocks, sorted(referral.clocks), "revoked", command.actor)


@evolve.register
def revoked(fact: ReferralRevoked, state: Referral) -> Referral:
    if set(fact.cases) >= set(state.of.cases):
        return changed(state, revoked=True)
    return changed(state, of=_without(state.of, fact.cases))


def _without(of: HandOff, cases: list[UUID]) -> HandOff:
    """What is left of the matter: later facts speak of the remaining cases only."""
    return of.model_copy(
        update={
            "cases": [case for case in of.cases if case not in cases],
            "children": [child for child in of.children if case_of(of.record_id, child) not in cases],
        }
    )

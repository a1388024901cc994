"""The ladder: who is told when nobody takes over, one rung at a time, each once. Silence is a fact, never a missing one.

While a hand-off is not settled its `acknowledgement` runs: it starts with the sending and again with each rung that a breach tells.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from contracts import clocks
from contracts.clocks import BreachClock, WaiveClock
from contracts.codes import EscalationReason
from contracts.kernel import Command, Refused, changed
from contracts.places import NATION, province_of
from contracts.referrals import ClockBreached, ClockStarted, ClockWaived, ReferralEscalated, ReferralFact
from contracts.rules import Rules
from contracts.shapes import Addressee, HandOff
from services.referrals.domain.state import Referral, State, decide, evolve, hand_off

ACKNOWLEDGEMENT = "acknowledgement"


class EscalateReferral(Command):
    """Tell the next rung now. `undelivered_to`: whom a message about the hand-off could not reach, where that is the reason.

    Refused: `already-settled`. Past the top of the ladder nothing happens: there the clock alone speaks.
    """

    because: EscalationReason
    undelivered_to: Addressee | None = None


@decide.register
def escalate_referral(command: EscalateReferral, state: State) -> Iterator[ReferralFact]:
    referral = hand_off(state)
    if referral.settled:
        raise Refused("already-settled")
    if command.undelivered_to is None or _is_news(command.undelivered_to, referral):
        yield from tell_next_rung(referral, command.because, command)


def _is_news(unreached: Addressee, referral: Referral) -> bool:
    """A rung that was told long ago is not owed an answer, and that no agency is known was told with the sending."""
    if unreached == referral.of.addressee:
        return referral.agency_id is not None
    return unreached in referral.rung


@decide.register
def breach_clock(command: BreachClock, state: State) -> Iterator[ReferralFact]:
    if not isinstance(state, Referral):
        return
    breached = list(clocks.breach(ClockBreached, state.clocks, command))
    yield from breached
    if breached and command.clock == ACKNOWLEDGEMENT:
        escalated = _next_rung(state, "silence", command.given.rules)
        yield escalated
        yield start_acknowledgement(went_up(escalated, state), command.now, command)


@decide.register
def waive_clock(command: WaiveClock, state: State) -> Iterator[ReferralFact]:
    referral = hand_off(state)
    waived = list(clocks.asked_to_waive(ClockWaived, referral.clocks, command))
    if command.clock == ACKNOWLEDGEMENT:  # nobody may let a hand-off fall silent: it is taken over, or it is revoked
        raise Refused("still-open", clock=command.clock)
    yield from waived


@evolve.register
def went_up(fact: ReferralEscalated, state: Referral) -> Referral:
    told = tuple(dict.fromkeys((*state.told, *fact.to)))
    return changed(state, level=fact.level, rung=tuple(fact.to), told=told)


def tell_next_rung(referral: Referral, because: str, command: Command) -> Iterator[ReferralEscalated]:
    """Tell the next rung beside the running clock. Past the top only the clock speaks: undeliverable mail goes round no longer."""
    escalated = _next_rung(referral, because, command.given.rules)
    if escalated.level <= command.given.rules.rungs(referral.of.kind):
        yield escalated


def start_acknowledgement(referral: Referral, counted_from: datetime, command: Command) -> ClockStarted:
    """The clock of the addressee's answer; once the top of the ladder is told it runs for the pause of the reminders."""
    of, rules = referral.of, command.given.rules
    top = referral.level >= rules.rungs(of.kind)
    return clocks.start(
        ClockStarted,
        ACKNOWLEDGEMENT,
        counted_from,
        command.given,
        responsible=of.addressee,
        parties={},
        until=counted_from + rules.ladder_pause(of.kind) if top else None,
        **acknowledgement_limits(of),
    )


def acknowledgement_limits(of: HandOff) -> dict[str, Any]:
    """What the limit of an acknowledgement depends on."""
    return {"kind": of.kind, "emergency": of.emergency, "province": province_of(of.addressee.place)}


def _next_rung(referral: Referral, because: str, rules: Rules) -> ReferralEscalated:
    """The next rung that names anybody but the silent addressee itself; past the top, those told again and again."""
    of, top = referral.of, rules.rungs(referral.of.kind)
    for level in range(referral.level + 1, top + 1):
        if to := [body for body in _bodies(of, rules.ladder(of.kind, level)) if body != of.addressee]:
            return ReferralEscalated(of=of, level=level, to=to, because=because)
    level = max(referral.level, top) + 1
    return ReferralEscalated(of=of, level=level, to=_bodies(of, rules.ladder(of.kind, level)), because=because)


def _bodies(of: HandOff, roles: tuple[str, ...]) -> list[Addressee]:
    """The bodies that fill these roles for this hand-off; a role nobody fills there is left out."""
    places = {
        "supervisor_desk": of.centre,
        "province_health": province_of(of.addressee.place) or (of.lead and province_of(of.lead)),
        "central_department": NATION,
    }
    return [Addressee(role=role, place=place) for role in roles if (place := places.get(role))]

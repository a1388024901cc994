"""Taking over: what reached the addressee, how often it was tried, and who there took the matter into their hands."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from contracts import clocks
from contracts.codes import AttemptResult, Via
from contracts.kernel import Command, Instant, Refused, changed
from contracts.referrals import (
    AttemptRecorded,
    ClockBreached,
    ClockMet,
    ClockRecomputed,
    ClockStarted,
    ReferralAcknowledged,
    ReferralDelivered,
    ReferralFact,
)
from contracts.shapes import Addressee, Line, PerChild
from services.referrals.domain.ladder import ACKNOWLEDGEMENT, acknowledgement_limits, tell_next_rung
from services.referrals.domain.state import Referral, State, decide, evolve, hand_off, instant

COMPLETION = "completion"


class RecordDelivery(Command):
    """It reached the addressee: a mail server's word, or the opened link. Never an acknowledgement; the first delivery counts.

    `to`: whom a message about the hand-off reached; only the addressee's own is a delivery. None: the opened link.
    """

    via: Via
    delivered_at: Instant | None = None
    to: Addressee | None = None


@decide.register
def record_delivery(command: RecordDelivery, state: State) -> Iterator[ReferralFact]:
    referral = hand_off(state)
    if referral.delivered_at or command.to not in (None, referral.of.addressee):
        return
    # The word of another machine: a clock a little ahead there must not lose the delivery.
    at = min(command.delivered_at or command.happened_at, command.now)
    yield ReferralDelivered(of=referral.of, via=command.via, delivered_at=at)
    if clocks.running(referral.clocks, ACKNOWLEDGEMENT):
        yield from _recount(referral, at, command)


def _recount(referral: Referral, delivered_at: datetime, command: Command) -> Iterator[ClockRecomputed]:
    """The addressee's time counts from the delivery. A rung's own clock stays, and so does a due time that passed before it."""
    clock = referral.clocks[ACKNOWLEDGEMENT]
    if clock.counted_from != referral.sent_at or not clock.counted_from < delivered_at <= clock.due_at:
        return
    due = command.given.rules.due(ACKNOWLEDGEMENT, delivered_at, command.now, **acknowledgement_limits(referral.of))
    if due.due_at != clock.due_at:
        yield ClockRecomputed(
            clock=ACKNOWLEDGEMENT,
            was_due_at=clock.due_at,
            due_at=due.due_at,
            because="delivery",
            rule=due.rule,
            calendar=due.calendar,
        )


@evolve.register
def delivered(fact: ReferralDelivered, state: Referral) -> Referral:
    return changed(state, delivered_at=fact.delivered_at)


class RecordAttempt(Command):
    """Somebody tried to reach the addressee; what was said is kept per child. `at` defaults to when it happened.

    As many fruitless attempts as the rules say (2) tell the next rung without waiting for the clock. Refused: `in-the-future`.
    """

    via: Via
    to: Line
    at: Instant | None = None
    result: AttemptResult
    words: tuple[PerChild, ...] = ()


@decide.register
def record_attempt(command: RecordAttempt, state: State) -> Iterator[ReferralFact]:
    referral = hand_off(state)
    attempt = AttemptRecorded(
        of=referral.of,
        number=referral.attempts + 1,
        via=command.via,
        to=command.to,
        at=instant(command.at, command),
        result=command.result,
        words=list(command.words),
    )
    yield attempt
    tried = attempted(attempt, referral)
    enough = command.given.rules.attempts(referral.of.kind)
    if not referral.settled and referral.untaken < enough <= tried.untaken:
        yield from tell_next_rung(referral, "attempts", command)


@evolve.register
def attempted(fact: AttemptRecorded, state: Referral) -> Referral:
    return changed(state, attempts=fact.number, untaken=state.untaken + (fact.result != "reached"))


class AcknowledgeReferral(Command):
    """A named person of the addressee takes the matter over. Whoever comes second gets the first answer.

    `taker_id`: a new person id (UUIDv4); on the acknowledgement page the wiring derives it. Refused: `name-needed`,
    `already-revoked`, `in-the-future`.
    """

    via: Via
    acknowledged_at: Instant | None = None
    office: Line
    taker_id: UUID
    visit_by: Instant | None = None
    name: str | None = None
    phone: Line | None = None


@decide.register
def acknowledge_referral(command: AcknowledgeReferral, state: State) -> Iterator[ReferralFact]:
    referral = hand_off(state)
    if referral.revoked:
        raise Refused("already-revoked")
    if referral.acknowledged:
        return
    if not (name := (command.name or "").strip()):
        raise Refused("name-needed")
    at = instant(command.acknowledged_at, command)
    yield ReferralAcknowledged(
        of=referral.of,
        via=command.via,
        acknowledged_at=at,
        office=command.office,
        taker_id=command.taker_id,
        visit_by=command.visit_by,
        told=list(referral.told),
        name=name,
        phone=command.phone,
    )
    yield from clocks.meet(ClockMet, ClockBreached, referral.clocks, ACKNOWLEDGEMENT, at)
    if referral.due_on or referral.of.kind == "help":
        yield _start_completion(referral, at, command)


def _start_completion(referral: Referral, at: datetime, command: Command) -> ClockStarted:
    of = referral.of
    parties = {"supervisor_desk": Addressee(role="supervisor_desk", place=of.centre)}
    if of.lead:
        parties["lead"] = Addressee(role="commune_pc", place=of.lead)
    return clocks.start(
        ClockStarted,
        COMPLETION,
        at,
        command.given,
        responsible=of.addressee,
        parties=parties,
        kind=of.kind,
        emergency=of.emergency,
        on=referral.due_on,
    )


@evolve.register
def taken_over(fact: ReferralAcknowledged, state: Referral) -> Referral:
    return changed(state, acknowledged_at=fact.acknowledged_at)

"""The promise of every hand-off, on random histories: it is settled or its clock runs, and nobody is told twice what they know."""

from datetime import datetime
from functools import reduce
from itertools import pairwise
from typing import Any

from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from contracts.clocks import BreachClock, WaiveClock, running
from contracts.kernel import Command, Given, Refused
from contracts.referrals import (
    ClockStarted,
    ClockWaived,
    ReferralAcknowledged,
    ReferralDelivered,
    ReferralEscalated,
)
from contracts.rules import DEMO, LAW
from services.referrals.domain import decide, evolve
from services.referrals.domain.ladder import EscalateReferral
from services.referrals.domain.sending import SendReferral
from services.referrals.domain.settling import CompleteReferral, RevokeReferral
from services.referrals.domain.taking import RecordAttempt, RecordDelivery
from services.referrals.test_samples import (
    AGENCY,
    COMMUNE,
    DAY,
    DEPARTMENT,
    HELP,
    HER_CASE,
    HIS_CASE,
    MATTER,
    MINUTE,
    ON_TIME,
    PROVINCE,
    SERVICE,
    SUPERVISORS,
    TO_POLICE,
    URGENT,
    acknowledgement,
)
from tests.given import NOW, STREAM

BODIES = st.sampled_from([COMMUNE, SUPERVISORS, PROVINCE, DEPARTMENT])
MATTERS = [MATTER, URGENT, TO_POLICE, HELP, SERVICE, MATTER.model_copy(update={"kind": "copy", "addressee": PROVINCE})]
SENDINGS = st.builds(
    SendReferral, of=st.sampled_from(MATTERS), agency_id=st.sampled_from([AGENCY, None]), due_on=st.sampled_from([None, ON_TIME])
)
RESULTS = st.sampled_from(["no_answer", "busy", "in_meeting", "wrong_number", "reached_no_takeover", "reached"])
WAIVERS = st.builds(
    WaiveClock,
    clock=st.sampled_from(["acknowledgement", "completion"]),
    reason=st.just("settled"),
    approved_by=st.sampled_from(["officer-7", "officer-8"]),
)
DELIVERIES = st.builds(RecordDelivery, via=st.sampled_from(["smtp_accepted", "dsn", "link"]), to=BODIES | st.none())
ATTEMPTS = st.builds(RecordAttempt, via=st.just("phone"), to=st.just("duty phone"), result=RESULTS)
ESCALATIONS = st.builds(EscalateReferral, because=st.sampled_from(["undeliverable", "silence"]), undelivered_to=BODIES | st.none())
TIMERS = st.builds(BreachClock, clock=st.sampled_from(["acknowledgement", "completion"]))
REVOCATIONS = st.builds(
    RevokeReferral,
    cases=st.lists(st.sampled_from([HIS_CASE, HER_CASE]), unique=True, max_size=2),
    reason=st.just("not_needed"),
)
UNANSWERED = TIMERS | TIMERS | DELIVERIES | ATTEMPTS | ESCALATIONS | WAIVERS
ANYTHING = UNANSWERED | REVOCATIONS | st.builds(acknowledgement) | st.builds(CompleteReferral, result=st.just("done"))
PAUSES = st.sampled_from([0 * MINUTE, MINUTE, 40 * MINUTE, 5 * 60 * MINUTE, DAY, 3 * DAY])
RULES = st.sampled_from([LAW, DEMO])


def histories(commands):
    """A hand-off and what happens to it afterwards, each after a pause."""
    return st.tuples(RULES, SENDINGS, st.lists(st.tuples(PAUSES, commands), max_size=30))


def played(history) -> list[tuple[datetime, Command, list[Any], Any]]:
    """Each append of the history: when, by which command, with which facts, to which state."""
    rules, sending, steps = history
    now, state, appends = NOW, None, []
    for pause, command in [(0 * MINUTE, sending), *steps]:
        now += pause
        try:
            facts = list(decide(command.knowing(Given("officer-7", "counsellor", now, rules, STREAM, bytes(16))), state))
        except Refused:
            continue
        state = reduce(lambda so_far, fact: evolve(fact, so_far), facts, state)
        appends.append((now, command, facts, state))
    return appends


def told(history, kind):
    return [fact for *_, facts, _ in played(history) for fact in facts if isinstance(fact, kind)]


@for_all(histories(ANYTHING))
def test_on_every_prefix_a_hand_off_is_settled_or_its_acknowledgement_runs(history):
    for *_, state in played(history):
        assert state.settled != running(state.clocks, "acknowledgement")


@for_all(histories(ANYTHING))
def test_at_most_one_acknowledgement_clock_runs_and_it_is_the_addressees(history):
    before = None
    for _, command, facts, state in played(history):
        started = [fact for fact in facts if isinstance(fact, ClockStarted) and fact.clock == "acknowledgement"]
        if started:
            assert isinstance(command, SendReferral | BreachClock)
            assert 1 == len(started)
            assert state.of.addressee == started[0].responsible
            assert before is None or running(before.clocks, "acknowledgement")
        before = state


@for_all(histories(ANYTHING))
def test_each_rung_is_told_once_and_the_ladder_is_climbed_upwards(history):
    levels = [fact.level for fact in told(history, ReferralEscalated)]
    assert sorted(set(levels)) == levels
    on_ladder = [body for fact in told(history, ReferralEscalated) if fact.level <= LAW.rungs("handover") for body in fact.to]
    assert len(set(on_ladder)) == len(on_ladder)


@for_all(histories(UNANSWERED))
def test_past_the_top_of_the_ladder_the_desk_is_told_at_most_once_a_day(history):
    past = [
        (at, fact)
        for at, _, facts, _ in played(history)
        for fact in facts
        if isinstance(fact, ReferralEscalated) and fact.level > LAW.rungs("handover")
    ]
    assert all(([SUPERVISORS], "silence") == (fact.to, fact.because) for _, fact in past)
    assert all(later - earlier >= DAY for (earlier, _), (later, _) in pairwise(past))


@for_all(histories(UNANSWERED))
def test_neither_delivery_nor_attempt_nor_silence_ever_takes_a_matter_over(history):
    assert [] == told(history, ReferralAcknowledged)
    assert not any(state.settled for *_, state in played(history))


@for_all(histories(ANYTHING))
def test_a_hand_off_is_delivered_once_and_taken_over_once(history):
    assert 2 > len(told(history, ReferralDelivered))
    assert 2 > len(told(history, ReferralAcknowledged))


@for_all(histories(ANYTHING))
@settings(max_examples=200)
def test_what_owes_a_result_has_a_completion_clock_until_it_comes_or_is_waived(history):
    waived = False
    for _, _, facts, state in played(history):
        waived |= any(isinstance(fact, ClockWaived) and fact.clock == "completion" for fact in facts)
        owes = state.acknowledged and (state.due_on is not None or state.of.kind == "help")
        assert ("completion" in state.clocks) == (owes and not waived and not state.completed)


@for_all(histories(ANYTHING))
def test_everybody_the_ladder_told_is_remembered_in_the_order_of_telling(history):
    so_far: dict[Any, None] = {}
    for *_, facts, state in played(history):
        so_far |= dict.fromkeys(body for fact in facts if isinstance(fact, ReferralEscalated) for body in fact.to)
        assert list(so_far) == list(state.told)

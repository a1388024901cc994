"""Processes killed at every named place, several at once, while the line is at work. Then counting, which must be able to fail."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from aiokafka import AIOKafkaProducer

from chassis.kafka import topic_of
from contracts import referrals
from deploy.local.stack import SERVICES
from tests.faults.desks import Desks
from tests.faults.invariants import INVARIANTS, broken
from tests.faults.kills import REACHED_BY, Killer
from tests.faults.snapshot import streams

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def killer(line):
    """Every place was reached once, and ended a process; strangers wrote into every topic."""
    asyncio.run(strangers(line))
    killer = Killer(line.stack, Random(111))
    with Desks(line, Random(111), 3) as desks:
        left = killer.kill(1, seconds=240)
        desks.tell(3)
    assert ([], {}) == (desks.complaints, left)
    return killer


@pytest.fixture(scope="module")
def arrived(line, killer):
    """The mails of officials, by their Message-ID; looked at before the counting, which moves the clock and so makes more of them."""
    folders = [folder for folder in line.stack.smtp.folder.iterdir() if not folder.name.startswith("tongdai")]
    return [mail["Message-ID"] for folder in folders for mail in line.mails(folder.name)]


@pytest.fixture(scope="module")
def counted(line, killer, arrived):
    return line.snapshot()


async def strangers(line):
    """Records in every topic that no relay wrote."""
    producer = AIOKafkaProducer(bootstrap_servers=line.stack.kafka.bootstrap)
    await producer.start()
    try:
        for service in SERVICES:
            for headers in ([], [("ce_id", b"seven")], [("ce_id", b"7"), ("ce_type", b"x")]):
                await producer.send_and_wait(topic_of(service), b"\xff{", partition=0, headers=headers)
    finally:
        await producer.stop()


def test_nothing_that_was_answered_is_lost_and_nothing_happened_twice_wherever_a_process_died(counted):
    assert len([attempt for attempt in counted.attempts if attempt.outcome == "unknown"]) > 0
    assert [] == broken(counted)


def test_every_place_ended_a_process_and_its_successor_was_ready_again(killer):
    assert set(REACHED_BY) == set(killer.hits)
    assert killer.hits.total() == len(killer.recoveries)


def test_nothing_was_parked_for_a_process_that_died_or_a_stranger_that_wrote(counted):
    assert set() == counted.parked


def test_no_mail_is_told_as_sent_twice_and_a_repeat_shows_itself_by_its_message_id(killer, arrived, counted):
    sent = [event.fact.provider_ref for event in counted.logs["notifications"] if event.fact.TOPIC == "notifications.MessageSent"]
    assert len(sent) == len(set(sent))
    assert len(arrived) <= len(sent) + killer.hits.total()  # at least once: at most one repeat a kill


# The counting would have noticed


def answered(s):
    return next(attempt for attempt in reversed(s.attempts) if attempt.outcome == "ok" and attempt.told)


def attempts(s, change):
    """What was answered last, otherwise."""
    last = answered(s)
    return replace(s, attempts=[each for each in s.attempts if each.key != last.key] + [change(last)])


def answered_and_lost(s):
    told = answered(s).told[0]
    return replace(s, logs=s.logs | {told.log: s.logs[told.log][: told.position - 1]})


def answered_otherwise(s):
    told = answered(s).told[0]
    return replace(s, content=s.content | {(told.log, told.position): told.fact | {"text": "otherwise"}})


def missing(s, log):
    return replace(s, logs=s.logs | {log: s.logs[log][:-1]})


def doubled(s, log, kind=None):
    """The last event, or the last of this kind, stands there once more."""
    last = [event for event in s.logs[log] if kind in (None, event.fact.TOPIC)][-1]
    return replace(s, logs=s.logs | {log: [*s.logs[log], last]})


def without(s, *topics):
    logs = {log: [event for event in events if event.fact.TOPIC not in topics] for log, events in s.logs.items()}
    return replace(s, logs=logs)


def changed(s, log, change):
    """The last event of a log, otherwise."""
    return replace(s, logs=s.logs | {log: [*s.logs[log][:-1], change(s.logs[log][-1])]})


def caused_as_another(s):
    cause = next(event.meta["cause"] for event in s.logs["intake"] if event.meta["cause"].startswith("rest:"))
    return changed(s, "intake", lambda event: replace(event, meta={**event.meta, "cause": cause}))


def due(s):
    """A hand-off that was taken over, as if a result had been owed by a day."""
    own = next(
        own
        for own in streams(s.logs["referrals"]).values()
        if any(isinstance(event.fact, referrals.ReferralAcknowledged) for event in own)
    )
    first = replace(own[0], fact=own[0].fact.model_copy(update={"due_on": date(2030, 1, 1)}))
    return replace(s, logs=s.logs | {"referrals": [first if event is own[0] else event for event in s.logs["referrals"]]})


def table(s, *name):
    rows = s.kept[name]
    return replace(s, kept=s.kept | {name: set(list(rows)[1:]) if rows else {"a row that nothing says"}})


EARLIER = datetime(2000, 1, 1, tzinfo=UTC)
DAMAGE = {
    "an answered fact is gone": (answered_and_lost, "what_was_answered_is_there_with_that_content"),
    "an answered fact says something else": (answered_otherwise, "what_was_answered_is_there_with_that_content"),
    "a key did more than was answered": (
        lambda s: attempts(s, lambda last: last._replace(told=last.told[:-1])),
        "what_was_answered_is_there_once",
    ),
    "what was refused was done": (
        lambda s: attempts(s, lambda last: last._replace(outcome="failed")),
        "what_was_refused_is_not_there",
    ),
    "a key made two commands": (caused_as_another, "what_nobody_answered_is_there_at_most_once"),
    "a file was shown and nothing says so": (
        lambda s: replace(s, looked=[*s.looked, *s.looked]),
        "what_was_shown_was_recorded_before",
    ),
    "a mail never left": (lambda s: replace(s, mailed=set()), "what_is_told_as_sent_is_in_a_mailbox"),
    "a told fact is gone": (lambda s: missing(s, "cases"), "a_topic_tells_its_log_from_the_first_position_on"),
    "a fact stands twice": (lambda s: doubled(s, "referrals"), "positions_and_versions_are_dense"),
    "a stamp runs back": (
        lambda s: changed(s, "intake", lambda event: replace(event, recorded_at=EARLIER)),
        "time_never_runs_backwards",
    ),
    "a command is not known": (lambda s: replace(s, commands=s.commands | {"cases": {}}), "every_command_stands_once_and_whole"),
    "a reaction did nothing": (lambda s: replace(s, commands=s.commands | {"cases": {}}), "what_is_heard_is_applied_or_parked"),
    "a topic begins late": (
        lambda s: replace(s, topics=s.topics | {"cases": s.topics["cases"][3:]}),
        "a_topic_tells_its_log_from_the_first_position_on",
    ),
    "a topic has a hole": (
        lambda s: replace(s, topics=s.topics | {"cases": [told for told in s.topics["cases"] if told[0] != 3]}),
        "a_topic_tells_its_log_from_the_first_position_on",
    ),
    "a topic tells something else": (
        lambda s: replace(s, topics=s.topics | {"cases": [*s.topics["cases"], (1, b"{}")]}),
        "a_topic_tells_the_bytes_of_its_log",
    ),
    "a service is behind": (lambda s: replace(s, heard=s.heard | {("cases", "intake"): 1}), "what_is_heard_is_applied_or_parked"),
    "a view lacks a row": (lambda s: table(s, "projections", "work"), "tables_are_those_of_whoever_was_never_interrupted"),
    "a history lacks a row": (lambda s: table(s, "projections", "history"), "tables_are_those_of_whoever_was_never_interrupted"),
    "a copy lacks a row": (lambda s: table(s, "notifications", "hand_off"), "tables_are_those_of_whoever_was_never_interrupted"),
    "a clock is forgotten": (lambda s: table(s, "intake", "clock_due"), "tables_are_those_of_whoever_was_never_interrupted"),
    "a mail is owed": (lambda s: table(s, "notifications", "outgoing"), "tables_are_those_of_whoever_was_never_interrupted"),
    "a timer fired twice": (lambda s: doubled(s, "referrals", "referrals.ClockBreached"), "every_clock_that_ran_out_was_told_once"),
    "a timer never fired": (lambda s: replace(s, at=s.at + timedelta(days=9)), "every_clock_that_ran_out_was_told_once"),
    "a cause is not there": (
        lambda s: replace(s, logs=s.logs | {"intake": []}),
        "every_cause_chain_ends_at_a_contact_a_persons_command_or_a_clock",
    ),
    "a story changes its name": (
        lambda s: changed(s, "referrals", lambda event: replace(event, meta={**event.meta, "correlation": "another"})),
        "effects_carry_the_correlation_of_their_cause",
    ),
    "a word lies in plain": (lambda s: replace(s, leaks=["a file"]), "no_word_of_a_person_lies_in_plain"),
    "a hand-off is nobody's": (
        lambda s: without(s, "referrals.ClockStarted"),
        "every_hand_off_is_settled_or_its_acknowledgement_runs",
    ),
    "a result is owed at no time": (due, "what_owes_a_result_has_a_completion_clock"),
    "a rung is told twice": (
        lambda s: doubled(s, "referrals", "referrals.ReferralEscalated"),
        "no_rung_of_a_ladder_is_told_twice",
    ),
    "a linked case is not there": (
        lambda s: without(s, "cases.CaseOpened"),
        "every_screening_has_a_case_a_child_or_its_clock",
    ),
    "a child has no case": (
        lambda s: without(s, "intake.CaseLinked", "intake.ClockStarted"),
        "every_screening_has_a_case_a_child_or_its_clock",
    ),
    "a case was handed to nobody": (
        lambda s: without(s, "cases.HandOffNoted", "cases.ClockStarted"),
        "every_case_has_a_sent_hand_off_or_its_clock",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_counting_would_have_noticed(counted, damage):
    change, noticed = DAMAGE[damage]
    assert noticed in {sentence.partition(":")[0] for sentence in broken(change(counted))}


def test_there_is_a_damage_for_every_invariant():
    assert {check.__name__ for check in INVARIANTS} == {noticed for _, noticed in DAMAGE.values()}

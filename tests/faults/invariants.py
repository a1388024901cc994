"""The one checker: what holds on every prefix of history, whatever was killed, over everything that is written and everything
that people were answered.

One function an invariant. Each yields a sentence for every place where it does not hold; INVARIANTS says what such a place means
to whoever relies on the log: something is lost, happened twice, leaves a gap, or is otherwise wrong.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from importlib import import_module
from itertools import pairwise
from typing import Any
from uuid import UUID

from chassis.mapper import Recorded
from contracts import clocks
from contracts.ids import command_id
from contracts.notifications import MessageSent
from tests.faults.law import LAW
from tests.faults.snapshot import Attempt, Snapshot, streams

BEGINNINGS = {"rest", "clock", "calendar", "link", "origin", "heartbeat", "key", "policy", "recover", "build", "zalo", "email"}
"""Kinds of cause that need no other fact: a person's command, a clock, a link, what a log says of itself, what a channel brought."""
MAY_CHANGE_NOTHING = {
    "CancelMessage",
    "EscalateReferral",
    "HoldForCase",
    "LinkCase",
    "RecordDelivery",
    "ReleaseCase",
    "RevokeReferral",
}
"""Commands of reactions that find their work done, or not theirs to do, and then leave no trace."""

Invariant = Callable[[Snapshot], Iterator[str]]


def broken(snapshot: Snapshot) -> list[str]:
    """A sentence for everything that does not hold."""
    return [sentence for _, sentence in findings(snapshot)]


def findings(snapshot: Snapshot) -> list[tuple[str, str]]:
    """(meaning, sentence) for everything that does not hold."""
    return [(meaning, f"{check.__name__}: {sentence}") for check, meaning in INVARIANTS.items() for sentence in check(snapshot)]


# -- what people were answered -----------------------------------------------------------------------------------------------------


def what_was_answered_is_there_with_that_content(snapshot: Snapshot) -> Iterator[str]:
    for attempt in _answered(snapshot):
        for told in attempt.told:
            events = snapshot.logs[told.log]
            found = events[told.position - 1] if 0 < told.position <= len(events) else None
            if found is None or (told.type, told.version, attempt.stream) != (found.fact.TOPIC, found.version, str(found.stream)):
                yield f"{told.type} was answered at {told.log}:{told.position} and is not there"
            elif snapshot.content.get((told.log, told.position), told.fact) != told.fact:
                yield f"{told.type} was answered at {told.log}:{told.position} with another content"


def what_was_answered_is_there_once(snapshot: Snapshot) -> Iterator[str]:
    """However often it was asked for: the facts of a key are those that were answered, every time the same."""
    made = _made(snapshot)
    for attempt in _answered(snapshot):
        told = {(told.log, told.position) for told in attempt.told}
        if made[attempt.key] != told:
            yield f"key {attempt.key} was answered {sorted(told)} and made {sorted(made[attempt.key])}"


def what_was_refused_is_not_there(snapshot: Snapshot) -> Iterator[str]:
    made = _made(snapshot)
    for key, attempts in snapshot.of_key().items():
        if {"failed"} == {attempt.outcome for attempt in attempts} and made[key]:
            yield f"key {key} was refused and made {sorted(made[key])}"


def what_nobody_answered_is_there_at_most_once(snapshot: Snapshot) -> Iterator[str]:
    """Whoever asks makes one command, if any."""
    for log, events in snapshot.logs.items():
        by_person: dict[str, set[str]] = defaultdict(set)
        for event in events:
            if event.meta["cause"].startswith("rest:"):
                by_person[event.meta["cause"]].add(event.meta["command"])
        yield from (f"{cause} made {len(made)} commands in {log}" for cause, made in by_person.items() if len(made) > 1)


def what_was_shown_was_recorded_before(snapshot: Snapshot) -> Iterator[str]:
    reads = (event for event in snapshot.logs["projections"] if hasattr(event.fact, "shown"))
    recorded = Counter((str(event.stream), event.fact.shown) for event in reads)
    for (stream, instant), times in Counter(snapshot.looked).items():
        if times > recorded[stream, instant]:
            yield f"{stream} was shown {times} times as of {instant}, and {recorded[stream, instant]} reads are recorded"


def what_is_told_as_sent_is_in_a_mailbox(snapshot: Snapshot) -> Iterator[str]:
    for event in snapshot.logs["notifications"]:
        if isinstance(event.fact, MessageSent) and event.fact.provider_ref not in snapshot.mailed:
            yield f"{event.cause} was told as sent and is in no mailbox"


def _answered(snapshot: Snapshot) -> Iterator[Attempt]:
    return (attempt for attempt in snapshot.attempts if attempt.outcome == "ok")


def _made(snapshot: Snapshot) -> Mapping[str, set[tuple[str, int]]]:
    """Key → where its facts stand, in whichever log."""
    found: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for log, events in snapshot.logs.items():
        for event in events:
            kind, _, key = event.meta["cause"].partition(":")
            if kind == "rest":
                found[key].add((log, event.position))
    return found


# -- the machine -----------------------------------------------------------------------------------------------------------------


def positions_and_versions_are_dense(snapshot: Snapshot) -> Iterator[str]:
    for log, events in snapshot.logs.items():
        if [event.position for event in events] != list(range(1, len(events) + 1)):
            yield f"{log} has a gap"
        for stream, own in streams(events).items():
            if [event.version for event in own] != list(range(1, len(own) + 1)):
                yield f"{log} {stream} has versions {[event.version for event in own]}"


def time_never_runs_backwards(snapshot: Snapshot) -> Iterator[str]:
    for log, events in snapshot.logs.items():
        for before, after in pairwise(events):
            if after.recorded_at < before.recorded_at:
                yield f"{log}:{after.position} was recorded before its predecessor"


def every_command_stands_once_and_whole(snapshot: Snapshot) -> Iterator[str]:
    """The commands of a log cut it into runs, each of one stream and with its id in every event; nothing is left over."""
    for log, commands in snapshot.commands.items():
        events, place = snapshot.logs[log], 1
        for id_, positions in sorted(commands.items(), key=lambda item: item[1].start):
            run = events[positions.start - 1 : positions.stop - 1]
            if positions.start != place or len({event.stream for event in run}) != 1:
                yield f"command {id_} stands at {log}:{positions}, expected at {place}"
            if any(event.meta.get("command", str(id_)) != str(id_) for event in run):
                yield f"{log}:{positions} are not all of command {id_}"
            place = positions.stop
        if place != len(events) + 1:
            yield f"{log} has events of no command after {place - 1}"


def a_topic_tells_its_log_from_the_first_position_on(snapshot: Snapshot) -> Iterator[str]:
    """Whoever acts on exactly the next position, or on nothing, acts on 1..N."""
    for log, records in snapshot.topics.items():
        last = 0
        for position, _ in records:
            last += position == last + 1
        if last != len(snapshot.logs[log]):
            yield f"the topic of {log} tells 1..{last} to whoever takes the next or nothing, and the log holds {len(snapshot.logs[log])}"


def a_topic_tells_the_bytes_of_its_log(snapshot: Snapshot) -> Iterator[str]:
    for log, records in snapshot.topics.items():
        states = [event.state for event in snapshot.logs[log]]
        if any(states[position - 1 : position] != [value] for position, value in records):
            yield f"the topic of {log} tells other bytes than the log"


def what_is_heard_is_applied_or_parked(snapshot: Snapshot) -> Iterator[str]:
    """Every command that a heard fact asks for is in the log of whoever heard it, unless it had nothing to do, or is parked."""
    for (service, source), position in snapshot.heard.items():
        if position != len(snapshot.logs[source]):
            yield f"{service} has heard {source} to {position} of {len(snapshot.logs[source])}"
        for event in snapshot.logs[source][:position]:
            if (service, source, event.position) in snapshot.parked:
                continue
            for stream, command in _asked(service, event):
                name = type(command).__name__
                done = command_id(stream, event.cause, name) in snapshot.commands[service]
                if not done and name not in MAY_CHANGE_NOTHING:
                    yield f"{service} owes {name} for {event.cause}"


def _asked(service: str, event: Recorded) -> Iterator[tuple[UUID, Any]]:
    if service != "projections":  # which folds everything and commands nothing
        for reaction in import_module(f"services.{service}.reactions").REACTIONS:
            if reaction.hears is type(event.fact):
                yield from reaction.commands(event)


def tables_are_those_of_whoever_was_never_interrupted(snapshot: Snapshot) -> Iterator[str]:
    """What consumers keep, views among it, equals a fold of the same logs from position 1 into an empty database."""
    for table in snapshot.kept.keys() | snapshot.folded.keys():
        kept, folded = snapshot.kept.get(table, set()), snapshot.folded.get(table, set())
        yield from (f"{'.'.join(table)} lacks {row}" for row in folded - kept)
        yield from (f"{'.'.join(table)} has {row}, which nothing says" for row in kept - folded)


def every_clock_that_ran_out_was_told_once(snapshot: Snapshot) -> Iterator[str]:
    for log, events in snapshot.logs.items():
        for stream, own in streams(events).items():
            due: dict[str, datetime] = {}
            for event in own:
                match event.fact:
                    case clocks.Started() | clocks.Recomputed() as fact:
                        due[fact.clock] = fact.due_at
                    case clocks.Breached() as fact:
                        if due.pop(fact.clock, None) != fact.due_at:
                            yield f"{log}:{event.position} breaches {fact.clock}, which was not due then, or is breached already"
                    case clocks.Met() | clocks.Waived() as fact:
                        due.pop(fact.clock, None)
            yield from (f"{log} {stream} owes the breach of {name}" for name, at in due.items() if at <= snapshot.at)


def every_cause_chain_ends_at_a_contact_a_persons_command_or_a_clock(snapshot: Snapshot) -> Iterator[str]:
    """Causes are recorded before their effects, so whoever checks each link has checked the chain."""
    for events in snapshot.logs.values():
        for event in events:
            cause = _cause(snapshot, event)
            if cause and cause.recorded_at > event.recorded_at:
                yield f"{event.cause} was recorded before its cause {cause.cause}"
            if not cause and event.meta["cause"].partition(":")[0] not in BEGINNINGS:
                yield f"{event.cause} has the cause {event.meta['cause']!r}, which nobody knows"


def effects_carry_the_correlation_of_their_cause(snapshot: Snapshot) -> Iterator[str]:
    """One story, one id: a stream keeps that of its first fact, and a reaction that begins a stream copies its cause's."""
    for events in snapshot.logs.values():
        for own in streams(events).values():
            first = own[0]
            if any(event.meta["correlation"] != first.meta["correlation"] for event in own):
                yield f"{first.cause} begins a stream with several correlations"
            cause = _cause(snapshot, first)
            if cause and first.meta["correlation"] != cause.meta["correlation"]:
                yield f"{first.cause} does not carry the correlation of {cause.cause}"


def _cause(snapshot: Snapshot, event: Recorded) -> Recorded | None:
    """The event that caused this one; None for what a person, a clock or the world caused."""
    log, _, position = event.meta["cause"].partition(":")
    return next(iter(snapshot.logs[log][int(position) - 1 :][:1]), None) if log in snapshot.logs else None


def no_word_of_a_person_lies_in_plain(snapshot: Snapshot) -> Iterator[str]:
    yield from snapshot.leaks


INVARIANTS: Mapping[Invariant, str] = {
    what_was_answered_is_there_with_that_content: "lost",
    what_was_answered_is_there_once: "doubled",
    what_was_refused_is_not_there: "wrong",
    what_nobody_answered_is_there_at_most_once: "doubled",
    what_was_shown_was_recorded_before: "lost",
    what_is_told_as_sent_is_in_a_mailbox: "lost",
    positions_and_versions_are_dense: "gaps",
    time_never_runs_backwards: "wrong",
    every_command_stands_once_and_whole: "doubled",
    a_topic_tells_its_log_from_the_first_position_on: "gaps",
    a_topic_tells_the_bytes_of_its_log: "wrong",
    what_is_heard_is_applied_or_parked: "lost",
    tables_are_those_of_whoever_was_never_interrupted: "wrong",
    every_clock_that_ran_out_was_told_once: "wrong",
    every_cause_chain_ends_at_a_contact_a_persons_command_or_a_clock: "wrong",
    effects_carry_the_correlation_of_their_cause: "wrong",
    no_word_of_a_person_lies_in_plain: "wrong",
} | dict.fromkeys(LAW, "lost")

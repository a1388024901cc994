"""What holds on every prefix of history, whatever was killed: one function each (catalogue §8), over everything that is written.

Each yields a sentence for every place where it does not hold. A prefix ends where a command ends: its facts are one append.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import groupby, pairwise
from typing import Any, NamedTuple, Self
from uuid import UUID

from chassis.mapper import Recorded
from contracts import cases, clocks, intake, referrals
from contracts.ids import case_of, command_id

BEGINNINGS = {"rest", "clock", "calendar", "link", "origin", "build", "zalo", "email"}
"""Kinds of cause that need no other fact: a person's command, a clock, a link, the birth of a log, a swapped build, what a channel brought."""
MAY_CHANGE_NOTHING = {"CancelMessage", "EscalateReferral", "LinkCase", "RecordDelivery", "RevokeReferral"}
"""Commands of reactions that find their work done, or not theirs to do, and then leave no trace."""


class Answered(NamedTuple):
    """A command that somebody was told is done: its key, its stream, and the facts told, as (log, position, type, version)."""

    key: str
    stream: str
    told: tuple[tuple[str, int, str, int], ...]

    @classmethod
    def of(cls, key: str, answer: Any) -> Self:
        body = answer.json()
        told = tuple((each["type"].partition(".")[0], each["position"], each["type"], each["version"]) for each in body["told"])
        return cls(key, body["id"], told)


@dataclass(frozen=True)
class Snapshot:
    """Everything that is written, at one instant at which nothing moves.

    logs: log → its events from position 1. commands: log → command id → positions. topics: log → (position, value) of each record
    that a relay wrote. heard: (service, log) → position. parked: (service, log, position). answered: what people were promised.
    """

    logs: Mapping[str, list[Recorded]]
    commands: Mapping[str, Mapping[UUID, range]]
    topics: Mapping[str, list[tuple[int, bytes]]]
    heard: Mapping[tuple[str, str], int]
    parked: set[tuple[str, str, int]]
    answered: list[Answered]


Invariant = Callable[[Snapshot], Iterator[str]]


def broken(snapshot: Snapshot) -> list[str]:
    """A sentence for everything that does not hold."""
    return [f"{check.__name__}: {sentence}" for check in INVARIANTS for sentence in check(snapshot)]


def streams(events: list[Recorded]) -> dict[UUID, list[Recorded]]:
    found: dict[UUID, list[Recorded]] = defaultdict(list)
    for event in events:
        found[event.stream].append(event)
    return found


def prefixes(events: list[Recorded]) -> Iterator[list[Recorded]]:
    """The history of a stream after each command."""
    past: list[Recorded] = []
    for _, told in groupby(events, key=lambda event: event.meta.get("command", event.cause)):
        past = [*past, *told]
        yield past


def running(past: list[Recorded], rule: str) -> bool:
    """Is a clock of this rule owed, breached or not: started, and neither met nor waived since?"""
    last = {event.fact.clock: event.fact for event in past if isinstance(event.fact, clocks.CLOCK_FACTS)}
    return any(name.partition("/")[0] == rule and not isinstance(fact, clocks.Met | clocks.Waived) for name, fact in last.items())


def unbreached(past: list[Recorded], clock: str) -> bool:
    """Does this clock run and is not yet breached?"""
    mine = [event.fact for event in past if isinstance(event.fact, clocks.CLOCK_FACTS) and event.fact.clock == clock]
    return bool(mine) and isinstance(mine[-1], clocks.Started | clocks.Recomputed)


def told(past: list[Recorded], kind: type[Any]) -> list[Any]:
    return [event.fact for event in past if isinstance(event.fact, kind)]


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


def one_cause_does_one_thing_once(snapshot: Snapshot) -> Iterator[str]:
    for log, events in snapshot.logs.items():
        by_person: dict[str, set[str]] = defaultdict(set)
        for event in events:
            if event.meta["cause"].startswith("rest:"):
                by_person[event.meta["cause"]].add(event.meta["command"])
        yield from (f"{cause} made {len(made)} commands in {log}" for cause, made in by_person.items() if len(made) > 1)


def what_was_answered_is_there_exactly_once(snapshot: Snapshot) -> Iterator[str]:
    for key, stream, facts in snapshot.answered:
        for log, position, kind, version in facts:
            events = snapshot.logs[log]
            found = events[position - 1] if position <= len(events) else None
            if found is None or (kind, version, stream) != (found.fact.TOPIC, found.version, str(found.stream)):
                yield f"{kind} was answered at {log}:{position} and is not there"
        log = facts[0][0] if facts else ""
        made = [event.position for event in snapshot.logs.get(log, []) if event.meta["cause"] == f"rest:{key}"]
        if sorted(made) != sorted(position for _, position, _, _ in facts):
            yield f"key {key} was answered {facts} and made {log}:{made}"


def a_topic_tells_its_log_from_the_first_position_on(snapshot: Snapshot) -> Iterator[str]:
    """First occurrences are 1..N in order, and every record is its row, byte for byte."""
    for log, records in snapshot.topics.items():
        states = [event.state for event in snapshot.logs[log]]
        if list(dict.fromkeys(position for position, _ in records)) != list(range(1, len(states) + 1)):
            yield f"first occurrences in the topic of {log} are not 1..{len(states)}"
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


# -- the law of the line (catalogue §8) ------------------------------------------------------------------------------------------


def every_hand_off_is_settled_or_its_acknowledgement_runs(snapshot: Snapshot) -> Iterator[str]:
    for stream, events in _hand_offs(snapshot):
        for past in prefixes(events):
            settled = told(past, referrals.ReferralAcknowledged | referrals.ReferralCompleted) or _revoked(past)
            if not settled and not unbreached(past, "acknowledgement"):
                yield f"hand-off {stream} is nobody's after version {past[-1].version}"


def what_owes_a_result_has_a_completion_clock(snapshot: Snapshot) -> Iterator[str]:
    for stream, events in _hand_offs(snapshot):
        sent = events[0].fact
        for past in prefixes(events):
            owes = told(past, referrals.ReferralAcknowledged) and (sent.due_on or sent.of.kind == "help")
            done = told(past, referrals.ReferralCompleted) or _revoked(past) or _waived(past, "completion")
            if owes and not done and not running(past, "completion"):
                yield f"hand-off {stream} owes a result and no clock says when, after version {past[-1].version}"


def no_rung_of_a_ladder_is_told_twice(snapshot: Snapshot) -> Iterator[str]:
    for stream, events in _hand_offs(snapshot):
        levels = [fact.level for fact in told(events, referrals.ReferralEscalated)]
        if levels != sorted(set(levels)):
            yield f"hand-off {stream} climbed {levels}"


def every_screening_has_a_case_a_child_or_its_clock(snapshot: Snapshot) -> Iterator[str]:
    opened = {event.stream for event in snapshot.logs["cases"] if isinstance(event.fact, cases.CaseOpened)}
    for stream, events in streams(snapshot.logs["intake"]).items():
        for past in prefixes(events):
            wanted = {
                child.child_id
                for fact in told(past, intake.ReportScreened)
                if fact.decision == "open_case"
                for child in fact.children
            }
            linked = {fact.child_id: fact.case_id for fact in told(past, intake.CaseLinked)}
            if wanted - linked.keys() and not running(past, "case-opened"):
                yield f"record {stream} lacks a case and no clock says so, after version {past[-1].version}"
            if any(case != case_of(stream, child) or case not in opened for child, case in linked.items()):
                yield f"record {stream} is linked to a case that is not there"


def every_case_has_a_sent_hand_off_or_its_clock(snapshot: Snapshot) -> Iterator[str]:
    for stream, events in streams(snapshot.logs["cases"]).items():
        if not isinstance(events[0].fact, cases.CaseOpened):
            continue
        for past in prefixes(events):
            sent = any(fact.step == "sent" for fact in told(past, cases.HandOffNoted))
            if not sent and not running(past, "handover"):
                yield f"case {stream} was handed to nobody and no clock says so, after version {past[-1].version}"


def _hand_offs(snapshot: Snapshot) -> Iterator[tuple[UUID, list[Recorded]]]:
    for stream, events in streams(snapshot.logs["referrals"]).items():
        if isinstance(events[0].fact, referrals.ReferralSent):
            yield stream, events


def _revoked(past: list[Recorded]) -> bool:
    """For all the cases it was sent for."""
    return {*past[0].fact.of.cases} <= {case for fact in told(past, referrals.ReferralRevoked) for case in fact.cases}


def _waived(past: list[Recorded], clock: str) -> bool:
    return any(fact.clock == clock for fact in told(past, clocks.Waived))


INVARIANTS: list[Invariant] = [
    positions_and_versions_are_dense,
    time_never_runs_backwards,
    every_command_stands_once_and_whole,
    one_cause_does_one_thing_once,
    what_was_answered_is_there_exactly_once,
    a_topic_tells_its_log_from_the_first_position_on,
    what_is_heard_is_applied_or_parked,
    every_cause_chain_ends_at_a_contact_a_persons_command_or_a_clock,
    effects_carry_the_correlation_of_their_cause,
    every_hand_off_is_settled_or_its_acknowledgement_runs,
    what_owes_a_result_has_a_completion_clock,
    no_rung_of_a_ladder_is_told_twice,
    every_screening_has_a_case_a_child_or_its_clock,
    every_case_has_a_sent_hand_off_or_its_clock,
]

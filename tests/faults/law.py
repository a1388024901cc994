"""The law of the line: what holds of hand-offs, records and cases on every prefix of their history."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from chassis.mapper import Recorded
from contracts import cases, clocks, intake, referrals
from contracts.ids import case_of
from tests.faults.snapshot import Snapshot, prefixes, streams


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


LAW = [
    every_hand_off_is_settled_or_its_acknowledgement_runs,
    what_owes_a_result_has_a_completion_clock,
    no_rung_of_a_ladder_is_told_twice,
    every_screening_has_a_case_a_child_or_its_clock,
    every_case_has_a_sent_hand_off_or_its_clock,
]

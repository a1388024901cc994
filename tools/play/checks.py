"""What must hold on every prefix of history (catalogue of clocks, invariants): one function each, over the facts of the topics.

Each yields a sentence for every place where it does not hold. `told`: log → its facts in order.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from contracts.ids import case_of
from tools.play.ears import Heard, by_stream

Told = Mapping[str, list[Heard]]
Check = Callable[[Told], Iterator[str]]
BEGINNINGS = ("rest", "clock", "calendar", "link", "origin", "policy", "build", "zalo", "email")
"""Kinds of cause that need no other fact: a person's command, a clock, a link, a delivery, what a log says of itself."""


def nothing_is_missing(told: Told) -> Iterator[str]:
    """Positions of a log and versions of a stream are dense: 1, 2, 3 …"""
    for log, facts in told.items():
        if [heard.position for heard in facts] != list(range(1, len(facts) + 1)):
            yield f"{log} has a gap"
        for stream, own in by_stream(facts).items():
            if [heard.version for heard in own] != list(range(1, len(own) + 1)):
                yield f"{stream} has versions {[heard.version for heard in own]}"


def nothing_happened_twice(told: Told) -> Iterator[str]:
    """A command id stands in one run of positions, on one stream."""
    for log, facts in told.items():
        places: dict[str, list[Heard]] = defaultdict(list)
        for heard in facts:
            places[heard.meta.get("command", heard.at)].append(heard)
        for command, run in places.items():
            positions = [heard.position for heard in run]
            if positions != list(range(positions[0], positions[0] + len(run))) or len({heard.stream for heard in run}) > 1:
                yield f"command {command} stands at {log} {positions}"


def every_cause_is_known(told: Told) -> Iterator[str]:
    """A fact is caused by a person, a clock, a delivery, or by another fact that was recorded before it."""
    for facts in told.values():
        before: datetime | None = None
        for heard in facts:
            if before and heard.recorded_at < before:
                yield f"{heard.at} was recorded before its predecessor"
            before = heard.recorded_at
            yield from _of_cause(heard, told)


def _of_cause(heard: Heard, told: Told) -> Iterator[str]:
    kind, _, rest = heard.meta.get("cause", "").partition(":")
    if kind in BEGINNINGS:
        return
    if kind not in told or not rest.isdigit() or not 0 < int(rest) <= len(told[kind]):
        yield f"{heard.at} is caused by {kind or 'nothing'}:{rest}, which nobody knows"
    elif told[kind][int(rest) - 1].recorded_at > heard.recorded_at:
        yield f"{heard.at} was recorded before its cause {kind}:{rest}"


def every_hand_off_is_held(told: Told) -> Iterator[str]:
    """After every append a hand-off is acknowledged, completed, revoked for all its cases, or its clock runs."""
    for stream, facts in by_stream(told.get("referrals", [])).items():
        if facts[0].name != "ReferralSent":
            continue
        settled, running, left = False, False, set(facts[0].fact["of"]["cases"])
        for heard, following in zip(facts, [*facts[1:], None], strict=True):
            match heard.name:
                case "ReferralAcknowledged" | "ReferralCompleted" | "ReferralDeclined":
                    settled = True
                case "ReferralRevoked":
                    left -= set(heard.fact["cases"])
                case "ClockStarted" | "ClockMet" | "ClockBreached" | "ClockWaived" if heard.fact["clock"] == "acknowledgement":
                    running = heard.name == "ClockStarted"
            is_last = following is None or following.meta.get("command") != heard.meta.get("command")
            if is_last and left and not settled and not running:
                yield f"hand-off {stream} is nobody's after version {heard.version}"


def every_result_is_owed(told: Told) -> Iterator[str]:
    """What owes a result has a completion clock until it is completed or revoked."""
    for stream, facts in by_stream(told.get("referrals", [])).items():
        names = [heard.name for heard in facts]
        owes = facts[0].fact.get("due_on") or facts[0].fact.get("of", {}).get("kind") == "help"
        if "ReferralAcknowledged" in names and owes and not _clock(facts, "completion"):
            yield f"hand-off {stream} owes a result and no clock says when"


def every_screening_opens_its_cases(told: Told) -> Iterator[str]:
    """Every child of a screening has a case, or the clock `case-opened` runs or is breached."""
    opened = {heard.stream for heard in told.get("cases", []) if heard.name == "CaseOpened"}
    for stream, facts in by_stream(told.get("intake", [])).items():
        for heard in facts:
            if heard.name != "ReportScreened" or heard.fact["decision"] != "open_case":
                continue
            missing = [c for c in heard.fact["children"] if str(case_of(UUID(stream), UUID(c["child_id"]))) not in opened]
            if missing and not _clock(facts, "case-opened"):
                yield f"record {stream} lacks {len(missing)} case(s) and no clock says so"


def every_case_was_handed_over(told: Told) -> Iterator[str]:
    """Every case has a hand-off that was sent, or its clock `handover` runs or is breached."""
    sent = {case for heard in told.get("referrals", []) if heard.name == "ReferralSent" for case in heard.fact["of"]["cases"]}
    for stream, facts in by_stream(told.get("cases", [])).items():
        if facts[0].name == "CaseOpened" and stream not in sent and not _clock(facts, "handover"):
            yield f"case {stream} was handed to nobody"


def every_rung_was_told_once(told: Told) -> Iterator[str]:
    """No rung of a ladder is climbed twice, and no fact makes two messages to one recipient."""
    rungs: dict[tuple[str, int], int] = defaultdict(int)
    for heard in told.get("referrals", []):
        if heard.name == "ReferralEscalated":
            rungs[heard.stream, heard.fact["level"]] += 1
    yield from (f"rung {level} of {stream} was told {times} times" for (stream, level), times in rungs.items() if times > 1)
    letters: dict[tuple[str, str], int] = defaultdict(int)
    for heard in told.get("notifications", []):
        if heard.name == "MessageQueued":
            letters[heard.stream, heard.meta.get("cause", "")] += 1
    yield from (f"{cause} made {times} messages in {stream}" for (stream, cause), times in letters.items() if times > 1)


def _clock(facts: list[Heard], rule: str) -> bool:
    """Whether a clock of this rule ever started: running, met, breached or waived, somebody held it."""
    return any(heard.name == "ClockStarted" and heard.fact["clock"].partition("/")[0] == rule for heard in facts)


INVARIANTS: dict[str, Check] = {
    "nothing is missing": nothing_is_missing,
    "nothing happened twice": nothing_happened_twice,
    "every cause is known and recorded before": every_cause_is_known,
    "every hand-off is settled or its clock runs": every_hand_off_is_held,
    "every result owed has a clock": every_result_is_owed,
    "every screening opened its cases": every_screening_opens_its_cases,
    "every case was handed to somebody": every_case_was_handed_over,
    "every rung and every message once": every_rung_was_told_once,
}


def lost(acknowledged: list[tuple[str, dict[str, Any]]], told: Told) -> Iterator[str]:
    """Facts that an answer has shown and that the topic does not tell. acknowledged: (log, {type, position, version, stream})."""
    for log, said in acknowledged:
        facts = told[log]
        found = facts[said["position"] - 1] if said["position"] <= len(facts) else None
        if found is None or (found.type, found.version, found.stream) != (said["type"], said["version"], said["stream"]):
            yield f"{said['type']} was answered at {log}:{said['position']} and is not there"


def differences(told: Told, again: Told) -> Iterator[str]:
    """Facts that a second reading of the topics does not show, or shows otherwise."""
    for log, facts in told.items():
        for number, heard in enumerate(facts):
            if number >= len(again[log]) or heard.value != again[log][number].value:
                yield f"{heard.at} reads differently"

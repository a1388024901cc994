"""Histories as the services would tell them, many and quickly: one case is told through the mapper, the others are its copies with
other ids. Their sealed boxes do not open (a box is bound to its place); nothing that is measured here opens one."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from typing import Any
from uuid import UUID

from bench.ground import StoredRow
from chassis.mapper import FactMapper, Recorded
from contracts import cases as c
from contracts import intake as i
from contracts.kernel import Fact
from contracts.shapes import Addressee

COMMUNE, HANOI = "99801@2025-07-01", "hanoi@2025-07-01"
T0 = datetime(2026, 1, 5, 2, 41, tzinfo=UTC)
STREAM, RECORD, CHILD, HAND_OFF = (UUID(int=n << 64 | n) for n in range(1, 5))
LEAD, POLICE = Addressee(role="commune_pc", place=COMMUNE), Addressee(role="police", place=COMMUNE)
NOTE = "Đã đưa trẻ đến nơi an toàn, có người trông (mẫu)"
STEPS = ("sent", "delivered", "acknowledged", "completed")
AT_ONCE = 100  # cases that are being worked on at the same time


def cases(streams: Sequence[UUID], events: int) -> Iterator[StoredRow]:
    """So many events of each case, a hundred cases at a time in turns."""
    yield from _copies(streams, _case(events))


def contacts(streams: Sequence[UUID]) -> Iterator[StoredRow]:
    """Three events of each contact: received, answered, classified. No reaction of any service hears them."""
    yield from _copies(streams, _contact())


def _copies(streams: Sequence[UUID], told: Sequence[tuple[str, bytes]]) -> Iterator[StoredRow]:
    rest = iter(streams)
    while some := list(islice(rest, AT_ONCE)):
        ids = [(stream, str(stream).encode(), str(UUID(int=stream.int ^ 1)).encode()) for stream in some]
        for version, (topic, state) in enumerate(told, 1):
            for stream, own, other in ids:
                yield stream, version, topic, state.replace(_STREAM, own).replace(_CHILD, other).replace(_RECORD, other)


_STREAM, _RECORD, _CHILD = (str(id_).encode() for id_ in (STREAM, RECORD, CHILD))


@cache
def _case(events: int) -> list[tuple[str, bytes]]:
    return _stored(islice(_of_case(), events))


@cache
def _contact() -> list[tuple[str, bytes]]:
    said: Any = {"channel": "phone", "line": "child", "form": "call", "received_at": T0, "centre": HANOI, "caller_id": CHILD}
    received = i.ContactReceived(**said, text=NOTE)
    answered = i.ContactAnswered(answered_at=T0, agent="TVV-01")
    return _stored(iter([received, answered, i.ContactClassified(caller_id=CHILD, kind="silent", tier="none")]))


def _stored(facts: Iterator[Fact]) -> list[tuple[str, bytes]]:
    meta = {
        "command": str(UUID(int=5)),
        "actor": "TVV-01",
        "as": "counsellor",
        "occurred_at": T0.isoformat(),
        "cause": f"rest:{UUID(int=6)}",
        "correlation": str(STREAM),
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }
    mapper = FactMapper(lambda _: bytes(32))
    stored = [mapper.to_stored_event(Recorded(STREAM, version, fact, meta)) for version, fact in enumerate(facts, 1)]
    return [(event.topic, event.state) for event in stored]


def _of_case() -> Iterator[Fact]:
    """An emergency, then measures, assessments and news of a hand-off for ever."""
    yield c.CaseOpened(
        record_id=RECORD,
        child_id=CHILD,
        received_at=T0,
        incident_commune=COMMUNE,
        lead=COMMUNE,
        centre=HANOI,
        risk="high",
        emergency=True,
        procedures=["child_protection"],
        age_band="7_15",
        age_basis="stated",
    )
    due, rule = T0 + timedelta(hours=12), "emergency@2017-07-01"
    yield c.ClockStarted(clock="emergency", rule=rule, calendar=None, counted_from=T0, due_at=due, responsible=LEAD, tell=[])
    yield _applied(1)
    yield c.ClockMet(clock="emergency", met_at=T0, late=False)
    number = 1
    while True:
        yield c.EmergencyMeasureEnded(number=number, ended_at=T0, because="danger_over")
        yield c.HandOffNoted(referral_id=HAND_OFF, kind="handover", addressee=LEAD, step=STEPS[number % 4], at=T0)
        yield c.DetailedAssessmentRecorded(form="form03@2017-07-01", cycle=1, level="high", child_id=CHILD, child_wishes=NOTE)
        number += 1
        yield _applied(number)


def _applied(number: int) -> Fact:
    return c.EmergencyMeasureApplied(number=number, measure="removal", by=POLICE, applied_at=T0, child_id=CHILD, note=NOTE)

"""Who has read, and who was refused; and over which part of the read log that is everything, so that "nobody" can be said."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from chassis.mapper import Recorded
from chassis.view import Vector
from contracts.projections import CaseRead, ReadRefused
from services.projections.views.instants import text
from services.projections.views.shown import Label, Shown, label, stamp

LOG = "projections"


class Read(Shown):
    """Somebody was about to be shown something of this case. shown: the instant of the answer. position: in the read log."""

    position: int
    at: datetime
    actor: str
    capacity: str
    kind: str
    id: UUID
    view: Label
    purpose: Label
    reason: Label | None
    shown: str


class Refusal(Shown):
    """Somebody asked and was refused. capacity: every one that was tried; route: the template of the address."""

    position: int
    at: datetime
    actor: str
    capacity: str
    id: UUID
    route: str
    code: str


class Stretch(Shown):
    """What was looked through: every entry of the read log on one of these streams, after position `after`, up to and with `upto`.

    Each read stands in that log before its answer leaves, and the log has no gaps: what is not there was not shown. since: the
    instant after which was looked, None for the beginning. until: the instant up to which, and over which, this is complete.
    """

    log: str
    after: int
    upto: int
    since: str | None
    until: str
    streams: dict[UUID, str]


class Reads(Shown):
    """Every read of the files of a case or of those that name a person, and every refusal, oldest first.

    nobody: no file was shown to anybody in this stretch; None if that cannot be said because something is parked. That a search
    names a file among its hits is no read of it: who searched is told apart.
    """

    id: UUID
    reads: list[Read]
    refusals: list[Refusal]
    nobody: bool | None
    stretch: Stretch
    incomplete: bool


def reads(
    read: UUID, events: Sequence[Recorded], kinds: Mapping[UUID, str], between: tuple[Vector | None, Vector], incomplete: bool
) -> Reads:
    """events: of the read log, on these streams, up to the end of `between`, in the order of recording. kinds: of the streams."""
    since, until = between
    after = since.get(LOG, 0) if since else 0
    within = [event for event in events if event.position > after]
    found = [_read(event, event.fact) for event in within if isinstance(event.fact, CaseRead)]
    refused = [refusal_of(event, event.fact) for event in within if isinstance(event.fact, ReadRefused)]
    stretch = Stretch(
        log=LOG,
        after=after,
        upto=until.get(LOG, 0),
        since=text(since) if since else None,
        until=text(until),
        streams=dict(sorted(kinds.items(), key=lambda each: (each[1], each[0]))),
    )
    nobody = False if found else None if incomplete else True
    return Reads(id=read, reads=found, refusals=refused, nobody=nobody, stretch=stretch, incomplete=incomplete)


def _read(event: Recorded, fact: CaseRead) -> Read:
    return Read(
        position=event.position,
        at=stamp(event),
        actor=event.meta.get("actor", ""),
        capacity=event.meta.get("as", ""),
        kind=fact.kind,
        id=event.stream,
        view=label("view", fact.view),
        purpose=label("purpose", fact.purpose),
        reason=label("read_reason", fact.reason) if fact.reason else None,
        shown=fact.shown,
    )


def refusal_of(event: Recorded, fact: ReadRefused) -> Refusal:
    """A refusal as an answer tells it."""
    return Refusal(
        position=event.position,
        at=stamp(event),
        actor=event.meta.get("actor", ""),
        capacity=event.meta.get("as", ""),
        id=event.stream,
        route=fact.route,
        code=fact.code,
    )

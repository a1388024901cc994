"""The logs at one instant, read through the library: what `services/projections` reads from its views, without any view."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from uuid import UUID

from eventsourcing.persistence import MapperDeserialisationError

from chassis.log import Row
from chassis.mapper import FactMapper, Recorded
from chassis.view import Vector
from services.projections.views.history import LINKING, LOGS, Heard, Link, links
from tools.audit.library import AuditedLog


class LogRecords:
    """Satisfies `services.projections.views.history.Records`. Nothing sealed is ever opened."""

    def __init__(self, logs: Mapping[str, AuditedLog], at: Vector) -> None:
        self._logs, self.at = logs, at
        self._facts: dict[tuple[str, UUID], list[Recorded]] = {}
        self._unreadable: set[UUID] = set()
        self._unread: list[bytes] = []

    async def rows(self, streams: Iterable[UUID]) -> list[Heard]:
        """The rows of these streams up to the instant, in the order in which they were recorded."""
        found = [fact for stream in dict.fromkeys(streams) for log in LOGS for fact in self._of(log, stream)]
        found.sort(key=lambda fact: (fact.recorded_at, LOGS.index(fact.log), fact.position))
        return [Heard(fact.log, _row(fact)) for fact in found]

    async def belonging_to(self, streams: Iterable[UUID]) -> list[Link]:
        """What belongs to any of these, first said first."""
        wanted = set(streams)
        return [link for link in self._links if link.to in wanted]

    async def owners_of(self, streams: Iterable[UUID]) -> list[Link]:
        """What any of these belong to."""
        wanted = set(streams)
        return [link for link in self._links if link.stream in wanted]

    async def is_incomplete(self, streams: Iterable[UUID]) -> bool:
        """Is there anything of one of these that this build cannot read?"""
        ids = set(streams)
        return bool(ids & self._unreadable) or any(str(each).encode() in state for state in self._unread for each in ids)

    async def open(self, heard: Sequence[Heard], persons: Iterable[UUID] = ()) -> list[Recorded]:  # noqa: ARG002
        """The facts, sealed fields None."""
        streams = {(log, row.stream) for log, row in heard}
        known = {(log, fact.position): fact for log, stream in streams for fact in self._of(log, stream)}
        return [known[log, row.position] for log, row in heard]

    def _of(self, log: str, stream: UUID) -> list[Recorded]:
        if (log, stream) not in self._facts:
            (facts, unreadable), upto = self._logs[log].facts_of(stream), self.at.get(log, 0)
            if unreadable is not None and unreadable <= upto:
                self._unreadable.add(stream)
            self._facts[log, stream] = [fact for fact in facts if fact.position <= upto]
        return self._facts[log, stream]

    @cached_property
    def _links(self) -> list[Link]:
        """What every log says of what belongs to what, as the table `belongs` has it: each pair once, as it was first said."""
        said: dict[tuple[UUID, UUID], tuple[str, int, Link]] = {}
        for log, application in self._logs.items():
            topics = [topic for topic in LINKING if topic.startswith(f"{log}.")]
            for entry in application.entries(self.at.get(log, 0), topics) if topics else ():
                try:
                    event = FactMapper().to_domain_event(entry)
                except MapperDeserialisationError:
                    self._unread.append(entry.state)
                    continue
                for link in links(event):
                    said.setdefault((link.stream, link.to), (log, entry.id, link))
        ordered = sorted(said.values(), key=lambda each: (each[0], each[1], each[2].stream, each[2].to))
        return [link for *_, link in ordered]


def _row(fact: Recorded) -> Row:
    if fact.recorded_at is None:
        raise ValueError("a fact that is not from a log has no place")
    stream, version, state = attrgetter("stream", "version", "state")(fact)
    return Row(stream, version, fact.fact.TOPIC, state, fact.position, fact.recorded_at)

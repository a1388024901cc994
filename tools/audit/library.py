"""Each log as an application of the `eventsourcing` library: its repository, its notification log, and no way to write."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.persistence import Mapper, MapperDeserialisationError, Notification, NotSupportedError, StoredEvent

from chassis.library import LibraryRecorder
from chassis.log import LAST_VERSION
from chassis.mapper import FactMapper, Recorded

PAGE = 1000  # notifications at once


@dataclass(frozen=True)
class Placed(StoredEvent):
    """A stored event with its place in the log and its stamp."""

    position: int
    recorded_at: datetime


class PlacedMapper(FactMapper):
    """Facts with their place. Without keys: what is sealed stays None."""

    def __init__(self, log: str) -> None:
        super().__init__()
        self._log = log

    def to_domain_event(self, stored_event: StoredEvent) -> Recorded:
        event = super().to_domain_event(stored_event)
        if isinstance(stored_event, Placed):
            place = {"position": stored_event.position, "recorded_at": stored_event.recorded_at}
            return replace(event, log=self._log, state=stored_event.state, **place)
        return event


class LookingRecorder(LibraryRecorder):
    """Reads, and refuses to write before the database has to."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:  # noqa: ARG002
        raise NotSupportedError("auditors read")

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[Placed]:
        stream, last = cast("UUID", originator_id), LAST_VERSION if lte is None else lte
        rows = [row for row in self._wait(self._log.rows_of(stream, gt or 0)) if row.version <= last]
        found = [Placed(*row) for row in (reversed(rows) if desc else rows)]
        return found if limit is None else found[:limit]

    def last_by(self, at: datetime) -> int:
        """The last position that was recorded at or before this time; 0 if there is none."""
        query = "SELECT position FROM event WHERE recorded_at <= %s ORDER BY position DESC LIMIT 1"
        return next((position for (position,) in self._wait(self._log.fetch(query, at))), 0)

    def stamp_of_head(self) -> datetime | None:
        """When the last entry was recorded; None for an empty log."""
        query = "SELECT recorded_at FROM event ORDER BY position DESC LIMIT 1"
        return next((at for (at,) in self._wait(self._log.fetch(query))), None)


class AuditedLog(Application[UUID]):
    """One log. An aggregate of its repository is the sequence of a stream's facts."""

    log_section_size = PAGE

    def __init__(self, name: str, recorder: LookingRecorder) -> None:
        self.called, self.looking = name, recorder
        super().__init__()

    def construct_mapper(self) -> Mapper[UUID]:
        return PlacedMapper(self.called)

    def construct_recorder(self) -> LookingRecorder:
        return self.looking

    def facts_of(self, stream: UUID) -> tuple[list[Recorded], int | None]:
        """The facts of a stream, none where there is no such stream; and the position of the first that cannot be read, if there is
        one: it and the later ones are left out."""
        facts: list[Recorded] = []

        def gathered(_: object, events: Iterable[Any]) -> Any:
            for event in events:  # kept one by one: what cannot be read ends the sequence, and the repository with an error
                facts.append(event)  # noqa: PERF402
            return facts or None

        try:
            with suppress(AggregateNotFoundError):
                self.repository.get(stream, projector_func=gathered)
        except MapperDeserialisationError:
            (unread,) = self.looking.select_events(stream, gt=facts[-1].version if facts else 0, limit=1)
            return facts, unread.position
        return facts, None

    def entries(self, upto: int, topics: Sequence[str] = ()) -> Iterator[Notification]:
        """The entries of the log in order, up to a position; of some types, or all."""
        after = 0
        while after < upto:
            page = self.notification_log.select(after, PAGE, upto, topics, inclusive_of_start=False)
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].id

"""The `eventsourcing` library's synchronous view of the same log, for its Application, imports, auditors and its own test suite."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar, cast
from uuid import UUID

from eventsourcing.persistence import ApplicationRecorder, Notification, NotSupportedError, StoredEvent, Subscription

from chassis.log import LAST_POSITION, LAST_VERSION, Log

T = TypeVar("T")


class LibraryRecorder(ApplicationRecorder):
    """`loop` runs in another thread and owns the log's pool."""

    def __init__(self, log: Log, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._log, self._loop = log, loop

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        return list(self._wait(self._log.append(stored_events, kwargs.get("command"))).positions) if stored_events else []

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        first, last = -1 if gt is None else gt, LAST_VERSION if lte is None else lte
        return self._wait(self._log.events(cast("UUID", originator_id), first, last, desc, limit))

    def select_notifications(
        self, start: int | None, limit: int, stop: int | None = None, topics: Sequence[str] = (), *, inclusive_of_start: bool = True
    ) -> Sequence[Notification]:
        position = (start or 0) - (1 if inclusive_of_start else 0)
        return self._wait(self._log.notifications(position, limit, stop or LAST_POSITION, topics))

    def max_notification_id(self) -> int | None:
        return self._wait(self._log.head()) or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:  # noqa: ARG002
        raise NotSupportedError("follow the Kafka topic; the log has one tailer, its relay")

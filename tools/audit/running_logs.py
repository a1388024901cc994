"""The five logs of the running stack, opened for reading; and what an auditor may ask of them: a case, an instant."""

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from chassis.log import Log
from chassis.problems import Problem
from chassis.timing import Time
from chassis.view import Vector
from contracts.references import NotAReferenceError, parse
from services.projections.views import instants
from services.projections.views.history import LOGS
from tools.audit.library import AuditedLog, LookingRecorder
from tools.recovery.running import CannotAsk, Running

INSTANT = "a time with its offset, 2026-11-23T03:00:00Z, or positions, cases:18421,intake:812"
OPTIONS = "-c default_transaction_read_only=on -c statement_timeout=5min -c timezone=UTC"


@dataclass(frozen=True)
class RunningLogs:
    """The logs by name, and the time of their stack."""

    logs: Mapping[str, AuditedLog]
    time: Time

    # -- what is asked about -----------------------------------------------------------------------------------------------------

    def case(self, asked: str) -> UUID:
        """The stream of a case by its id or spoken reference. Raises CannotAsk."""
        try:
            return UUID(asked)
        except ValueError:
            pass
        try:
            reference = parse(asked)
        except NotAReferenceError as why:
            raise CannotAsk(f"{asked} is neither the id nor the reference of a case ({why.code})") from None
        if reference.letter != "C":
            raise CannotAsk(f"{asked} is no reference of a case: that begins with C")
        page = self.logs[reference.log].notification_log.select(reference.position, 1, reference.position)
        if not page or page[0].originator_version != 1 or not isinstance(page[0].originator_id, UUID):
            raise CannotAsk(f"no case has the reference {asked}")
        return page[0].originator_id

    def begins(self, case: UUID) -> str | None:
        """Where and when the stream of a case begins, whatever the instant: `cases:18421, 2026-…`; None if there is none."""
        first = next(iter(self.logs["cases"].looking.select_events(case, limit=1)), None)
        return f"cases:{first.position}, {first.recorded_at:%Y-%m-%dT%H:%M:%SZ}" if first else None

    # -- instants ----------------------------------------------------------------------------------------------------------------

    def instant(self, asked: str | None) -> Vector:
        """The vector of a time or of a quoted instant; without either, of now. Raises CannotAsk with what there is."""
        try:
            if asked is None:
                return self._by(self._latest())
            if asked[:1].isdecimal():
                return self._by(self._past(instants.moment(asked)))
            vector = instants.parse(asked)
        except Problem:
            raise CannotAsk(f"{asked} is no instant: give {INSTANT}") from None
        self._reached(vector)
        self._closed(vector)
        return vector

    def stretch(self, since: str | None, until: str | None) -> tuple[Vector | None, Vector]:
        """Two instants, the first not behind the second; None for the beginning. Raises CannotAsk."""
        end = self.instant(until)
        begin = None if since is None else self.instant(since)
        if begin and (behind := [name for name in LOGS if begin[name] > end[name]]):
            raise CannotAsk(f"the stretch ends before it begins: compare the positions of {', '.join(behind)}")
        return begin, end

    def _past(self, at: datetime) -> datetime:
        latest = self._latest()
        if at > latest:
            raise CannotAsk(f"{at:%Y-%m-%dT%H:%M:%SZ} lies in the future: the logs are known up to {latest:%Y-%m-%dT%H:%M:%SZ}")
        return at

    def _latest(self) -> datetime:
        """Now, or the last stamp where a clock was set back meanwhile: stamps never run back."""
        stamps = (log.looking.stamp_of_head() for log in self.logs.values())
        return max(self.time.now(), *(stamp for stamp in stamps if stamp))

    def _by(self, at: datetime) -> Vector:
        """Closed, since nothing is stamped before its cause; prefixes, since the stamps of a log never run back."""
        return {name: log.looking.last_by(at) for name, log in self.logs.items()}

    def _reached(self, vector: Vector) -> None:
        heads = {name: log.recorder.max_notification_id() or 0 for name, log in self.logs.items()}
        if beyond := [name for name in LOGS if vector[name] > heads[name]]:
            raise CannotAsk(f"that instant has not been reached: {', '.join(f'{name} ends at {heads[name]}' for name in beyond)}")

    def _closed(self, vector: Vector) -> None:
        for name, log in self.logs.items():
            for entry in log.entries(vector[name]):
                cause, _, position = json.loads(entry.state)["meta"].get("cause", "").partition(":")
                if cause in vector and cause != name and position.isdecimal() and int(position) > vector[cause]:
                    raise CannotAsk(
                        f"no such instant ever was: {name}:{entry.id} was caused by {cause}:{position}, which lies behind it"
                    )


@contextmanager
def running_logs(stack: Running) -> Iterator[RunningLogs]:
    """Every log, each over a connection that the database lets read only. Raises psycopg.Error or PoolTimeout."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    with ExitStack() as ending:
        ending.callback(thread.join)
        ending.callback(loop.call_soon_threadsafe, loop.stop)
        time = Time(Path(stack.state["clock_file"]))
        yield RunningLogs({name: _opened(stack, name, time, loop, ending) for name in LOGS}, time)


def _opened(stack: Running, name: str, time: Time, loop: asyncio.AbstractEventLoop, ending: ExitStack) -> AuditedLog:
    async def pool() -> AsyncConnectionPool:
        kwargs = {"autocommit": True, "options": OPTIONS}
        opened = AsyncConnectionPool(stack.uri(name, f"{name}_api"), min_size=1, max_size=2, open=False, kwargs=kwargs, timeout=5)
        await opened.open(wait=True, timeout=5)
        return opened

    connections = asyncio.run_coroutine_threadsafe(pool(), loop).result()
    ending.callback(lambda: asyncio.run_coroutine_threadsafe(connections.close(), loop).result())
    log = AuditedLog(name, LookingRecorder(Log(name, connections, time=time), loop))
    ending.callback(log.close)
    return log

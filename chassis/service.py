"""One process of a service: the task group is the service, uvicorn is one task in it.

Two kinds of failure and no third: a transient one restarts the loop and stands in `/readyz`; anything else ends the process, which
is started clean by its supervisor.
"""

import asyncio
import contextlib
import select
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid5

import structlog
import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from chassis import failpoints, telemetry
from chassis.birth import LostLogError, traces_of
from chassis.checkpoints import topic_at
from chassis.ending import Together, unless
from chassis.identity import Identity
from chassis.keys import KeyStore
from chassis.log import Log
from chassis.loop import collect_seldom, on_its_loop
from chassis.mapper import FactMapper, Recorded
from chassis.relay import Acknowledged, not_ahead
from chassis.settings import Settings, files_fit, fit_for, key_from
from chassis.signer import Signer
from chassis.timing import Time
from chassis.transient import TRANSIENT, StoreGone, is_ending, pauses
from contracts.ids import system_stream
from contracts.kernel import Fact
from contracts.rules import Rules, rules_named

log_ = structlog.get_logger("hotline.service")
Loop = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs until cancelled; calls its argument whenever it works."""
LONGEST = 2.0  # seconds between two tries of a loop that is down: what an outage still costs after its end
OPTIONS = "-c statement_timeout=15s -c lock_timeout=10s -c idle_in_transaction_session_timeout=30s"


@dataclass(frozen=True)
class Parts:
    """What every service is built from."""

    name: str
    settings: Settings
    pool: AsyncConnectionPool
    keys: KeyStore
    log: Log
    time: Time
    rules: Rules
    identity: Identity


@asynccontextmanager
async def parts_of(name: str, settings: Settings) -> AsyncIterator[Parts]:
    """Open pools, log and key store; close them in order."""
    time = Time(settings.clock_file)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(_pool(settings.database.get_secret_value(), 2, 8))
        key_pool = await stack.enter_async_context(_pool(settings.keys.get_secret_value(), 1, 2))
        keys = KeyStore(key_pool, key_from(settings.master_key_file))
        log = Log(name, pool, keys, time)
        stack.push_async_callback(keys.close)
        stack.push_async_callback(log.close)
        identity = Identity(settings.oidc_issuer, settings.oidc_audience, settings.roles_file)
        yield Parts(name, settings, pool, keys, log, time, rules_named(settings.rules), identity)


def _pool(uri: str, smallest: int, largest: int) -> AsyncConnectionPool:
    return AsyncConnectionPool(
        uri,
        min_size=smallest,
        max_size=largest,
        timeout=3,  # and no `max_waiting`: once a queue is full of those who gave up in an outage, the pool never connects again
        reconnect_timeout=1,  # then the next request tries anew: waiting twice as long each time would make an outage last longer
        open=False,
        check=_unless_quiet,
        kwargs={"autocommit": True, "options": OPTIONS},  # the append is its whole transaction
    )


async def _unless_quiet(db: AsyncConnection) -> None:
    """An idle connection is asked something only if there is something to read on it, as there is when the server hung up."""
    poll = select.poll()
    poll.register(db.fileno(), select.POLLIN)
    if poll.poll(0):
        await AsyncConnectionPool.check_connection(db)


@dataclass
class Service:
    """What runs in a process: the API, the loops of the worker, or both. A worker serves its own health only.

    beside: loops that an API runs beside answering; `/readyz` does not wait for them.
    """

    parts: Parts
    app: FastAPI
    loops: Mapping[str, Loop] = field(default_factory=dict)
    beside: Mapping[str, Loop] = field(default_factory=dict)
    created: type[Fact] | None = None
    down: set[str] = field(default_factory=set)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, role: str) -> None:
        """Until SIGTERM or SIGINT; raises what is not transient."""
        asyncio.get_running_loop().set_exception_handler(telemetry.forgotten)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stopping.set)
        app = self.app if role != "worker" else FastAPI(openapi_url=None)
        self._observe(app)
        server = _Server(
            uvicorn.Config(
                app,
                host=self.parts.settings.host,
                port=self.parts.settings.port,
                log_config=None,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=8,
            )
        )
        loops, beside = self.loops if role != "api" else {}, self.beside if role != "worker" else {}
        self.down |= set(loops)
        if self.created:  # before the first request is taken: no other fact may stand at position 1
            await unless(self.stopping, self._keep("birth", self._begin))
            if self.stopping.is_set():
                return
        async with Together() as group:
            serving = group.create_task(server.serve())
            if loops:
                group.create_task(self._work(loops))
            for name, loop in beside.items():
                group.create_task(self._keep(name, loop))
            collect_seldom()
            await self.stopping.wait()
            server.should_exit = True  # refuse new requests, finish the running ones; the loops may end at any instruction
            await serving
            group.end()

    async def _work(self, loops: Mapping[str, Loop]) -> None:
        async with _only_worker(self.parts):
            if "relay" in loops:
                await self._keep("topic", self._not_ahead)
                await self._keep("past", self._opened)
            async with Together() as group:
                for name, loop in loops.items():
                    group.create_task(self._keep(name, loop))

    async def _not_ahead(self, up: Callable[[], None]) -> None:
        await not_ahead(self.parts.log, self.parts.settings.kafka)
        up()

    async def _opened(self, up: Callable[[], None]) -> None:
        """A log that was written on another server is opened here once all that was signed is found in it."""
        if not await self.parts.log.is_open():
            log_.warning("the log was written on another server: comparing it with what was told and signed", log=self.parts.name)
            async with topic_at(self.parts.settings.kafka) as topic:
                await Signer.of(self.parts.log, self.parts.settings, Acknowledged()).check(topic)
            await self.parts.log.open_here()
            log_.warning("nothing is missing: the log is open here", log=self.parts.name)
        up()

    async def _keep(self, name: str, loop: Loop) -> None:
        waits = pauses(LONGEST)

        def works() -> None:
            nonlocal waits
            if name in self.down:
                self.down.discard(name)
                waits = pauses(LONGEST)

        while True:
            try:
                await loop(works)
            except (*TRANSIENT, asyncio.CancelledError) as problem:
                self.down.add(name)  # also where it ends: whatever the reason, nobody shall think that it works
                if is_ending():  # a library that is cancelled while it cleans up after a failure swallows the cancellation
                    raise asyncio.CancelledError from problem
                pause = next(waits)
                log_.warning("a loop is down", loop=name, seconds=pause, error=type(problem).__name__)
                await asyncio.sleep(pause)
            else:
                return

    async def _begin(self, up: Callable[[], None]) -> None:
        """Raises LostLogError where an empty database is not that of a new log."""
        log = self.parts.log
        if not await log.head() and (trace := await traces_of(log.name, self.parts.settings)) and not await log.head():
            raise LostLogError(
                f"the database of {log.name} is empty, but {trace}: it was lost, or is another one. Nothing was appended;"
                f" bring the log back first: hotline recover {log.name}"
            )
        await self._born(up)

    async def _born(self, up: Callable[[], None]) -> None:
        """The first entry of a log says which log it is; on any later start the command id makes this nothing."""
        origin = self.parts.settings.origin(self.parts.name)
        stream = system_stream(origin)
        if self.created and not await self.parts.log.events(stream, limit=1):
            fact = self.created.model_validate({"origin": origin, "entry_format": "v1"})
            command = uuid5(stream, "birth")
            meta = {"command": str(command), "actor": "policy:birth", "as": "system", "cause": f"origin:{origin}"}
            event = FactMapper().to_stored_event(Recorded(stream, 1, fact, {**meta, "correlation": str(stream)}))
            await self.parts.log.append([event], command)
        up()

    def _observe(self, app: FastAPI) -> None:
        prefix = f"/{self.parts.name}"

        async def alive() -> Response:
            return JSONResponse({"alive": True})

        async def ready() -> Response:
            down = sorted(self.down)
            try:
                await self.parts.log.head()
            except StoreGone:
                down.append("database")
            ready = not down and not self.stopping.is_set()
            return JSONResponse({"ready": ready, "down": down}, 200 if ready else 503)

        async def metrics() -> Response:
            return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

        for path, answer in (("/healthz", alive), ("/readyz", ready), ("/metrics", metrics)):
            app.get(path, include_in_schema=False)(answer)
            app.get(prefix + path, include_in_schema=False)(answer)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the service handles signals; the server is only one of its tasks


@asynccontextmanager
async def _only_worker(parts: Parts) -> AsyncIterator[None]:
    """One worker a service: an advisory lock on a connection of its own. Economy, not correctness: two do no harm."""
    async with await AsyncConnection.connect(parts.settings.database.get_secret_value(), autocommit=True) as db:
        while True:
            cursor = await db.execute("SELECT pg_try_advisory_lock(hashtext('hotline.worker'))")
            row = await cursor.fetchone()
            if row and row[0]:
                break
            await asyncio.sleep(0.2)
        yield


def start(name: str, role: str, settings: Settings, build: Callable[[Parts], Service]) -> None:
    """Run one process of a service."""
    fit_for(role, settings)
    files_fit(settings)
    telemetry.set_up(name, role, settings.log_level, settings.traces)
    failpoints.use(settings.failpoints)

    async def main() -> None:
        async with parts_of(name, settings) as parts:
            await build(parts).run(role)

    with contextlib.suppress(KeyboardInterrupt):
        on_its_loop(main())

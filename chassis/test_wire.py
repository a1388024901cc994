"""The connection of the hot path, where what it hears last and the end of the connection come together."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
from psycopg import OperationalError
from psycopg_pool import AsyncConnectionPool

from chassis import wire
from chassis.loop import on_its_loop
from chassis.wire import Wire
from tests.faults.proxy import Proxy, Weather

LATE_WARNING = "DO $$ BEGIN PERFORM pg_sleep(0.3); RAISE WARNING 'leave'; PERFORM pg_sleep(30); END $$"


@pytest.fixture
def proxy(postgres) -> Iterator[Proxy]:
    with Proxy(postgres.port, Weather()) as proxy:
        yield proxy


@pytest.fixture
def connected(postgres, proxy, monkeypatch) -> Callable[[Callable[[Wire], Awaitable[None]]], None]:
    """Do it with a connection by way of the proxy, on the loop that every process has."""
    monkeypatch.setattr(wire, "PATIENCE", 3.0)  # who was not told in this time would never have been

    async def do(what):
        address = postgres.uri("postgres").replace(str(postgres.port), str(proxy.port))
        connection = Wire(AsyncConnectionPool(address, open=False, kwargs={"autocommit": True}))
        try:
            await what(connection)
        finally:
            await connection.close()

    return lambda what: on_its_loop(do(what))


async def _cut_while_busy(proxy: Proxy) -> None:
    """The loop is busy while something comes from the server, and then the connection is reset: both are seen at once."""
    await asyncio.sleep(0.1)
    threading.Timer(0.4, proxy.cut).start()
    time.sleep(0.7)  # noqa: ASYNC251 - that is the point


def test_a_reset_right_behind_a_warning_is_noticed(proxy, connected):
    """As when PostgreSQL is stopped at once. libuv tells of a socket's error once, and then watches it no more."""

    async def warned(connection):
        answer = asyncio.ensure_future(connection.call(LATE_WARNING))
        await _cut_while_busy(proxy)
        with pytest.raises(OperationalError):
            await answer

    connected(warned)


def test_after_a_reset_right_behind_an_answer_the_next_call_connects_anew(proxy, connected):
    async def answered(connection):
        answer = asyncio.ensure_future(connection.call("SELECT 111 FROM pg_sleep(0.3)"))
        await _cut_while_busy(proxy)
        assert [wire.number(value) for (value,) in await answer] == [111]
        assert [wire.number(value) for (value,) in await connection.call("SELECT 112")] == [112]

    connected(answered)


def test_a_reset_while_nothing_is_asked_is_noticed_too(proxy, connected):
    async def idle(connection):
        await connection.call("SELECT 1")
        await _cut_while_busy(proxy)
        await asyncio.sleep(0.05)
        assert [wire.number(value) for (value,) in await connection.call("SELECT 112")] == [112]

    connected(idle)

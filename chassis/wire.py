"""One connection of the hot path: prepared statements, binary parameters and results, one call at a time.

psycopg's cursors adapt every value of an array in Python and register with the event loop anew for every wait; on the path of each
command that costs several times what the database does (`docs/benchmarks.md`). Everything off that path uses the pool.
"""

import asyncio
import select
import struct
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from psycopg import AsyncConnection, OperationalError
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult
from psycopg_pool import AsyncConnectionPool

PLANS = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
"""Each statement here looks single rows up by key: one plan for ever, and never one that was made while a table was empty."""
WAITS = "-c lock_timeout=4s"
"""Many wait for one round trip, and those behind them for the next: whoever holds a lock must not hold them for long."""
PATIENCE = 20.0  # seconds; the server gives up after 15, so longer means that the network swallowed the answer
Value = bytes | None
"""One value in PostgreSQL's binary form."""


class Wire:
    """A connection like those of `pool`, opened when first needed and again after it broke."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._db: AsyncConnection | None = None
        self._socket, self._errors = -1, select.poll()
        self._prepared: dict[str, bytes] = {}
        self._answer: asyncio.Future[list[PGresult]] | None = None
        self._results: list[PGresult] = []

    async def call(self, statement: LiteralString, *parameters: Value) -> list[list[Value]]:
        """The rows of the answer. Raises psycopg's errors and TimeoutError, after which the next call connects anew."""
        try:
            async with asyncio.timeout(PATIENCE):
                if self._db is None:
                    await self._open()
                name = self._prepared.get(statement) or await self._prepare(statement)
                result = await self._ask(lambda pg: pg.send_query_prepared(name, parameters, [Format.BINARY] * len(parameters), 1))
        except BaseException:
            await self.close()
            raise
        columns = range(result.nfields)
        return [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)]

    async def close(self) -> None:
        """Idempotent; the next call opens another connection."""
        db, self._db, self._answer = self._db, None, None
        self._prepared.clear()
        if db:
            self._listen_no_more()
            await db.close()

    async def _open(self) -> None:
        given: dict[str, Any] = {**self._pool.kwargs} if isinstance(self._pool.kwargs, dict) else {}
        options = f"{given.pop('options', '')} {PLANS} {WAITS}"
        self._db = await AsyncConnection.connect(str(self._pool.conninfo), options=options, connect_timeout=3, **given)
        self._socket = self._db.pgconn.socket
        self._errors = select.poll()
        self._errors.register(self._socket, 0)  # only errors and the end, which are always told
        asyncio.get_running_loop().add_reader(self._socket, self._readable)

    async def _prepare(self, statement: LiteralString) -> bytes:
        name = f"w{len(self._prepared)}".encode()
        await self._ask(lambda pg: pg.send_prepare(name, statement.encode()))
        self._prepared[statement] = name
        return name

    async def _ask(self, send: Callable[[PGconn], None]) -> PGresult:
        if self._db is None:
            raise OperationalError("the connection is closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._results.clear()
        send(self._db.pgconn)
        if self._db.pgconn.flush():  # more than the socket takes at once
            asyncio.get_running_loop().add_writer(self._socket, self._writable)
        result = (await self._answer)[-1]
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            raise error_from_result(result)
        return result

    def _readable(self) -> None:
        """Take what came. libuv tells of a socket's error once and then watches it no more, even if the error stands behind bytes
        that nobody has read; so what is behind them is looked for at once."""
        if self._db is None:
            return
        try:
            self._take(self._db.pgconn)
            while self._errors.poll(0):
                self._take(self._db.pgconn)  # until what was sent before the error is read, and then it raises
        except OperationalError as problem:
            self._hung_up(self._db.pgconn, problem)

    def _take(self, pg: PGconn) -> None:
        """Raises OperationalError where the server hung up."""
        pg.consume_input()
        while not pg.is_busy():
            if result := pg.get_result():
                self._results.append(result)
                continue
            if self._results and self._answer and not self._answer.done():
                self._answer.set_result([*self._results])
            return

    def _writable(self) -> None:
        if self._db is None:
            return
        try:
            if not self._db.pgconn.flush():
                asyncio.get_running_loop().remove_writer(self._socket)
        except OperationalError as problem:
            self._hung_up(self._db.pgconn, problem)

    def _hung_up(self, pg: PGconn, problem: OperationalError) -> None:
        """Tell whoever waits; with nobody there, the next call connects anew."""
        self._listen_no_more()
        if self._answer and not self._answer.done():
            self._answer.set_exception(problem)
        else:
            self._db = None
            self._prepared.clear()
            pg.finish()

    def _listen_no_more(self) -> None:
        """Once, and before the socket's number can be somebody else's."""
        if self._socket >= 0:
            asyncio.get_running_loop().remove_reader(self._socket)
            asyncio.get_running_loop().remove_writer(self._socket)
            self._socket = -1


# -- values ----------------------------------------------------------------------------------------------------------------------

INT4, TEXT, BYTEA, UUIDS = 23, 25, 17, 2950  # type ids of array elements
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_int4 = struct.Struct(">i")


def array(element: int, values: Iterable[bytes]) -> bytes:
    """A one-dimensional array of values in binary form."""
    parts = [part for value in values for part in (_int4.pack(len(value)), value)]
    return struct.pack(">iiiii", 1, 0, element, len(parts) // 2, 1) + b"".join(parts)


def int4s(values: Iterable[int]) -> bytes:
    """int4[]"""
    return array(INT4, map(_int4.pack, values))


def uuids(values: Iterable[UUID]) -> bytes:
    """uuid[]"""
    return array(UUIDS, (value.bytes for value in values))


def texts(values: Iterable[str]) -> bytes:
    """text[]"""
    return array(TEXT, (value.encode() for value in values))


def byteas(values: Iterable[bytes]) -> bytes:
    """bytea[]"""
    return array(BYTEA, values)


def timestamp(at: datetime | None) -> Value:
    """timestamptz"""
    return None if at is None else struct.pack(">q", (at - EPOCH) // MICROSECOND)


def interval(length: timedelta) -> bytes:
    """interval, without days or months: those may be longer or shorter"""
    return struct.pack(">qii", length // MICROSECOND, 0, 0)


def number(value: Value) -> int:
    """int2, int4 or int8"""
    return int.from_bytes(value or b"", "big", signed=True)


def moment(value: Value) -> datetime:
    """timestamptz"""
    return EPOCH + number(value) * MICROSECOND

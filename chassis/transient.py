"""Two kinds of failure and no third: transient ones are waited out, anything else is parked or ends the process."""

import asyncio
from collections.abc import Iterator

from aiokafka.errors import KafkaError
from eventsourcing.persistence import OperationalError
from psycopg import OperationalError as DatabaseError
from psycopg.errors import IdleInTransactionSessionTimeout, TransactionTimeout
from psycopg_pool import PoolTimeout, TooManyRequests


class StoreGone(Exception):
    """A database does not answer; the outcome of a write may be unknown, so it is repeated under the same command id."""


class LogClosed(StoreGone):
    """The log was written on another server, and its worker has not compared it with its topic here: nothing was appended."""


TOO_LATE = (IdleInTransactionSessionTimeout, TransactionTimeout)
"""The server gave up a transaction whose next statement did not come, as after a silent network or a frozen process. To psycopg
they are internal errors; the next try is a new transaction."""
TRANSIENT = (
    StoreGone,
    OperationalError,
    DatabaseError,
    PoolTimeout,
    TooManyRequests,
    KafkaError,
    ConnectionError,
    TimeoutError,
    *TOO_LATE,
)


def is_ending() -> bool:
    """Is this very task asked to end? aiokafka lets cancellations of its own tasks escape, which look the same."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def pauses(longest: float) -> Iterator[float]:
    """Seconds to wait before each further try: doubling from 50 ms, without end."""
    pause = 0.05
    while True:
        yield pause
        pause = min(pause * 2, longest)

"""Builds of a view: each has a schema `build_<number>` of its own tables, and one row says which is live.

Whoever reads takes that row and the tables in one snapshot, so a swap is one row and nobody waits for it. Whoever folds into the
live build holds a shared lock that a swap takes alone: no fact goes into a build that is live no more.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

LOCKS, POINTER = 0x6831_3131, 0  # advisory locks: a number of ours, then the number of a build, or 0 for which is live
_SHOWN: LiteralString = "SELECT set_config('search_path', 'build_' || build || ', public', true), build FROM live"
_NAMED: LiteralString = (
    "SELECT set_config('search_path', 'build_' || number || ', public', true), number FROM build WHERE number = %s"
)
_SNAPSHOT: LiteralString = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class BuildGoneError(Exception):
    """The build was given up while somebody folded into it."""


@asynccontextmanager
async def reading(pool: AsyncConnectionPool) -> AsyncIterator[AsyncConnection[Any]]:
    """One snapshot of the live build, whose tables go by their plain names."""
    async with pool.connection() as db, db.transaction():
        async with db.pipeline():
            await db.execute(_SNAPSHOT)
            await db.execute(_SHOWN)
        yield db


@asynccontextmanager
async def folding(pool: AsyncConnectionPool, build: int | None) -> AsyncIterator[tuple[AsyncConnection[Any], int]]:
    """A transaction that may write into a build, the live one for None, and the number of that build.

    Raises BuildGoneError where there is no such build any more.
    """
    async with pool.connection() as db, db.transaction():
        async with db.pipeline():
            await db.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", (LOCKS, build or POINTER))
            found = await db.execute(_SHOWN) if build is None else await db.execute(_NAMED, (build,))
        row = await found.fetchone()
        if row is None:
            raise BuildGoneError(f"build {build} was given up")
        yield db, row[1]

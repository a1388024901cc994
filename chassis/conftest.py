"""A real PostgreSQL with one template database of the log's schema; each test gets a copy of it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from chassis.keys import KeyStore
from chassis.log import Log
from chassis.migrate import migrate
from deploy.local.postgres import Postgres
from tests.topics import world_of

SQL = Path(__file__).parent / "sql"
MASTER = bytes(range(32))
number = count()


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own, so that the library's synchronous readers can wait for it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


@pytest.fixture(scope="session")
def run(loop) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    return lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(60)


@pytest.fixture(scope="session")
def templates(postgres: Postgres) -> Postgres:
    """Databases `cases` and `keys` with their schema, never written to."""
    postgres.create_service_databases(["intake", "cases", "referrals", "notifications", "projections"])  # whom `keys` grants to
    migrate(postgres.uri("cases", "cases_owner"), [SQL / "log"])
    migrate(postgres.uri("keys", "keys_owner"), [SQL / "keys"])
    return postgres


@pytest.fixture
def database(templates: Postgres) -> Callable[[str], str]:
    """A copy of a template; answers its name."""

    def copy(template: str) -> str:
        name = f"{template}_{next(number)}"
        with psycopg.connect(templates.uri("postgres"), autocommit=True) as db:
            db.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    return copy


@pytest.fixture
def open_pool(templates: Postgres, run) -> Iterator[Callable[[str, str], AsyncConnectionPool]]:
    pools: list[AsyncConnectionPool] = []

    def open_it(name: str, role: str) -> AsyncConnectionPool:
        async def make() -> AsyncConnectionPool:
            pool = AsyncConnectionPool(templates.uri(name, role), min_size=1, max_size=6, open=False, kwargs={"autocommit": True})
            await pool.open()
            return pool

        pools.append(run(make()))
        return pools[-1]

    yield open_it
    for pool in pools:
        run(pool.close())


@pytest.fixture
def new_log_of(database, open_pool, run) -> Iterator[Callable[[str], Log]]:
    """The log of a database, as the API role of the service `cases`, with a key store of its own."""
    made: list[KeyStore | Log] = []

    def make(name: str) -> Log:
        keys = KeyStore(open_pool(database("keys"), "cases_keys"), MASTER)
        log = Log("cases", open_pool(name, "cases_api"), keys)
        made.extend([keys, log])
        return log

    yield make
    for part in made:
        run(part.close())


@pytest.fixture
def new_log(database, new_log_of) -> Callable[[], Log]:
    """Empty logs."""
    return lambda: new_log_of(database("cases"))


@pytest.fixture
async def world(kafka, templates, database):
    def open_database():
        name = database("cases")
        return name, templates.uri(name, "cases_worker")

    async with world_of(kafka.bootstrap, open_database) as world:
        yield world

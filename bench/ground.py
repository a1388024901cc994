"""The ground that contestants share: one durable PostgreSQL and one Kafka of this run, new databases, settings of a service."""

import contextlib
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import psycopg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from psycopg import sql
from pydantic import SecretStr

from bench.contest import say
from bench.machine import held
from chassis.service import Parts, parts_of
from chassis.settings import Settings
from deploy.local.kafka import Kafka
from deploy.local.oidc import Oidc
from deploy.local.postgres import Postgres
from deploy.local.stack import Stack
from tests.desk import create_databases, settings_for
from tests.line import Line

StoredRow = tuple[UUID, int, str, bytes]
"""stream, version, type, state"""


@dataclass
class Ground:
    """PostgreSQL runs from the beginning, Kafka and the identity provider once they are asked for."""

    home: Path
    profiles: Path | None = None
    """Where API processes leave profiles, if they are to be profiled."""
    million: bool = False
    """Whether there is time for histories of a million events."""
    at_rest: dict[str, float] = field(default_factory=dict)
    """MB of each process of `line` before anything was asked of it."""
    _numbers: "count[int]" = field(default_factory=count)
    _ending: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Self:
        self.postgres = self._ending.enter_context(Postgres(self.home / "postgres"))
        create_databases(self.postgres)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ending.close()

    @cached_property
    def kafka(self) -> Kafka:
        return self._ending.enter_context(Kafka(self.home / "kafka"))

    @cached_property
    def oidc(self) -> Oidc:
        provider = Oidc(self.home / "oidc")
        provider.start()
        self._ending.callback(provider.stop)
        return provider

    @cached_property
    def line(self) -> Line:
        """A whole stack of its own, under the limits of the law, at rest."""
        say("starting a whole stack")
        stack = self._ending.enter_context(Stack(self.home / "stack", environment="test", rules="law", say=lambda _: None))
        line = Line(stack)
        line.rest()
        time.sleep(3)
        self.at_rest = held(stack)
        return line

    def database(self, service: str) -> str:
        """A new copy of an empty service's database; its name."""
        name = f"{service}_bench_{next(self._numbers)}"
        with psycopg.connect(self.postgres.uri("postgres"), autocommit=True) as db:
            of = (sql.Identifier(each) for each in (name, service, f"{service}_owner"))
            db.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(*of))
        return name

    def renewed(self, service: str) -> str:
        """The service's database under its own name, which names its roles: dropped, and made anew."""
        self.postgres.drop_database(service)
        create_databases(self.postgres)
        return service

    def settings(self, service: str, database: str, role: str = "api", kafka: str = "127.0.0.1:1") -> Settings:
        """As a process of this service has them."""
        uri = SecretStr(self.postgres.uri(database, f"{service}_{role}"))
        given = settings_for(self.postgres, service, self.home, role)
        return given.model_copy(update={"database": uri, "kafka": kafka})

    @asynccontextmanager
    async def parts(
        self, service: str, database: str, role: str = "api", *, name: str = "", kafka: str = "127.0.0.1:1"
    ) -> AsyncIterator[Parts]:
        """Log, pools and key store exactly as a process of this service opens them; the log may be called otherwise."""
        async with parts_of(name or service, self.settings(service, database, role, kafka)) as parts:
            yield parts

    def fill(self, database: str, rows: Iterable[StoredRow], postgres: Postgres | None = None) -> int:
        """Put a history behind the head of a log by COPY, as no service could; the new head. postgres: of another stack."""
        server = postgres or self.postgres
        copy = "COPY event (position, recorded_at, originator_id, originator_version, topic, state) FROM STDIN (FORMAT BINARY)"
        with psycopg.connect(server.uri(database)) as db, db.cursor() as cursor:
            cursor.execute("SELECT position, clock_timestamp() FROM head FOR UPDATE")
            position, stamp = cursor.fetchall()[0]
            with cursor.copy(copy) as out:
                out.set_types(["int8", "timestamptz", "uuid", "int4", "text", "bytea"])
                for position, row in enumerate(rows, position + 1):  # noqa: B020 - the head moves on
                    out.write_row((position, stamp, *row))
            cursor.execute("UPDATE head SET position = %s, recorded_at = %s", (position, stamp))
        self.analyze(database, server)
        return int(position)

    def analyze(self, database: str, postgres: Postgres | None = None) -> None:
        """Statistics: on an empty table the first plans are made without any, and are kept by the connection that made them."""
        with psycopg.connect((postgres or self.postgres).uri(database), autocommit=True) as db:
            db.execute("VACUUM ANALYZE")

    def rows(self, database: str, query: Any, *args: object) -> list[tuple[Any, ...]]:
        """As the superuser."""
        with psycopg.connect(self.postgres.uri(database), autocommit=True) as db:
            return db.execute(query, args).fetchall()


async def create_topic(bootstrap: str, name: str) -> None:
    """A topic with one partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1, topic_configs={"retention.ms": "-1"})])
    finally:
        await admin.close()

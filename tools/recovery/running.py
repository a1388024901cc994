"""The running stack as an operator reaches it: its addresses, its databases, its broker, and an operator's log-in."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString
from uuid import uuid4

import httpx2
import psycopg
import yaml
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from psycopg.rows import dict_row

from chassis.clients import consuming
from chassis.kafka import topic_of
from deploy.local.oidc import USERS
from deploy.local.postgres import Postgres
from deploy.local.stack import read_state
from tools.oidc_login import LoginFailedError, log_in

OPERATOR = "VH-01"
PATIENCE = 5  # seconds for an answer of a part
GONE = (OSError, psycopg.Error, KafkaError, httpx2.HTTPError, LoginFailedError, TimeoutError)
"""What asking a part may end with that is down."""


class CannotAsk(Exception):
    """There is nothing to ask, or it does not answer; the message says what to do."""


@dataclass
class Running:
    """A stack, found by what it says of itself in `state.json`."""

    state: dict[str, Any]
    _tokens: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, home: Path) -> "Running":
        """Raises CannotAsk if no stack runs there."""
        state = read_state(home)
        if state is None:
            raise CannotAsk("no local stack is running: make up")
        return cls(state)

    @property
    def urls(self) -> dict[str, str]:
        """Base address of `front`, of each service's API by its name, and of each worker as `<service>.worker`."""
        return dict(self.state["urls"])

    # -- over HTTP --------------------------------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Any = None, who: str = OPERATOR, **more: str) -> httpx2.Response:
        """Through the front door, as the operator or as `who`; more: headers, with underscores.

        Raises CannotAsk if nobody answers, or nobody can log in.
        """
        key, headers = str(uuid4()), {name.replace("_", "-"): value for name, value in more.items()}
        answer = self._asked(method, path, body, headers | {"idempotency-key": key}, who)
        if answer.status_code == 401:  # the log-in has run out meanwhile
            del self._tokens[who]
            answer = self._asked(method, path, body, headers | {"idempotency-key": key}, who)
        return answer

    def _asked(self, method: str, path: str, body: Any, headers: dict[str, str], who: str) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self._logged_in(who)}"} | headers
        try:
            return httpx2.request(method, f"{self.urls['front']}{path}", json=body, headers=headers, timeout=30)
        except httpx2.HTTPError:
            raise CannotAsk("the front door does not answer (hotline doctor)") from None

    def _logged_in(self, who: str) -> str:
        if who not in self._tokens:
            try:
                password = yaml.safe_load(USERS.read_text(encoding="utf-8"))["password"]
                self._tokens[who] = log_in(self.state["oidc_issuer"], who, password).access
            except LoginFailedError as why:
                raise CannotAsk(f"{who} cannot log in: {why}") from None
            except GONE:
                raise CannotAsk("nobody can log in: the identity provider does not answer (hotline doctor)") from None
        return self._tokens[who]

    # -- databases --------------------------------------------------------------------------------------------------------------

    def uri(self, database: str, role: str = "postgres") -> str:
        """The connection string of a login role of the local server; `postgres` is the superuser."""
        home = Path(self.state["postgres"])
        server = Postgres(home)
        server.port = json.loads((home / "ports.json").read_text())["postgres"]
        return server.uri(database, role)

    def connect(self, database: str) -> psycopg.Connection[dict[str, Any]]:
        """A connection that does not wait long. Raises psycopg.Error."""
        options = f"-c statement_timeout={60_000 * PATIENCE} -c lock_timeout={1000 * PATIENCE}"
        uri = self.uri(database)
        return psycopg.Connection[dict[str, Any]].connect(
            uri, autocommit=True, connect_timeout=PATIENCE, options=options, row_factory=dict_row
        )

    def rows(self, database: str, query: LiteralString, *args: Any) -> list[dict[str, Any]]:
        """Rows of one statement. Raises psycopg.Error."""
        with self.connect(database) as db:
            return db.execute(query, args).fetchall()

    # -- the broker -------------------------------------------------------------------------------------------------------------

    @property
    def kafka(self) -> str:
        return str(self.state["kafka"])

    @asynccontextmanager
    async def reader(self, log: str) -> AsyncIterator[tuple[AIOKafkaConsumer, TopicPartition]]:
        """A reader at the topic of a log that belongs to no group. Raises KafkaError."""
        topic = TopicPartition(topic_of(log), 0)
        async with consuming(self.kafka, request_timeout_ms=1000 * PATIENCE) as consumer:
            consumer.assign([topic])
            yield consumer, topic

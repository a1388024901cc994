"""Fixtures of every test: asyncio as the event loop, one real PostgreSQL and one real Kafka for the whole session."""

from collections.abc import Iterator

import pytest

from deploy.local.kafka import Kafka
from deploy.local.postgres import Postgres


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL of this session, durable as in production."""
    with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """An Apache Kafka of this session."""
    with Kafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker

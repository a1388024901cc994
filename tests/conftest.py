"""The whole line, once a session: the local stack with empty data and the rules of the demo, for every test that needs it whole."""

from collections.abc import Iterator

import pytest

from deploy.local.stack import Stack
from tests.faults.__main__ import new_line
from tests.line import Line, register_agencies


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """Real PostgreSQL, Kafka, SMTP, identity provider and all five services, and the agencies of the invented province."""
    with Stack(tmp_path_factory.mktemp("line"), environment="test", rules="demo", fresh=True, longest_pause=0.2) as stack:
        line = Line(stack)
        register_agencies(line)
        yield line


@pytest.fixture(scope="module")
def own_line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """A line of a module's own, for tests that read everything there is: others leave strange things behind on purpose."""
    with new_line(tmp_path_factory.mktemp("own")) as line:
        yield line

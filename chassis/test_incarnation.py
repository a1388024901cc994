"""A log that was restored or promoted is closed on its new server until its worker has looked."""

from uuid import uuid4

import psycopg
import pytest

from chassis.log import Log
from chassis.transient import LogClosed, StoreGone
from tests.topics import say

pytestmark = [pytest.mark.real]


@pytest.fixture
def moved(database, new_log_of, templates, run):
    """A log with two entries, and its database, as it would be on another server."""
    name = database("cases")
    log = new_log_of(name)
    run(say(log, "one", "two"))
    with psycopg.connect(templates.uri(name), autocommit=True) as db:
        db.execute("UPDATE head SET incarnation = '7000000000000000000:1'")
    return log, name


def test_nothing_is_appended_to_a_log_that_was_written_on_another_server(moved, run):
    log, _ = moved
    with pytest.raises(LogClosed):
        run(say(log, "three"))
    assert issubclass(LogClosed, StoreGone)  # whoever waits for a database waits for this, too
    assert (2, False) == (run(log.head()), run(log.is_open()))


def test_its_worker_opens_it_and_nobody_else_may(moved, open_pool, run):
    log, name = moved
    with pytest.raises(StoreGone):
        run(log.open_here())  # as the API's role
    worker = Log("cases", open_pool(name, "cases_worker"))
    run(worker.open_here())
    run(say(log, "three"))
    assert (3, True) == (run(log.head()), run(log.is_open()))


def test_a_promotion_is_another_server_at_once(moved, templates):
    """The timeline is that of the write-ahead log, which changes with the promotion itself."""
    _, name = moved
    with psycopg.connect(templates.uri(name), autocommit=True) as db:
        ((here, system, timeline),) = db.execute(
            "SELECT incarnation_here(), s.system_identifier, c.timeline_id FROM pg_control_system() s, pg_control_checkpoint() c"
        ).fetchall()
    assert f"{system}:{timeline}" == here


def test_a_copy_that_never_moved_is_open(new_log, run):
    log = new_log()
    run(say(log, uuid4().hex))
    assert run(log.is_open())

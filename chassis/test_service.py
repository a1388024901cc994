"""The loops of a process: two kinds of failure and no third, and no loop that ends unseen."""

import asyncio
import contextlib

import pytest
from aiokafka.errors import KafkaConnectionError
from psycopg import AsyncConnection
from structlog.testing import capture_logs

from chassis.service import Service, _pool
from chassis.transient import TRANSIENT, StoreGone
from tests.faults.proxy import Proxy, Weather
from tests.topics import until

pytestmark = pytest.mark.anyio


class Scripted:
    """A loop that fails as told, try by try, and then works until it is cancelled."""

    def __init__(self, *failures):
        self.failures, self.tries, self.works = list(failures), 0, asyncio.Event()
        self.service = Service(None, None, down={"loop"})
        self.down_at_each_try = []

    async def run(self, up):
        self.tries += 1
        self.down_at_each_try.append(set(self.service.down))
        if self.failures:
            raise self.failures.pop(0)
        up()
        self.works.set()
        await asyncio.Event().wait()

    def start(self):
        return asyncio.create_task(self.service._keep("loop", self.run))


async def until_it_works(loop):
    with capture_logs() as said:
        task = loop.start()
        await asyncio.wait_for(loop.works.wait(), 10)
    return task, said


@pytest.mark.parametrize("failure", [StoreGone("gone"), KafkaConnectionError(), ConnectionError(), TimeoutError()])
async def test_a_transient_failure_restarts_the_loop_and_the_process_is_not_ready_meanwhile(failure):
    loop = Scripted(failure, failure)
    task, said = await until_it_works(loop)
    assert (3, [{"loop"}] * 3, set()) == (loop.tries, loop.down_at_each_try, loop.service.down)
    assert ["a loop is down"] * 2 == [line["event"] for line in said]
    task.cancel()


async def test_a_cancellation_that_a_library_lets_escape_does_not_end_the_loop_unseen():
    """aiokafka's consumer raises it from `stop()` once the broker was away for some seconds."""
    loop = Scripted(asyncio.CancelledError())
    task, said = await until_it_works(loop)
    assert (2, ["CancelledError"]) == (loop.tries, [line["error"] for line in said])
    task.cancel()


async def test_a_loop_ends_when_the_process_does_and_nobody_thinks_that_it_works():
    loop = Scripted()
    task, _ = await until_it_works(loop)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (1, {"loop"}) == (loop.tries, loop.service.down)


async def test_a_loop_ends_though_a_library_swallows_the_cancellation_while_it_cleans_up():
    """aiokafka's `stop()` does, so a worker told to end just then began its relay anew and stayed for ever."""

    async def cleaning_up(_):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise KafkaConnectionError from None

    task = asyncio.create_task(Scripted().service._keep("loop", cleaning_up))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(task), 5)


async def test_any_other_failure_ends_the_process():
    with pytest.raises(ZeroDivisionError):
        await Scripted(ZeroDivisionError()).start()


@pytest.mark.real
async def test_a_pool_connects_again_after_an_outage_in_which_more_asked_than_it_has_places_for(postgres):
    """A queue with a bound stays full of those who gave up, and then nobody's asking lets the pool grow."""
    with Proxy(postgres.port, Weather(shut=True)) as proxy:
        uri = postgres.uri("postgres").replace(f":{postgres.port}/", f":{proxy.port}/")
        async with _pool(uri, 1, 2) as pool:
            asked = await asyncio.gather(*(pool.getconn(timeout=0.01) for _ in range(300)), return_exceptions=True)
            assert all(isinstance(answer, TRANSIENT) for answer in asked)
            await asyncio.sleep(2)  # until the pool has given up connecting
            proxy.weather.shut = False
            await until(lambda: answers(pool))


async def answers(pool):
    with contextlib.suppress(*TRANSIENT):
        async with pool.connection(timeout=0.5) as db:
            await db.execute("SELECT 1")
            return True
    return False


async def test_a_transaction_that_the_server_gave_up_because_nothing_came_is_no_reason_to_end(postgres):
    """As after a silent network: the next statement of a process comes after the server's patience."""
    async with await AsyncConnection.connect(postgres.uri("postgres")) as db:
        await db.execute("SET idle_in_transaction_session_timeout = '50ms'")
        await asyncio.sleep(0.5)
        with pytest.raises(TRANSIENT):
            await db.execute("SELECT 1")

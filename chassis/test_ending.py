"""Tasks that end together do end, whatever a library makes of their cancellation."""

import asyncio
import time
from contextlib import suppress

import pytest

from chassis import ending
from chassis.ending import Together, unless

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(ending, "GRACE", 0.1)


async def deaf(times, heard):
    """Goes on after so many cancellations, as a loop does whose library drops them."""
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            heard.append(asyncio.get_running_loop().time())
            if len(heard) > times:
                raise


async def fails():
    await asyncio.sleep(0)
    raise LookupError


async def test_one_that_drops_its_cancellation_is_told_again_until_it_ends():
    heard = []
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(10), Together() as group:
            group.create_task(deaf(2, heard))
            group.create_task(fails())
    assert caught.group_contains(LookupError)
    assert len(heard) == 3


async def test_all_of_them_end_when_they_are_asked_to():
    heard = []
    async with asyncio.timeout(10), Together() as group:
        tasks = [group.create_task(deaf(times, heard)) for times in (0, 1)]
        await asyncio.sleep(0)
        group.end()
    assert all(task.cancelled() for task in tasks)


async def test_one_whose_time_to_wait_is_over_goes_on_waiting(monkeypatch):
    """It is cancelled by `asyncio.timeout`, for a moment; and after the process was frozen, everything is over at that moment."""
    monkeypatch.setattr(ending, "GRACE", 0.01)
    waits = []

    async def waiting():
        for _ in range(20):
            with suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(60)
            waits.append(True)

    async with asyncio.timeout(10), Together() as group:
        for _ in range(5):
            group.create_task(waiting())
        while len(waits) < 100:
            time.sleep(0.03)  # noqa: ASYNC251 - nothing runs meanwhile
            await asyncio.sleep(0)
    assert len(waits) == 100


async def test_a_group_within_a_group_ends_with_the_outer_one():
    heard = []

    async def inner():
        async with Together() as group:
            group.create_task(deaf(2, heard))

    with pytest.raises(ExceptionGroup):
        async with asyncio.timeout(10), Together() as group:
            group.create_task(inner())
            await asyncio.sleep(0.01)
            group.create_task(fails())
    assert len(heard) == 3


async def test_one_that_ends_in_time_cleans_up_undisturbed(monkeypatch):
    monkeypatch.setattr(ending, "GRACE", 5.0)
    cleaned = []

    async def tidy():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.2)
            cleaned.append(True)

    with pytest.raises(ExceptionGroup):
        async with Together() as group:
            group.create_task(tidy())
            group.create_task(fails())
    assert cleaned == [True]


async def test_nobody_is_told_to_end_while_all_goes_well():
    async with Together() as group:
        task = group.create_task(asyncio.sleep(0.3, "done"))
    assert task.result() == "done"


async def test_what_is_done_unless_the_process_ends_is_left_off_when_it_does_however_deaf():
    told, heard = asyncio.Event(), []
    asyncio.get_running_loop().call_later(0.05, told.set)
    async with asyncio.timeout(10):
        await unless(told, deaf(2, heard))
    assert 3 == len(heard)


async def test_what_it_raises_before_that_is_raised():
    with pytest.raises(LookupError):
        await unless(asyncio.Event(), fails())

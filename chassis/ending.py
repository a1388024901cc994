"""Tasks that end together, and do end."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Self

GRACE = 3.0  # seconds for what a task cleans up before it is told again


class Together(asyncio.TaskGroup):
    """A task group that tells those who were told to end and go on all the same once more.

    On Python 3.11 `asyncio.wait_for` drops a cancellation that comes in the same turn as what it waits for, and psycopg's pool
    waits with it for a connection: the loop went on as if nothing had happened, and its process hung half ended, deaf and silent,
    until somebody killed it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._members: list[asyncio.Task[Any]] = []
        self._ending = False
        self._within: asyncio.Task[Any] | None = None
        self._insisting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._within = asyncio.current_task()
        self._insisting = asyncio.create_task(self._insist())
        return await super().__aenter__()

    async def __aexit__(self, *given: Any) -> None:  # noqa: PYI036 # pyrefly: ignore
        try:
            await super().__aexit__(*given)
        finally:
            if self._insisting:
                self._insisting.cancel()

    def create_task(self, *args: Any, **kwargs: Any) -> asyncio.Task[Any]:
        """As asyncio does."""
        task = super().create_task(*args, **kwargs)
        self._members.append(task)
        task.add_done_callback(self._look)
        return task

    def end(self) -> None:
        """All of them are to end."""
        self._ending = True
        for task in self._members:
            task.cancel()

    def _look(self, task: asyncio.Task[Any]) -> None:
        self._ending |= not task.cancelled() and task.exception() is not None  # then the group cancels the others

    async def _insist(self) -> None:
        """That a member is being cancelled says nothing: so is one whose `asyncio.timeout` is over. The group has to be ending."""
        while True:
            ends = self._ending or (self._within is not None and self._within.cancelling() > 0)
            await asyncio.sleep(GRACE)
            for task in self._members if ends else ():
                task.cancel()  # of one that is done by now it asks nothing


async def unless(told: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do it, and no more of it once this is told. Raises what it raises."""
    doing, hearing = asyncio.ensure_future(work), asyncio.ensure_future(told.wait())
    await asyncio.wait([doing, hearing], return_when=asyncio.FIRST_COMPLETED)
    hearing.cancel()
    while not doing.done():
        doing.cancel()
        await asyncio.wait([doing], timeout=GRACE)
    if not doing.cancelled():
        doing.result()

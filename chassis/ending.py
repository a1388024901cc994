"""Tasks that end together, and do end."""

import asyncio
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
        self._told: list[asyncio.Task[Any]] = []
        self._insisting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
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
        self._told.append(task)
        return task

    async def _insist(self) -> None:
        while True:
            ending = [task for task in self._told if task.cancelling() and not task.done()]
            await asyncio.sleep(GRACE)
            for task in ending:
                task.cancel()  # of one that is done by now it asks nothing

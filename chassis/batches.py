"""Group commit, for reads as well: what is asked for during one round trip goes out together in the next. Nothing else knows it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from chassis.transient import StoreGone

Q = TypeVar("Q")
A = TypeVar("A")
LONGEST = 2000
"""Askers that wait at most; beyond that one is told to try again at once, instead of queueing for ever."""


@dataclass(frozen=True, slots=True)
class Asked(Generic[Q, A]):
    """One question, who waits for its answer, and what it must not share a round trip about."""

    what: Q
    answer: asyncio.Future[A]
    keys: frozenset[Any]

    def settle(self, answer: A | Exception) -> None:
        """Tell whoever waits, unless they went away."""
        if self.answer.done():
            return
        if isinstance(answer, Exception):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class Batches(Generic[Q, A]):
    """`serve` makes one round trip for a batch and settles each of it; what it raises becomes everybody's answer."""

    def __init__(self, name: str, serve: Callable[[Sequence[Asked[Q, A]]], Awaitable[None]], most: int = 512) -> None:
        self._name, self._serve, self._most = name, serve, most
        self._queue: list[Asked[Q, A]] = []
        self._server: asyncio.Task[None] | None = None

    async def ask(self, what: Q, keys: frozenset[Any] = frozenset()) -> A:
        """The answer. Two questions that share a key never go out together. Raises what `serve` raised, or StoreGone."""
        if len(self._queue) >= LONGEST:
            raise StoreGone(f"{self._name}: too many wait already")
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._queue.append(Asked(what, future, keys))
        if self._server is None:  # in a context of its own: a round trip for many belongs into nobody's trace
            self._server = asyncio.get_running_loop().create_task(self._drain(), context=Context())
        return await future

    async def close(self) -> None:
        """Finish what is queued."""
        if self._server:
            await asyncio.wait([self._server])

    async def _drain(self) -> None:
        try:
            while self._queue:
                batch, self._queue = self._next()
                await self.serve(batch)
        finally:
            self._server = None

    def _next(self) -> tuple[list[Asked[Q, A]], list[Asked[Q, A]]]:
        """Rivals for a version, and twins of a command, wait for the next round."""
        batch: list[Asked[Q, A]] = []
        rest: list[Asked[Q, A]] = []
        taken: set[Any] = set()
        for asked in self._queue:
            if len(batch) < self._most and taken.isdisjoint(asked.keys):
                batch.append(asked)
                taken |= asked.keys
            else:
                rest.append(asked)
        return batch, rest

    async def serve(self, batch: Sequence[Asked[Q, A]]) -> None:
        """One round trip, after which each of the batch has an answer."""
        try:
            await self._serve(batch)
        except Exception as problem:  # noqa: BLE001 - whatever it is, each of them is told, and nobody waits for ever
            for asked in batch:
                asked.settle(problem)
        except BaseException:
            for asked in batch:
                asked.settle(StoreGone(f"{self._name}: the process is ending"))
            raise

"""Work shared between the processors where there is enough of it. Hashing small pieces holds Python's lock: threads do not help."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from itertools import islice
from types import TracebackType
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")
ENOUGH = 4
"""Pieces of work below which another process is not worth starting."""
AHEAD = 3
"""Pieces that are under way for each process: results are not piled up faster than they are used."""


class Hands(AbstractContextManager["Hands"]):
    """As many processes as there are processors, started when there is work for them."""

    def __init__(self, processes: int = 0) -> None:
        """processes: 0 for as many as this machine has."""
        self.processes = processes or os.cpu_count() or 1
        self._pool: ProcessPoolExecutor | None = None

    def map(self, function: Callable[[Given], Made], pieces: Iterable[Given]) -> Iterator[Made]:
        """The results in order. function: of a module, since processes find it by its name."""
        waiting = iter(pieces)
        first = list(islice(waiting, ENOUGH))
        if len(first) < ENOUGH or self.processes == 1:
            yield from map(function, first)
            yield from map(function, waiting)
            return
        if self._pool is None:
            # a fork costs nothing, but must not be made where threads could hold a lock
            way = "fork" if sys.platform == "linux" and threading.active_count() == 1 else "spawn"
            self._pool = ProcessPoolExecutor(self.processes, multiprocessing.get_context(way))
        running = [self._pool.submit(function, piece) for piece in (*first, *islice(waiting, AHEAD * self.processes - ENOUGH))]
        while running:
            yield running.pop(0).result()
            running += [self._pool.submit(function, piece) for piece in islice(waiting, 1)]

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

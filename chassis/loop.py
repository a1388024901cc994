"""The event loop that every process of ours runs on."""

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def on_its_loop(work: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, on uvloop where there is one: the same loop, in C."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if sys.platform != "win32":
        import uvloop  # noqa: PLC0415 - not to be had everywhere

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)


def collect_seldom() -> None:
    """For a process that has started. What there is by now lives for ever, so the collector need not walk it; and it comes after a
    hundred thousand new objects, not seven hundred: facts on their way into a view are no garbage, and walking them again and again
    was a third of the time of folding them. What dies without cycles, which is nearly all, is freed at once anyway."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)

"""What a log says of itself, on its system stream: nobody decides it, nothing is folded from it."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from eventsourcing.persistence import IntegrityError
from eventsourcing.utils import resolve_topic

from chassis.log import Log
from contracts.ids import command_id, system_stream
from contracts.kernel import Fact


async def say(log: Log, origin: str, name: str, content: Mapping[str, Any], cause: str) -> None:
    """Append `<log>.<name>`; the same cause again changes nothing. Raises StoreGone, and ValueError for another content."""
    kind: type[Fact] = resolve_topic(f"{log.name}.{name}")
    fact, stream = kind.model_validate(content), system_stream(origin)
    command = command_id(stream, cause, name)
    meta = {
        "command": str(command),
        "actor": f"policy:{cause.partition(':')[0]}",
        "as": "system",
        "occurred_at": log.time.now().isoformat(),
        "cause": cause,
        "correlation": str(stream),
    }
    while True:
        last = await log.events(stream, desc=True, limit=1)
        try:
            await log.record(stream, last[0].originator_version if last else 0, [fact], command, meta)
        except IntegrityError:  # an operator's decision stands on the same stream, and was faster
            continue
        return


async def heartbeat(log: Log, origin: str, period: int, up: Callable[[], None]) -> None:
    """A log that has been idle for `period` seconds says so, until cancelled. Two of it say it once.

    Idle is measured by a clock that nobody sets: a demo that jumps ahead is no silence.
    """
    position, since = await log.head(), time.monotonic()
    up()
    while True:
        await log.grown(position)
        if (head := await log.head()) != position:
            position, since = head, time.monotonic()
        elif time.monotonic() - since >= period:
            await say(log, origin, "HeartbeatRecorded", {"period": period}, f"heartbeat:{position}")

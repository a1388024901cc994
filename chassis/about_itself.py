"""What a log says of itself, on its system stream: nobody decides it, nothing is folded from it."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, LiteralString

from eventsourcing.persistence import IntegrityError
from eventsourcing.utils import resolve_topic

from chassis.ledger.policy import Policy
from chassis.log import Log
from contracts.ids import command_id, system_stream
from contracts.kernel import Fact

_LAST: LiteralString = """
    SELECT originator_version, state FROM event WHERE originator_id = %s AND topic = %s ORDER BY originator_version DESC LIMIT 1"""


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


async def adopt(log: Log, origin: str, policy: Policy) -> None:
    """Say by which policy the log is judged from here on, unless that was said last: a restart says nothing. Raises StoreGone."""
    stream, topic = system_stream(origin), f"{log.name}.PolicyAdopted"
    said = await log.fetch(_LAST, stream, topic)
    version, content = said[0][0] if said else 0, {"epoch": policy.epoch, "sha256": policy.digest}
    if not said or json.loads(said[0][1])["fact"] != content:
        await say(log, origin, "PolicyAdopted", content, f"policy:{policy.digest}@{version}")


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

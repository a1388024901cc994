"""Deliveries from outside: kept sealed before the sender hears 200, turned into commands by the worker, each exactly once."""

import asyncio
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

import structlog
from psycopg_pool import AsyncConnectionPool

from chassis.commands import Call, Commands
from chassis.failpoints import reach
from chassis.keys import KeyStore
from chassis.sealing import Place, open_box, seal
from chassis.timing import Time
from contracts.ids import created_stream
from contracts.kernel import NS, Command, Refused

log_ = structlog.get_logger("hotline.inbox")
IDLE = 0.05
_KEEP = "SELECT keep_delivery(%s, %s, %s, %s, %s, %s)"
_NEXT = "SELECT provider, id, received_at, person, box FROM inbox WHERE state = 'new' ORDER BY received_at LIMIT 50"
_DONE = "UPDATE inbox SET state = %s, reason = %s WHERE provider = %s AND id = %s"


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a channel's reader makes of raw bytes: their kind (`contact`, `no_contact`, `unknown` …) and the command, if any."""

    kind: str
    command: Command | None


Read = Callable[[bytes, datetime, UUID], Parsed]
"""raw bytes, received_at, caller_id."""


@dataclass(frozen=True)
class Inbox:
    """The table `inbox` from both sides: `keep` for the API, `work` for the worker."""

    pool: AsyncConnectionPool
    keys: KeyStore
    time: Time
    mark_key: bytes

    async def keep(self, provider: str, id: str, raw: bytes) -> str:  # noqa: A002 - the provider's word
        """Durable when it returns: `new`, `known` (a repeat) or `conflict` (a known id with other content)."""
        person = uuid4()
        key = (await self.keys.create([person]))[person]
        box = seal(key, {"/raw": b64encode(raw).decode()}, _place(provider, id), person)
        mark = hmac.digest(self.mark_key, raw, "sha256")
        async with self.pool.connection() as db:
            cursor = await db.execute(_KEEP, (provider, id, self.time.now(), person, mark, box))
            ((kept,),) = await cursor.fetchall()
        if kept != "new":
            log_.info("a delivery came again", provider=provider, kept=kept)
        return str(kept)

    async def work(self, commands: Commands, readers: Mapping[str, Read], up: Callable[[], None]) -> None:
        """Turn kept deliveries into commands until cancelled; a kill between the two repeats the command under the same id."""
        while True:
            async with self.pool.connection() as db:
                rows = await (await db.execute(_NEXT)).fetchall()
            up()
            for provider, id_, received_at, person, box in rows:
                reach("inbox.before-command")
                state, reason = await self._apply(commands, readers[provider], provider, id_, received_at, person, box)
                reach("inbox.after-command")
                async with self.pool.connection() as db:
                    await db.execute(_DONE, (state, reason, provider, id_))
            if not rows:
                await asyncio.sleep(IDLE)

    async def _apply(self, commands: Commands, read: Read, *row: Any) -> tuple[str, str | None]:
        provider, id_, received_at, person, box = row
        keys = await self.keys.get([person])
        if person not in keys:
            return "refused", "person-forgotten"
        raw = b64decode(open_box(keys[person], box, _place(provider, id_), person)["/raw"])
        parsed = read(raw, received_at, person)
        command = parsed.command
        if command is None:
            return parsed.kind, None
        cause = f"{provider}:{id_}"
        stream = created_stream(cause, type(command).__name__)
        try:
            await commands.execute(stream, command, Call(cause=cause, actor="policy:inbox", correlation=str(stream)))
        except Refused as why:
            log_.warning("a delivery was refused", provider=provider, code=why.code)
            return "refused", why.code
        return "done", None


def _place(provider: str, id_: str) -> Place:
    return Place(uuid5(NS, f"{provider}:{id_}"), 0, "inbox")

"""The sender loop: asks the domain which attempt is due, tries it over SMTP, records what became of it.

Officials get a message at least once: a kill between sending and recording repeats it under the same Message-ID, which makes the
repeat visible. Only live facts reach `outgoing`, so a replay sends nothing.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

import structlog
from psycopg import AsyncConnection

from chassis.commands import Call, Commands
from chassis.failpoints import reach
from chassis.follow import Handlers
from chassis.links import token_of
from chassis.mapper import Recorded
from chassis.service import Parts
from contracts import notifications
from contracts.references import reference
from services.notifications.adapters.directory import Directory
from services.notifications.adapters.mail import Mailer, compose
from services.notifications.domain.sending import Attempt, Delivered, Failed, RecordSending, Sent, next_attempt
from services.notifications.domain.state import Message, Thread

log_ = structlog.get_logger("hotline.sender")
IDLE, LEASE = 0.1, timedelta(seconds=30)
AT_ONCE = 8  # conversations with the mail server; mail hosts commonly allow one client 10 to 50
_DUE = "SELECT stream FROM outgoing WHERE next_at <= %s ORDER BY next_at LIMIT %s"


async def wake(db: AsyncConnection[Any], event: Recorded) -> None:
    """Something happened in this thread: look whether an attempt is due."""
    await db.execute(
        "INSERT INTO outgoing VALUES (%s, '-infinity') ON CONFLICT (stream) DO UPDATE SET next_at = excluded.next_at",
        (event.stream,),
    )


WAKES: Handlers = {
    notifications.MessageQueued: wake,
    notifications.MessageFailed: wake,
    notifications.ClockStarted: wake,
    notifications.MessageCancelled: wake,
}


@dataclass(frozen=True)
class Sender:
    """`link_key` makes the acknowledgement link while sending: it stands in no event."""

    parts: Parts
    commands: Commands
    directory: Directory
    mailer: Mailer
    link_key: bytes

    async def run(self, up: Callable[[], None]) -> None:
        """Until cancelled."""
        while True:
            served = await self.step()
            up()
            await asyncio.sleep(0 if served else IDLE)

    async def step(self) -> int:
        """Serve the threads that come next, some at once: a slow mail server must not hold up what is urgent. How many they were.

        Raises what went wrong in one only after the others have ended: a conversation that is broken off is a mail sent twice.
        """
        now = self.parts.time.now()
        async with self.parts.pool.connection() as db:
            rows = await (await db.execute(_DUE, (now, AT_ONCE))).fetchall()
        ends = await asyncio.gather(*(self._serve(stream, now) for (stream,) in rows), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        return len(rows)

    async def _serve(self, stream: UUID, now: datetime) -> None:
        """Make the attempts of a thread that are due, then note when to look again.

        Meanwhile the thread is put off, not removed: after a kill it comes up again, and what happens meanwhile wakes it.
        """
        lease = now + LEASE
        await self._note("UPDATE outgoing SET next_at = %s WHERE stream = %s", lease, stream)
        thread = (await self.commands.past(stream)).state
        later: list[datetime] = []
        for message in thread.open if isinstance(thread, Thread) else ():
            attempt = next_attempt(message, now, self.parts.rules)
            if attempt is None:
                continue
            if attempt.at > now:
                later.append(attempt.at)
            else:
                await self._try(stream, thread, message, attempt)
        if later:
            await self._note("UPDATE outgoing SET next_at = %s WHERE stream = %s AND next_at = %s", min(later), stream, lease)
        else:
            await self._note("DELETE FROM outgoing WHERE stream = %s AND next_at = %s", stream, lease)

    async def _note(self, statement: LiteralString, *values: object) -> None:
        async with self.parts.pool.connection() as db:
            await db.execute(statement, values)

    async def _try(self, stream: UUID, thread: Thread, message: Message, attempt: Attempt) -> None:
        message_id = f"<{stream}.{message.number}@{self.mailer.sender.partition('@')[2]}>"
        address = await self.directory.address_of(message.agency_id, attempt.channel) if message.agency_id else None
        result: Sent | Delivered | Failed
        if address is None:
            result = Failed(reason="refused", permanent=True)  # the agency was forgotten, or lost this address
        else:
            reach("sender.before-send")
            result = await self._mail(thread, message, address, message_id)
            reach("sender.after-send")
        command = RecordSending(number=message.number, channel=attempt.channel, attempt=attempt.number, result=result)
        cause = f"{attempt.channel}:{message_id[1:-1]}#{attempt.number}"
        await self.commands.execute(stream, command, Call(cause=cause, actor="policy:sender"))
        log_.info("tried", stream=str(stream), number=message.number, channel=attempt.channel, result=result.result)

    async def _mail(self, thread: Thread, message: Message, address: str, message_id: str) -> Sent | Delivered | Failed:
        hand_off = await self.directory.hand_off(thread.about.id) if thread.about.kind == "referral" else None
        link = None
        if hand_off and hand_off[1] and message.letter.template.startswith("hand_off"):
            token = token_of(self.link_key, thread.about.id, hand_off[1])
            link = f"{self.parts.settings.public_url}/referrals/v1/acknowledgements/{token}"
        mail = compose(
            message.letter,
            sender=self.mailer.sender,
            to=address,
            message_id=message_id,
            reference=reference("H", hand_off[0]) if hand_off else None,
            link=link,
            call_back=self.parts.settings.call_back,
            now=self.parts.time.now(),
        )
        sent = await self.mailer.send(mail)
        if sent.reason:
            return Failed(reason=sent.reason, permanent=sent.permanent)
        if self.parts.settings.smtp_is_final_hop:
            return Delivered(provider_ref=message_id, via="smtp_accepted")
        return Sent(provider_ref=message_id)

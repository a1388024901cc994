"""Faults of the mail server: it refuses, it asks to come again, it takes a message and dies before it says so."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.local.smtp import MailHost
from tests.faults.chaos import Chaos, fault
from tests.line import eventually


class Moody(MailHost):
    """The world's mail server on a bad day. mood: `refuse`, `grey` (come again, the first time) or `die`."""

    def __init__(self, folder: Path, mood: str) -> None:
        super().__init__(folder, "", b"")
        self.mood, self.times, self._seen = mood, 0, Counter[str]()

    async def handle_RCPT(  # noqa: N802 - the names are aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self._seen[address] += 1
        if self.mood == "refuse" or (self.mood == "grey" and self._seen[address] % 2):
            self.times += 1
            return "550 5.7.1 not here" if self.mood == "refuse" else "451 4.7.1 greylisted, come again"
        return await super().handle_RCPT(server, session, envelope, address, options)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = await super().handle_DATA(server, session, envelope)
        if self.mood == "die" and self.times < 5:
            self.times += 1
            server.transport.abort()
        return answer


@fault(
    "mail refused",
    "the mail server answers 550 to every recipient",
    "each attempt is told, the next address is tried, and a message that reached nobody is somebody's work",
)
def refused(chaos: Chaos) -> None:
    _mood(chaos, "refuse")


@fault("mail greylisted", "the mail server answers 451, and accepts when the message comes again", "it is sent again and arrives")
def greylisted(chaos: Chaos) -> None:
    _mood(chaos, "grey")


@fault(
    "mail taken, and the server dies before it says so",
    "the connection is reset after the message is stored and before the answer, five times",
    "it is sent again under the same Message-ID: at least once, and a repeat shows itself",
)
def dying(chaos: Chaos) -> None:
    _mood(chaos, "die")


def _mood(chaos: Chaos, mood: str) -> None:
    with chaos.strike(), _instead(chaos, mood) as host:
        eventually(lambda: host.times >= 5, 120)
        chaos.desks.tell(3)
    chaos.repetitions += host.times - 1


@contextmanager
def _instead(chaos: Chaos, mood: str) -> Iterator[Moody]:
    """Another server at the same address; afterwards the usual one again."""
    smtp = chaos.stack.smtp
    host, loop, up = Moody(smtp.folder, mood), asyncio.new_event_loop(), threading.Event()

    async def serve() -> None:
        server = await loop.create_server(lambda: SMTP(host, enable_SMTPUTF8=True, loop=loop), "127.0.0.1", smtp.port)
        up.set()
        await server.serve_forever()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except asyncio.CancelledError:
            loop.close()

    smtp.process.stop()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert up.wait(10), "the mail server did not come up"
    try:
        yield host
    finally:
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        thread.join()
        smtp.start()

"""The sender over a real log, a real copy of the directory and a real mail server."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, timedelta
from random import randrange
from uuid import UUID, uuid4

import pytest
from aiosmtpd.smtp import SMTP

from chassis.commands import Call
from chassis.log import recorded
from chassis.mapper import FactMapper
from chassis.transient import StoreGone
from contracts.shapes import About, Addressee
from services.notifications.adapters.directory import agency_heard
from services.notifications.adapters.mail import Mailer
from services.notifications.domain.queueing import QueueMessage
from services.notifications.test_samples import LETTER, XA
from tests.desk import desk

pytestmark = [pytest.mark.anyio, pytest.mark.real]
AT_ONCE, FROM = 4, "tongdai@hotline.example"
UNION = Addressee(role="womens_union", place=XA)
"""Nobody else in the tests writes to them: the databases are shared, and a body that is registered stays."""


class Together:
    """A mail server that takes nothing before this many mails lie before it at the same time."""

    def __init__(self, number: int) -> None:
        self._all_here = asyncio.Barrier(number)

    async def handle_DATA(self, _server, _session, _envelope):  # noqa: N802 - the name is aiosmtpd's
        async with self._all_here:
            return "250 OK"


@asynccontextmanager
async def mail_server(host):
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: SMTP(host, loop=loop), "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
async def worker(postgres, tmp_path):
    """A worker of notifications that is moved by hand; it has heard of the union of the commune."""
    async with desk(postgres, "referrals", tmp_path) as referrals, desk(postgres, "notifications", tmp_path, role="worker") as made:
        day = date(2025, 7, 1) + timedelta(days=randrange(500))  # one body fills a role from a day on
        body = {"role": UNION.role, "place": UNION.place, "label": "UBND xã (mẫu)", "valid_from_on": str(day)}
        contacts = [{"channel": "email", "address": "ubnd@suoi-mau.example"}]
        answer = await referrals.post("/referrals/v1/agencies", body | {"contacts": contacts}, "GS-01", ("supervisor",))
        assert answer.is_success, answer.text
        for row in await referrals.parts.log.rows_of(UUID(answer.json()["id"])):
            async with made.parts.pool.connection() as db:
                await agency_heard(db, recorded("referrals", row, FactMapper()))
        yield made.service


async def queue(worker):
    """A message in a thread of its own, woken as the worker's tables wake it."""
    sender, stream = worker.loops["sender"].__self__, uuid4()
    about = About(kind="referral", id=stream)
    command = QueueMessage(about=about, recipient=UNION, purpose="duty", letter=LETTER)
    await sender.commands.execute(stream, command, Call(f"test:{stream}", "policy:test"))
    while await worker.loops["tables"].__self__.step():
        pass
    return stream


async def accepted(worker, thread):
    """Did a mail server take the message of this thread?"""
    past = await worker.loops["sender"].__self__.commands.past(thread)
    return [message.accepted for message in past.state.messages] == [True]


async def test_several_conversations_are_held_at_once_so_a_slow_mail_server_holds_up_nobody(worker):
    threads = [await queue(worker) for _ in range(AT_ONCE)]
    async with mail_server(Together(AT_ONCE)) as port:
        sender = replace(worker.loops["sender"].__self__, mailer=Mailer("127.0.0.1", port, FROM))
        while await sender.step():
            pass

    assert all([await accepted(worker, thread) for thread in threads])


class OneBreaks(Mailer):
    """The first mail fails in a way that ends the loop; the others are sent after that."""

    broken = asyncio.Event()

    async def send(self, mail):
        if not self.broken.is_set():
            self.broken.set()
            raise StoreGone("cut")
        return await super().send(mail)


async def test_what_ends_the_loop_lets_the_other_conversations_end_first(worker):
    threads = [await queue(worker) for _ in range(AT_ONCE)]
    async with mail_server(Together(AT_ONCE - 1)) as port:
        sender = replace(worker.loops["sender"].__self__, mailer=OneBreaks("127.0.0.1", port, FROM))
        with pytest.raises(StoreGone):
            await sender.step()

    assert sorted([await accepted(worker, thread) for thread in threads]) == [False, True, True, True]

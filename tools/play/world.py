"""The running stack as a story sees it: its addresses, its clock, its processes and its mailboxes."""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from chassis.timing import LOOK_AGAIN
from deploy.local.process import Identity
from deploy.local.stack import read_state


class GoneError(RuntimeError):
    """The stack does not run, or not as the story needs it."""


class Late(TimeoutError):
    """What was waited for did not come; the message says what it was."""


async def until(what: str, ready: Callable[[], Awaitable[bool]], within: float, every: float = 0.05) -> None:
    """Ask again and again until it is so. Raises Late after `within` seconds."""
    deadline = asyncio.get_running_loop().time() + within
    while not await ready():
        if asyncio.get_running_loop().time() > deadline:
            raise Late(f"{what} did not come within {within:g} s")
        await asyncio.sleep(every)


@dataclass(frozen=True)
class World:
    """The stack of one home folder, found by what it says of itself in `state.json`."""

    home: Path
    began: int = field(default=0)
    """Nanoseconds of the epoch: mails that arrived before are not this play's."""

    @property
    def state(self) -> dict[str, Any]:
        """Addresses and processes as they are now: a process that was started again has another id."""
        state = read_state(self.home)
        if state is None:
            raise GoneError(f"no stack is running in {self.home}")
        return state

    # -- time ------------------------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The time of the story, as the services have it."""
        file = Path(self.state["clock_file"])
        shift = float(file.read_text(encoding="ascii")) if file.exists() else 0.0
        return datetime.now(UTC) + timedelta(seconds=shift)

    async def set_time(self, at: datetime | None) -> None:
        """From now on it is `at`, and time runs on from there; None: the real time."""
        set_clock(Path(self.state["clock_file"]), at)
        await asyncio.sleep(2 * LOOK_AGAIN)  # the services look at it that often

    # -- processes -------------------------------------------------------------------------------------------------------------

    def kill(self, names: list[str]) -> dict[str, int]:
        """SIGKILL. Answers the process ids that are no more."""
        killed: dict[str, int] = {}
        processes = self.state["processes"]
        for name in names:
            if name not in processes:
                raise GoneError(f"no process {name}; there are {', '.join(sorted(processes))}")
            identity = Identity(**processes[name])
            if identity.is_alive():
                with suppress(ProcessLookupError):
                    os.kill(identity.pid, signal.SIGKILL)
            killed[name] = identity.pid
        return killed

    async def recovered(self, killed: dict[str, int], within: float) -> None:
        """Wait until each has a successor that says it is ready."""
        async with httpx2.AsyncClient(timeout=5) as http:

            async def back() -> bool:
                state = self.state
                for name, pid in killed.items():
                    if state["processes"][name]["pid"] == pid or not await _is_ready(
                        http, state["urls"][name.removesuffix(".api")]
                    ):
                        return False
                return True

            await until(f"a successor of {', '.join(killed)}", back, within)

    # -- mail ------------------------------------------------------------------------------------------------------------------

    def mails(self, address: str, about: str) -> list[EmailMessage]:
        """What the mail server keeps for an address since the play began, oldest first."""
        folder = Path(self.state["mail"]) / quote(address.lower(), safe="@")
        files = [file for file in sorted(folder.glob("*.eml")) if int(file.name.partition("-")[0]) >= self.began]
        mails = [_read(file) for file in files]
        return [mail for mail in mails if about in words_of(mail)]


def set_clock(file: Path, at: datetime | None) -> None:
    """Write the offset of a stack's time, in seconds; None takes the time of an earlier story away."""
    if at is None:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(f"{(at - datetime.now(UTC)).total_seconds():.6f}", encoding="ascii")
    part.replace(file)  # nobody ever reads half a number


async def _is_ready(http: httpx2.AsyncClient, url: str) -> bool:
    with suppress(httpx2.TransportError, json.JSONDecodeError):
        return (await http.get(f"{url}/readyz")).is_success
    return False


def _read(file: Path) -> EmailMessage:
    mail = message_from_bytes(file.read_bytes(), policy=policy.default)
    if not isinstance(mail, EmailMessage):
        raise TypeError("the policy makes messages of this class")
    return mail


def words_of(mail: EmailMessage) -> str:
    """Subject and text, as a person reads them."""
    body = mail.get_body(("plain",))
    return f"{mail['Subject'] or ''}\n{body.get_content() if body else ''}"

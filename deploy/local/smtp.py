"""A real SMTP server for demo and tests: every mailbox of the world, and the mail host of the line.

What it accepts lies as `<folder>/<recipient>/<arrival>.eml`. Mail for the line's own domain is handed to intake as the
bytes it arrived in, signed after Standard Webhooks; until intake has it, the sender is told to come again (451).

The local part of an address chooses how its server behaves: `khong-co…` does not exist (550), `ban` is busy for the
first two tries (451). Started by the supervisor: `python -m deploy.local.smtp PORT FOLDER WEBHOOK SECRET_FILE`.
"""

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
import sys
import time
from collections import Counter
from email import message_from_bytes
from pathlib import Path
from urllib.parse import quote

import httpx2
from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.local.process import Process, is_listening, kept_ports

OWN_DOMAIN = "hotline.example"
LARGEST = 25 * 1024 * 1024  # bytes of one message
PATIENCE = (0.0, 0.5, 1.5)  # seconds before each try to reach intake within one SMTP dialogue
ACCEPTED, COME_AGAIN = "250 OK", "451 4.3.0 the next host cannot be reached, come again"


class Smtp:
    """The server as a child process. Its folder `mail` holds the mailboxes; the port stays the same over restarts."""

    def __init__(self, home: Path, webhook: str) -> None:
        self.port = kept_ports(home / "ports.json", "smtp")["smtp"]
        self.folder = home / "mail"
        self.secret_file = home / "webhook-secret"
        if not self.secret_file.exists():
            self.secret_file.parent.mkdir(parents=True, exist_ok=True)
            self.secret_file.touch(mode=0o600)
            self.secret_file.write_text("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
        command = [sys.executable, "-m", "deploy.local.smtp", str(self.port), self.folder, webhook, self.secret_file]
        self.process = Process("smtp", command, home / "smtp.log")

    def start(self) -> None:
        """Start and wait until it listens."""
        self.process.start()
        self.process.wait_until(lambda: is_listening(self.port))

    def stop(self) -> None:
        """End it."""
        self.process.stop()

    def mailbox(self, address: str) -> list[Path]:
        """The messages an address has, oldest first."""
        return sorted((self.folder / _folder_name(address)).glob("*.eml"))


class MailHost:
    """What the server does with recipients and messages (a handler of aiosmtpd)."""

    def __init__(self, folder: Path, webhook: str, secret: bytes) -> None:
        self._folder = folder
        self._webhook = webhook
        self._secret = secret
        self._tries: Counter[str] = Counter()

    async def handle_RCPT(  # noqa: N802 - the names are aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Accept, refuse or postpone one recipient."""
        local = address.partition("@")[0].lower()
        if local.startswith("khong-co"):
            return "550 5.1.1 no such mailbox"
        self._tries[address] += 1
        if local == "ban" and self._tries[address] <= 2:
            return "451 4.2.1 mailbox busy, come again"
        envelope.rcpt_tos.append(address)
        return ACCEPTED

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take the message: for the line first to intake, then into the mailboxes."""
        content = envelope.content
        raw = content.encode() if isinstance(content, str) else content or b""
        if any(address.lower().endswith(f"@{OWN_DOMAIN}") for address in envelope.rcpt_tos):
            answer = await self._hand_to_intake(raw)
            if answer != ACCEPTED:
                return answer
        for address in envelope.rcpt_tos:
            await asyncio.to_thread(_keep, self._folder / _folder_name(address), raw)
        return ACCEPTED

    async def _hand_to_intake(self, raw: bytes) -> str:
        async with httpx2.AsyncClient(timeout=30) as client:
            for pause in PATIENCE:
                await asyncio.sleep(pause)
                try:
                    answer = await client.post(self._webhook, content=raw, headers=signed(raw, self._secret))
                except httpx2.TransportError as problem:
                    print(f"intake cannot be reached: {type(problem).__name__}", flush=True)
                    continue
                print(f"intake answered {answer.status_code}", flush=True)
                if answer.is_success:
                    return ACCEPTED
                if answer.status_code in (400, 413, 415, 422):
                    return "554 5.6.0 the message was refused"
        return COME_AGAIN


def signed(raw: bytes, secret: bytes) -> dict[str, str]:
    """Headers after Standard Webhooks over the exact bytes; the id is the Message-ID, else the digest."""
    message_id = str(message_from_bytes(raw).get("message-id", "")).strip()
    delivery = message_id if re.fullmatch(r"[!-~]{1,250}", message_id) else hashlib.sha256(raw).hexdigest()
    timestamp = str(int(time.time()))
    digest = hmac.digest(secret, f"{delivery}.{timestamp}.".encode() + raw, "sha256")
    return {
        "content-type": "message/rfc822",
        "webhook-id": delivery,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def _keep(mailbox: Path, raw: bytes) -> None:
    """Store the message; nobody ever sees half of one."""
    mailbox.mkdir(parents=True, exist_ok=True)
    name = f"{time.time_ns()}-{secrets.token_hex(2)}"
    (mailbox / f"{name}.part").write_bytes(raw)
    (mailbox / f"{name}.part").rename(mailbox / f"{name}.eml")


def _folder_name(address: str) -> str:
    return quote(address.lower(), safe="@")


async def serve(port: int, folder: Path, webhook: str, secret: bytes) -> None:
    """Listen until ended."""
    host = MailHost(folder, webhook, secret)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(host, hostname=f"mail.{OWN_DOMAIN}", enable_SMTPUTF8=True, data_size_limit=LARGEST),
        "127.0.0.1",
        port,
    )
    await server.serve_forever()


if __name__ == "__main__":
    key = base64.b64decode(Path(sys.argv[4]).read_text().strip().removeprefix("whsec_"))
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], key))

"""What a message says and how it leaves: Vietnamese templates, real SMTP. No case facts stand in a message."""

from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import aiosmtplib
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from contracts import places
from contracts.notifications import Letter

LOCAL = ZoneInfo("Asia/Ho_Chi_Minh")
PATIENCE = 10.0  # seconds for a whole conversation
_letters = Environment(loader=FileSystemLoader(Path(__file__).parent / "letters"), undefined=StrictUndefined, autoescape=False)  # noqa: S701 - plain text


@dataclass(frozen=True)
class Tried:
    """What became of one attempt; without a reason it was accepted. `permanent`: this address is refused, so the next one comes."""

    reason: str | None = None
    permanent: bool = False


@dataclass(frozen=True)
class Mailer:
    """The way out: one SMTP server, and the address our mail comes from."""

    host: str
    port: int
    sender: str

    async def send(self, mail: EmailMessage) -> Tried:
        """One attempt. A 5xx is permanent, a 4xx or no answer is not."""
        try:
            await aiosmtplib.send(mail, hostname=self.host, port=self.port, timeout=PATIENCE, start_tls=False)
        except aiosmtplib.SMTPRecipientsRefused as refused:
            code = refused.recipients[0].code
            return Tried("refused" if code >= 500 else "deferred", permanent=code >= 500)
        except aiosmtplib.SMTPResponseException as answer:
            return Tried("refused" if answer.code >= 500 else "deferred", permanent=answer.code >= 500)
        except (aiosmtplib.SMTPTimeoutError, TimeoutError):
            return Tried("timeout")
        except (aiosmtplib.SMTPException, OSError):
            return Tried("unreachable")
        return Tried()


def compose(
    letter: Letter, *, sender: str, to: str, message_id: str, reference: str | None, link: str | None, call_back: str, now: datetime
) -> EmailMessage:
    """The mail for a letter: codes become words, the link opens the hand-off, nothing says what happened to whom."""
    mail = EmailMessage()
    text = _letters.get_template(f"{letter.template}.txt").render(
        urgent=letter.emergency,
        commune=places.label(letter.commune) if letter.commune else None,
        children=letter.children,
        clock=letter.clock,
        due=letter.due_at.astimezone(LOCAL).strftime("%H:%M ngày %d/%m/%Y") if letter.due_at else None,
        reference=reference,
        link=link,
        call_back=call_back,
    )
    subject, _, body = text.partition("\n")
    mail["From"], mail["To"], mail["Message-ID"], mail["Date"] = sender, to, message_id, format_datetime(now)
    mail["Subject"] = subject.strip()
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(body.lstrip("\n"))
    return mail

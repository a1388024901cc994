"""E-mail: one raw message (RFC 5322, MIME) as a row of the inbox. Every part of it ends in the text or among the files.

The standard library's parser has raised nearly everything on malformed mail; what it cannot read is read as plain bytes instead.
A sender, a date and a subject are claims. The raw message is kept by whoever stores the row.
"""

import email
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.errors import MessageError
from email.message import Message
from email.policy import Compat32
from email.utils import parsedate_to_datetime
from html import unescape
from itertools import islice
from typing import TypeAlias, TypeVar

from typing_extensions import override

from services.intake.adapters import charsets
from services.intake.adapters.delivery import LOST, Delivery, File, digest, line

T = TypeVar("T")
TAG = re.compile(r"<(?=[a-zA-Z/!?])([^<>]*)>")
BREAKS = frozenset({"br", "/p", "/div", "/tr", "/li", "/h1", "/h2", "/h3", "/h4"})
Mail: TypeAlias = "Message[str, str]"
PARSER_TROUBLE = (MessageError, ValueError, LookupError, TypeError, AttributeError, AssertionError, OverflowError, RecursionError)
LONGEST_HEADER, MOST_PARTS = 2_000, 500  # characters; leaves: more than any mail program writes and anybody is shown
MOST_WORK = 10_000_000  # lines × boundaries that the library compares: about a second


class AsWritten(Compat32):
    """Headers as they stand, raw bytes as surrogate escapes, instead of the library's guesses.

    They are cut while being parsed, because the library takes quadratic time over the parameters of a header.
    """

    @override
    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:LONGEST_HEADER]

    @override
    def header_fetch_parse(self, name: str, value: str) -> str:
        return value


def parse(raw: bytes) -> Delivery:
    """The message as a row of the inbox. Never raises.

    `id` is the digest of the Message-ID, which is the sender's own wording and may hold a name, else that of the bytes.
    """
    mail = _tolerant(lambda: email.message_from_bytes(raw, policy=AsWritten())) if _is_bearable(raw) else None
    leaves = None if mail is None else _tolerant(lambda: list(islice(_leaves(mail), MOST_PARTS + 1)))
    if mail is not None and leaves is not None:
        return _read(raw, mail, leaves)
    text, remark = charsets.read(raw, None)
    remarks = tuple(filter(None, ("malformed", remark)))
    return Delivery("email", "mail", digest(raw), digest(raw), "contact", "mail", text=text, remarks=remarks)


def _is_bearable(raw: bytes) -> bool:
    """Parts nested in parts cost the library every line times every open boundary."""
    return raw.lower().count(b"boundary") * raw.count(b"\n") <= MOST_WORK


def _read(raw: bytes, mail: Mail, leaves: list[Mail]) -> Delivery:
    remarks: list[str] = []
    sender, handle = _sender(mail, remarks)
    subject = _line(_header(mail, "Subject"), remarks)
    text, files = _content(leaves, remarks)
    if _auto_submitted(mail):
        remarks.append("auto-submitted")
    returned = _is_returned(mail)
    head = [f"Từ: {sender}"] * bool(sender) + [f"Tiêu đề: {subject}"] * bool(subject)
    message_id = _header(mail, "Message-ID").strip()
    return Delivery(
        channel="email",
        form="mail",
        id=digest(message_id.encode("utf-8", "surrogateescape")) if message_id else digest(raw),
        sha256=digest(raw),
        kind="no_contact" if returned else "contact",
        event="delivery-status" if returned else "mail",
        sent_at=_tolerant(lambda: _date(mail)),
        handle=handle,
        text="\n".join([*head, *([""] if head and text else []), text]).rstrip() or None,
        files=tuple(files),
        remarks=tuple(dict.fromkeys(remarks)),
    )


def _tolerant(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except PARSER_TROUBLE:
        return None


# -- headers ---------------------------------------------------------------------------------------------------------------


def _header(mail: Mail, name: str) -> str:
    """The first header of this name, unfolded: the fold goes, its blank stays (RFC 5322, 2.2.3)."""
    value = next((value for key, value in mail.raw_items() if key.lower() == name.lower()), "")
    return re.sub(r"\r?\n(?=[ \t])", "", value)


def _line(value: str, remarks: list[str]) -> str:
    text, remark = charsets.header_text(value)
    remarks.extend(filter(None, [remark]))
    return line(text)


def _sender(mail: Mail, remarks: list[str]) -> tuple[str, str | None]:
    """The sender as displayed, and the address alone: a claim both."""
    value = _header(mail, "From").strip()
    bracketed = next(reversed(list(re.finditer(r"<([^<>]*)>", value))), None)  # a quoted name may hold brackets, too
    address = bracketed[1] if bracketed else value
    handle = _line(address, remarks) or None
    name = _line(value[: bracketed.start()].strip().strip('"'), remarks) if bracketed else ""
    return (f"{name} <{handle}>" if name and handle else name or handle or ""), handle


def _date(mail: Mail) -> datetime | None:
    value = _header(mail, "Date").strip()
    if not value:
        return None
    at = parsedate_to_datetime(value)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def _auto_submitted(mail: Mail) -> bool:
    """RFC 3834: such a mail is never answered by a machine. It may still carry a report, from the form of a school's site."""
    return _header(mail, "Auto-Submitted").partition(";")[0].strip().lower() not in {"", "no"}


def _is_returned(mail: Mail) -> bool:
    """A notice of the mail system about our own mail (RFC 3464): sent by nobody, so no contact."""
    nobody = _header(mail, "Return-Path").strip() == "<>"
    kind = _header(mail, "Content-Type").lower()
    return nobody and kind.lstrip().startswith("multipart/report") and "delivery-status" in kind


# -- parts -----------------------------------------------------------------------------------------------------------------


def _content(leaves: list[Mail], remarks: list[str]) -> tuple[str, list[File]]:
    """The text, and every part that is not in it as a file. HTML is the text only where there is no plain one."""
    if len(leaves) > MOST_PARTS:
        remarks.append("cut")
    inline = [part for part in leaves if not _is_attached(part)]
    plain = [part for part in inline if part.get_content_type() == "text/plain" and _bytes(part).strip()]
    shown = plain or [part for part in inline if part.get_content_type() == "text/html"]
    texts = [_text(part, remarks) for part in shown]
    ids = {id(part) for part in (*shown, *(part for part in inline if not _bytes(part).strip()))}
    return "\n\n".join(filter(None, texts)), [_file(part, remarks) for part in leaves if id(part) not in ids]


def _leaves(mail: Mail) -> Iterator[Mail]:
    """Parts without parts; those of a forwarded message, too."""
    for part in mail.walk():
        if not part.is_multipart():
            yield part


def _is_attached(part: Mail) -> bool:
    disposition = _header(part, "Content-Disposition").partition(";")[0].strip().lower()
    return disposition == "attachment" or bool(_file_name(part, []))


def _bytes(part: Mail) -> bytes:
    """The content decoded; where the library fails, a sign that there was some, so that the part stays in sight."""
    content = _tolerant(lambda: part.get_payload(decode=True) or b"")
    return content if isinstance(content, bytes) else LOST.encode()


def _text(part: Mail, remarks: list[str]) -> str:
    text, remark = charsets.read(_bytes(part), _tolerant(part.get_content_charset))
    remarks.extend(filter(None, [remark, "cut" if len(_bytes(part)) > charsets.ENOUGH else None]))
    text = text.replace("\r\n", "\n")
    words = _tolerant(lambda: _without_tags(text)) if part.get_content_type() == "text/html" else None
    return text if words is None else words


def _file(part: Mail, remarks: list[str]) -> File:
    content = _bytes(part)
    return File(_file_name(part, remarks) or "không tên", line(part.get_content_type()), len(content), digest(content))


def _file_name(part: Mail, remarks: list[str]) -> str:
    """RFC 2231, and the encoded words that many programs put there instead."""
    return _line(_tolerant(part.get_filename) or "", remarks)


def _without_tags(html: str) -> str:
    """The words of an HTML part, in linear time. Scripts and styles go where they end; nothing is fetched or followed."""
    tags = [(found, found[1].partition(" ")[0].rstrip("/").lower()) for found in TAG.finditer(html)]
    closed = {name: found.start() for found, name in tags if name in {"/script", "/style"}}
    words, end, hidden = [""], 0, ""
    for found, name in tags:
        if not hidden:
            words.append(html[end : found.start()])
        end = found.end()
        if name in BREAKS:
            words.append("\n")
        elif not hidden and closed.get(f"/{name}", -1) > end:
            hidden = f"/{name}"
        elif name == hidden:
            hidden = ""
    lines = (" ".join(said.split()) for said in unescape("".join([*words, html[end:]])).splitlines())
    return "\n".join(filter(None, lines))

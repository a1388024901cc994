"""Zalo Official Account: the signature of a delivery, and what it says.

`X-ZEvent-Signature: mac=<hex>`, hex = SHA-256(app_id + raw body + timestamp + OA secret key): plain SHA-256, not HMAC.
Zalo wants an answer within two seconds and repeats for hours, so there is no window of staleness: a known message id is known.
"""

import hmac
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from contracts.kernel import Refused
from services.intake.adapters.delivery import Delivery, File, Kind, clean, digest, line

TIMESTAMP = re.compile(rb'"timestamp"\s*:\s*"?([0-9]{13})(?![0-9])')
MESSAGE_ID = re.compile(r"[!-~]{1,128}")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SPEAKS = ("user_send_", "anonymous_send_")
SILENT = frozenset({"user_received_message", "user_seen_message", "follow", "unfollow"})
ECHO = "oa_send_"


def verify(raw: bytes, signature: str | None, timestamp: str | None, *, app_id: str, secret: str) -> None:
    """signature, timestamp: headers `X-ZEvent-Signature` (`mac=` may be missing) and `X-ZEvent-Timestamp`.

    Code in the field signs with the timestamp of the body or with that of the header: either will do if it matches. The instant
    used later is the body's, which is signed in both cases. Thirteen digits exactly, else bytes could move from the body's end
    into the timestamp under the same signature. Raises Refused `bad-signature`.
    """
    given = (signature or "").strip().lower().removeprefix("mac=").encode("utf-8", "replace")
    stamps = set(TIMESTAMP.findall(raw)[:8])
    if timestamp and re.fullmatch(r"[0-9]{13}", timestamp.strip()):
        stamps.add(timestamp.strip().encode())
    expected = [sha256(app_id.encode() + raw + stamp + secret.encode()).hexdigest().encode() for stamp in stamps]
    matches = [hmac.compare_digest(given, mac) for mac in expected]  # all are compared, whichever it is
    if not any(matches):
        raise Refused("bad-signature")


def parse(raw: bytes) -> Delivery:
    """A verified body as a row of the inbox. Never raises: what cannot be read is kept as `unreadable`.

    De-duplication is by `msg_id` for what somebody said; other events name the message they speak of, so their id is the digest.
    """
    remarks: tuple[str, ...] = ()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text, remarks = raw.decode("utf-8", "replace"), ("encoding-unreadable",)
    try:  # numbers stay text: ids are larger than a double, and a number may be longer than Python wants to convert
        body = json.loads(text.removeprefix("\ufeff"), parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return Delivery("zalo", "message", digest(raw), digest(raw), "unreadable", "", remarks=remarks)
    event = line(_word(body, "event_name") or "")
    kind = _kind(event)
    message_id = _word(body, "message", "msg_id")
    own_id = kind == "contact" and message_id is not None and MESSAGE_ID.fullmatch(message_id)
    return Delivery(
        channel="zalo",
        form="message",
        id=str(message_id) if own_id else digest(raw),
        sha256=digest(raw),
        kind=kind,
        event=event,
        sent_at=_instant(_word(body, "timestamp")),
        handle=line(_handle(body)) or None,
        text="\n".join(_words(body)) or None,
        files=tuple(_files(body)),
        remarks=remarks,
    )


def _kind(event: str) -> Kind:
    if event.startswith(SPEAKS):
        return "contact"
    return "no_contact" if event in SILENT or event.startswith(ECHO) else "unknown"


def _at(body: Any, *path: str) -> Any:
    for name in path:
        body = body.get(name) if isinstance(body, dict) else None
    return body


def _word(body: Any, *path: str) -> str | None:
    found = _at(body, *path)
    return clean(found) if isinstance(found, str) and found else None


def _instant(milliseconds: str | None) -> datetime | None:
    if milliseconds is None or not re.fullmatch(r"[0-9]{13}", milliseconds):
        return None
    return EPOCH + timedelta(milliseconds=int(milliseconds))


def _handle(body: Any) -> str:
    """An opaque id, scoped to our account and never a phone number: of a user, or of a conversation with somebody unknown."""
    places = (("sender", "id"), ("follower", "id"), ("sender", "conversation_id"), ("conversation_id",))
    return next((found for path in places if (found := _word(body, *path))), "")


def _attachments(body: Any) -> list[Any]:
    found = _at(body, "message", "attachments")
    return found if isinstance(found, list) else []


def _words(body: Any) -> Iterator[str]:
    """What was typed, and what an attachment says without being fetched: a place where a child is, the text of a card."""
    if text := _word(body, "message", "text"):
        yield text
    for attachment in _attachments(body):
        payload = _at(attachment, "payload")
        for name in ("description", "title"):
            if said := _word(payload, name):
                yield said
        latitude, longitude = (_word(payload, "coordinates", name) for name in ("latitude", "longitude"))
        if latitude and longitude:
            yield f"{latitude}, {longitude}"


def _files(body: Any) -> Iterator[File]:
    """Addresses are kept as text: following them would tell a stranger's server that somebody reads."""
    for attachment in _attachments(body):
        payload = _at(attachment, "payload")
        size = _word(payload, "size") or ""
        yield File(
            name=line(_word(payload, "name") or "") or "không tên",
            media_type=line(_word(attachment, "type") or "") or "unknown",
            size=int(size) if re.fullmatch(r"[0-9]{1,15}", size) else None,
            address=(_word(payload, "url") or _word(payload, "thumbnail") or "")[:2000] or None,
        )

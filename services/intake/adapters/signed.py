"""Standard Webhooks signatures over raw bytes: HMAC-SHA-256 of `id.timestamp.body`, valid for five minutes either way.

The published package decodes the body as UTF-8, which a mail need not be; the scheme is otherwise the same.
"""

import hmac
import time
from base64 import b64decode
from collections.abc import Mapping

from contracts.kernel import Refused

TOLERANCE = 300  # seconds


def verify(raw: bytes, headers: Mapping[str, str], secret: bytes) -> str:
    """The sender's id of the delivery. Raises Refused `bad-signature` for anything that this secret did not sign just now."""
    message, stamp, given = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    expected = hmac.digest(secret, f"{message}.{stamp}.".encode() + raw, "sha256")
    signatures = [part.removeprefix("v1,") for part in given.split(" ") if part.startswith("v1,")]
    if not message or not any(hmac.compare_digest(expected, _bytes(signature)) for signature in signatures):
        raise Refused("bad-signature")
    if not stamp.isascii() or not stamp.isdigit() or abs(time.time() - int(stamp)) > TOLERANCE:
        raise Refused("bad-signature")
    return message


def _bytes(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""

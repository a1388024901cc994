"""Base 64 in its one canonical form: what decodes here, encodes to the same text again."""

import base64
import binascii


def encode(raw: bytes) -> str:
    """RFC 4648 section 4, padded."""
    return base64.b64encode(raw).decode("ascii")


def decode(text: str) -> bytes:
    """Raises ValueError for any text that `encode` never writes; many decoders let spare bits and line ends pass."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base 64") from None
    if encode(raw) != text:
        raise ValueError("not in the canonical form of base 64")
    return raw

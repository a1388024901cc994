"""The acknowledgement link: a 128-bit capability for one hand-off and one agency. It stands in no event and in no log line.

Token = Crockford base 32 of referral ‖ HMAC-SHA-256(link key, referral ‖ agency) cut to 16 bytes.
Referrals checks it, notifications renders it.
"""

import hmac
from uuid import UUID

from contracts.digest import crockford, crockford_bytes


def token_of(key: bytes, referral: UUID, agency: UUID) -> str:
    """The token that lets this agency acknowledge this referral."""
    return crockford(referral.bytes + _seal(key, referral, agency))


def referral_in(token: str) -> UUID | None:
    """The referral a token claims to be for; None for what is no token. It proves nothing yet."""
    try:
        raw = crockford_bytes(token)
    except ValueError:
        return None
    return UUID(bytes=raw[:16]) if len(raw) == 32 else None


def is_for(token: str, key: bytes, referral: UUID, agency: UUID) -> bool:
    """Was this token made for this referral and agency? In constant time."""
    try:
        raw = crockford_bytes(token)
    except ValueError:
        return False
    return hmac.compare_digest(raw, referral.bytes + _seal(key, referral, agency))


def _seal(key: bytes, referral: UUID, agency: UUID) -> bytes:
    return hmac.digest(key, referral.bytes + agency.bytes, "sha256")[:16]

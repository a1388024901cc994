"""Digests of sealed text, and bytes as text that survives being read aloud.

A digest binds a decision to the exact words it was taken on, without showing them: `ApprovePlan` names the digest of
the plan that the chair has read. The salt is sealed beside the text, so that a digest alone cannot be guessed from
likely words.
"""

import base64
import hashlib
import json
from typing import Any

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O, U. Read back, I and L count as 1, O as 0, and case does not matter."""
SAFE_INTEGER = 2**53 - 1
_RFC4648 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_WRITTEN = str.maketrans(_RFC4648, ALPHABET)
_READ = str.maketrans(ALPHABET, _RFC4648)
_HEARD = str.maketrans("ILO", "110")


def digest(salt: bytes, content: Any) -> str:
    """Lower-case hex SHA-256 of the salt and the content's canonical JSON. TypeError, ValueError: see `canonical`."""
    return hashlib.sha256(salt + canonical(content)).hexdigest()


def canonical(content: Any) -> bytes:
    """RFC 8785 JSON in UTF-8, for text, integers, bool, None, lists and dicts with text keys.

    TypeError for anything else, floats above all: their text depends on the writer. ValueError for integers that a
    double cannot hold and for text that is no Unicode (lone surrogates).
    """
    return _json(content).encode("utf-8")


def _json(content: Any) -> str:
    match content:
        case None | bool() | str():
            return json.dumps(content, ensure_ascii=False)
        case int():
            if abs(content) > SAFE_INTEGER:
                raise ValueError("an integer beyond 2^53 - 1 has no canonical form")
            return f"{content:d}"
        case list() | tuple():
            return "[" + ",".join(_json(item) for item in content) + "]"
        case dict():
            if not all(isinstance(key, str) for key in content):
                raise TypeError("a key that is no text has no canonical form")
            names = sorted(content, key=lambda name: name.encode("utf-16-be"))
            return "{" + ",".join(f"{_json(name)}:{_json(content[name])}" for name in names) + "}"
        case _:
            raise TypeError(f"{type(content).__name__} has no canonical form here")


def crockford(data: bytes) -> str:
    """The bytes in base 32, five bits a symbol from the left, without padding: 32 bytes are 52 symbols."""
    return base64.b32encode(data).decode().rstrip("=").translate(_WRITTEN)


def crockford_bytes(text: str) -> bytes:
    """The bytes that `crockford` wrote as this text, in either case.

    ValueError for anything else: one text, one meaning.
    """
    heard = spoken(text)
    if set(heard) - set(ALPHABET) or len(heard) % 8 in {1, 3, 6}:
        raise ValueError("not base 32")
    data = base64.b32decode(heard.translate(_READ) + "=" * (-len(heard) % 8))
    if crockford(data) != heard:
        raise ValueError("bits left over")
    return data


def spoken(text: str) -> str:
    """Upper case, with the letters that Crockford's alphabet leaves out read as the digits they are taken for."""
    return text.upper().translate(_HEARD)

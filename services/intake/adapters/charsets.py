"""Reading bytes whose stated charset may be wrong: nothing that may carry a child's word is dropped for its encoding."""

import binascii
import codecs
import re
import unicodedata
from base64 import b64decode
from collections.abc import Iterator
from quopri import decodestring

from services.intake.adapters.delivery import LONGEST_TEXT, clean

ESCAPES = {"unicode-escape", "raw-unicode-escape", "unicode_escape", "raw_unicode_escape"}
NO_CHARSETS = ESCAPES | {"idna", "punycode", "undefined", "base64", "bz2", "hex", "quopri", "rot13", "rot-13", "uu", "zlib"}
"""Codecs of Python that no mail is written in: some take quadratic time, some unpack a few bytes to gigabytes."""
ENCODED_WORD = re.compile(r"=\?([^?\s]{1,40})\?([bBqQ])\?([^?]*)\?=")
GUESSED, UNREADABLE = "encoding-guessed", "encoding-unreadable"
ENOUGH = 16 * LONGEST_TEXT  # bytes that are read: more than anybody is shown


def read(raw: bytes, charset: str | None) -> tuple[str, str | None]:
    """The text of the first `ENOUGH` bytes, and a remark where they are not in the charset the sender declared: guessed as
    windows-1258, or unreadable in parts.
    """
    for name in (charset or "utf-8", "utf-8"):
        if (text := _strict(raw, name)) is not None:
            return clean(text), None
    guess = _strict(raw, "windows-1258")
    if guess is not None and _is_writing(guess):
        return guess, GUESSED
    return clean(raw[:ENOUGH].decode("utf-8", "replace")), UNREADABLE


def _strict(raw: bytes, charset: str) -> str | None:
    try:
        name = codecs.lookup(charset[:40]).name
        if name in NO_CHARSETS:
            return None
        decoder = codecs.getincrementaldecoder(name)("strict")  # stops before half a letter, where the bytes are cut
        text = decoder.decode(raw[:ENOUGH], final=len(raw) <= ENOUGH)
        return unicodedata.normalize("NFC", text) if name == "cp1258" else text  # which writes a letter and its tone apart
    except (LookupError, ValueError):  # a charset that nobody knows, bytes that do not fit
        return None


def _is_writing(text: str) -> bool:
    """Vietnamese in windows-1258 leaves neither control characters nor a mark without its letter."""
    return not any(
        unicodedata.combining(letter) or (unicodedata.category(letter) == "Cc" and letter not in "\t\r\n") for letter in text
    )


def header_text(value: str) -> tuple[str, str | None]:
    """An unfolded header in words (RFC 2047), with a remark as of `read`.

    The blank between two encoded words is no part of the text; bytes of neighbours in one charset are joined first, because senders
    cut between the bytes of a letter. Raw bytes stand in `value` as surrogate escapes.
    """
    texts: list[str] = []
    remarks: set[str | None] = set()
    for raw, charset in _runs(value):
        text, remark = read(raw, charset)
        texts.append(text)
        remarks.add(remark)
    return "".join(texts), min((remark for remark in remarks if remark), default=None)


def _runs(value: str) -> Iterator[tuple[bytes, str | None]]:
    """Stretches of one charset: encoded words decoded to bytes, the rest with charset None."""
    run, charset, end = b"", None, 0
    for word in ENCODED_WORD.finditer(value):
        between = value[end : word.start()]
        if between.strip() or end == 0:
            yield run, charset
            yield _raw(between), None
            run, charset = b"", None
        name = word[1].partition("*")[0].lower()  # RFC 2231: a language may follow
        if name != charset and run:
            yield run, charset
            run = b""
        charset, end = name, word.end()
        run += _word(word[2], word[3])
    yield run, charset
    yield _raw(value[end:]), None


def _word(coding: str, text: str) -> bytes:
    raw = _raw(text)
    if coding in "qQ":
        return decodestring(raw, header=True)
    try:
        return b64decode(raw + b"=" * (-len(raw) % 4))
    except binascii.Error:
        return raw


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape" if _escaped(text) else "replace")


def _escaped(text: str) -> bool:
    """Whether every lone surrogate stands for a byte, as the parser of mail leaves them."""
    return all("\udc80" <= letter <= "\udcff" for letter in text if "\ud800" <= letter <= "\udfff")

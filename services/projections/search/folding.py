"""Vietnamese names as people write, type and remember them: which spellings are the same word."""

import re
import unicodedata
from typing import NamedTuple

_APOSTROPHE = re.compile(r"['‘’ʼʻʹ´`]\s*")
"""H'Mai, H’Mai and Hʼ Mai are one name. Taken out before NFKC, which would make marks of some of them."""
_WORD = re.compile(r"(?:[^\W_]|[\u0300-\u036f])+")
_TONE = re.compile("[\u0300\u0301\u0303\u0309\u0323]")  # huyền, sắc, ngã, hỏi, nặng
_LETTERS = str.maketrans({"ð": "đ"})
"""Ð (U+00D0) is what copied text has where Đ (U+0110) is meant."""
_BASE = str.maketrans({"đ": "d", "ƀ": "b", "y": "i"})
"""Letters without a decomposition; and Lý or Lí, Mỹ or Mĩ are one name in two spellings."""
_TELEX_TONE = re.compile(r"(?<=[aeiou])(ch|ng|nh|[cmnpt])?[sfrxj]")


class Words(NamedTuple):
    """The words of a name, in order. spoken: with every mark; folded: without any."""

    spoken: tuple[str, ...]
    folded: tuple[str, ...]


def words(text: str) -> Words:
    """The words in a text, whatever its normal form, case, apostrophes and punctuation."""
    joined = _APOSTROPHE.sub("", unicodedata.normalize("NFC", text))
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", joined).casefold())
    found = [(spoken(word), folded) for word in _WORD.findall(plain.translate(_LETTERS)) if (folded := fold(word))]
    return Words(tuple(word for word, _ in found), tuple(word for _, word in found))


def spoken(word: str) -> str:
    """Letters with their quality, then the tone: hòa and hoà, quý and qúy are one word, hoa and hóa two others."""
    apart = unicodedata.normalize("NFD", word)
    return unicodedata.normalize("NFC", _TONE.sub("", apart)) + "".join(sorted(set(_TONE.findall(apart))))


def fold(word: str) -> str:
    """The word as it is typed in a hurry: no marks, d for đ, i for y."""
    apart = unicodedata.normalize("NFD", word)
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).translate(_BASE)


def untelex(word: str) -> str:
    """A folded word that was typed as raw Telex keystrokes: nguyeenx is Nguyễn, ddaof is Đào. Any other stays nearly always."""
    plain = re.sub(r"([aeod])\1", r"\1", word)
    plain = re.sub(r"(?<=[aou])w", "", plain).replace("w", "u")
    return _TELEX_TONE.sub(lambda found: found[1] or "", plain)

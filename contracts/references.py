"""Spoken references: what a counsellor reads to a commune over the telephone, `C-HZN-6` for the case opened at
cases:18421.

A letter (R record, C case, H hand-off, T therapy), the position of the stream's first fact in Crockford's base 32 with
at least three places, and a check symbol: the position modulo 29, written with the first 29 symbols of the same
alphabet, 0 to W.

29 is prime and 32 is 3 modulo 29, so one wrong symbol and two neighbours swapped are noticed, except where both symbols
are 29 apart in the alphabet (0 and X, 1 and Y, 2 and Z). References are computed wherever a position is known and
stored nowhere.
"""

import re
from dataclasses import dataclass

from contracts.digest import ALPHABET, spoken

LOGS = {"R": "intake", "C": "cases", "H": "referrals", "T": "cases"}
"""Letter → the log whose position it speaks."""
CHECK = ALPHABET[:29]
PLACES = 3


class NotAReferenceError(ValueError):
    """The text is no reference.

    code: `not-a-reference` or, where only the check symbol is wrong, `wrong-check-symbol`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Reference:
    """The stream whose first fact stands at `position` of the letter's log."""

    letter: str
    position: int

    def __post_init__(self) -> None:
        if self.letter not in LOGS or self.position < 1:
            raise NotAReferenceError("not-a-reference")

    @property
    def log(self) -> str:
        return LOGS[self.letter]

    def __str__(self) -> str:
        digits, rest = "", self.position
        while rest:
            rest, digit = divmod(rest, 32)
            digits = ALPHABET[digit] + digits
        return f"{self.letter}-{digits.rjust(PLACES, '0')}-{CHECK[self.position % 29]}"


def reference(letter: str, position: int) -> str:
    """`reference("C", 18421)` is `C-HZN-6`. NotAReferenceError for another letter or a position below 1."""
    return str(Reference(letter, position))


def parse(text: str) -> Reference:
    """What somebody heard or typed: in either case, I and L for 1, O for 0, hyphens or spaces or neither.

    NotAReferenceError otherwise.
    """
    symbols = re.sub(r"[\s-]", "", spoken(text))
    letter, digits, check = symbols[:1], symbols[1:-1], symbols[-1:]
    if letter not in LOGS or not re.fullmatch(f"[{ALPHABET}]{{{PLACES},13}}", digits):
        raise NotAReferenceError("not-a-reference")
    position = 0
    for symbol in digits:
        position = position * 32 + ALPHABET.index(symbol)
    found = Reference(letter, position)
    if check != CHECK[position % 29]:
        raise NotAReferenceError("wrong-check-symbol")
    return found

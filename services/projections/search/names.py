"""Names and numbers of persons in memory, to be found however they are written. What is dropped leaves nothing behind."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, NamedTuple
from uuid import UUID

from rapidfuzz import process
from rapidfuzz.distance import OSA

from services.projections.search.folding import Words, untelex, words

Likeness = Literal["same", "without_marks", "similar"]
"""How a name is like what was asked: letter by letter, but for marks, or but for a slip."""
LIKENESS: Sequence[Likeness] = ("same", "without_marks", "similar")
MOST_WORDS = 12
"""No name has more; whoever asks for more finds nobody."""
SHORTEST_WITH_A_SLIP = 3
"""Letters. Of three, only two neighbours may be swapped: with one letter changed half of all names are alike."""
MANY_WORDS = 4
"""So many words may hold a second slip."""
_PHONE = re.compile(r"\+?[0-9]{3,15}")
_ABROAD = re.compile(r"^(?:\+84|0084|84(?=[0-9]{9}$))")

_slips: Any = OSA.distance
"""Letters changed, missing, too many, or two neighbours swapped. Its overloads are more than a type checker can match."""


class Found(NamedTuple):
    """A person whose name holds all words that were asked for. left: how many further words it has. number: of putting it in."""

    person: UUID
    likeness: Likeness
    left: int
    number: int

    @property
    def rank(self) -> tuple[int, int, int]:
        """Alike before like, whole names before parts, then the newest."""
        return LIKENESS.index(self.likeness), self.left, -self.number


@dataclass(slots=True, eq=False)
class _Word:
    """One spelling, and whose names it stands in."""

    spoken: str
    folded: str
    persons: set[UUID] = field(default_factory=set)


class _Name(NamedTuple):
    number: int
    words: Sequence[_Word]


_NOBODY = _Name(0, ())


class Names:
    """Name of each person, by its words: the distinct words are few, so slips are looked for among them and not among names."""

    def __init__(self) -> None:
        self._names: dict[UUID, _Name] = {}
        self._words: dict[str, _Word] = {}
        self._folded: dict[str, set[str]] = {}
        self._numbers = count(1)

    def __len__(self) -> int:
        return len(self._names)

    def put(self, person: UUID, name: str) -> None:
        """This is the person's name now."""
        self.drop(person)
        said = words(name)
        held = tuple(self._word(each, folded) for each, folded in zip(said.spoken, said.folded, strict=True))
        self._names[person] = _Name(next(self._numbers), held)
        for word in held:
            word.persons.add(person)

    def drop(self, person: UUID) -> None:
        """Forget this person's name, and every word of it that no other name has."""
        for word in self._names.pop(person, _NOBODY).words:
            word.persons.discard(person)
            if not word.persons and self._words.pop(word.spoken, None):
                spellings = self._folded[word.folded]
                spellings.discard(word.spoken)
                if not spellings:
                    del self._folded[word.folded]

    def find(self, asked: Words) -> list[Found]:
        """Whoever's name holds each of these words, in any order, with one slip at most, or two in four words; best first."""
        if not 0 < len(asked.folded) <= MOST_WORDS:
            return []
        near = [self._near(word) for word in asked.folded]
        found = (_judged(person, self._names[person], asked.spoken, near) for person in self._holding(near))
        return sorted((each for each in found if each), key=lambda each: each.rank)

    def _word(self, spoken: str, folded: str) -> _Word:
        if spoken not in self._words:
            self._words[spoken] = _Word(spoken, folded)
            self._folded.setdefault(folded, set()).add(spoken)
        return self._words[spoken]

    def _near(self, word: str) -> dict[str, int]:
        """Folded words of names → how many slips away this one is: none or one."""
        close = {form: 0 for form in (word, untelex(word)) if form in self._folded}
        if len(word) < SHORTEST_WITH_A_SLIP:
            return close
        for other, _, _ in process.extract(word, list(self._folded), scorer=_slips, score_cutoff=1, limit=None):
            if len(word) > SHORTEST_WITH_A_SLIP or sorted(word) == sorted(other):
                close.setdefault(other, 1)
        return close

    def _holding(self, near: Sequence[Mapping[str, int]]) -> set[UUID]:
        persons: set[UUID] | None = None
        for close in near:
            spellings = [self._words[spoken] for folded in close for spoken in self._folded[folded]]
            these = set[UUID]().union(*(word.persons for word in spellings))
            persons = these if persons is None else persons & these
        return persons or set()


def _judged(person: UUID, name: _Name, asked: Sequence[str], near: Sequence[Mapping[str, int]]) -> Found | None:
    """Each word that was asked for takes one of the name: one spelled alike first, then the nearest."""
    left, others, slips = list(name.words), list[Mapping[str, int]](), 0
    for spoken, close in zip(asked, near, strict=True):
        if same := next((word for word in left if word.spoken == spoken), None):
            left.remove(same)
        else:
            others.append(close)
    for close in sorted(others, key=len):
        nearest = min((word for word in left if word.folded in close), key=lambda word: close[word.folded], default=None)
        if nearest is None:
            return None
        left.remove(nearest)
        slips += close[nearest.folded]
    if slips > (1 if len(asked) < MANY_WORDS else 2):
        return None
    return Found(person, "similar" if slips else "without_marks" if others else "same", len(left), name.number)


class Numbers:
    """Telephone numbers and handles, found only whole: who knows a part of a number is not told the rest."""

    def __init__(self) -> None:
        self._of: dict[UUID, tuple[str, ...]] = {}
        self._persons: dict[str, tuple[UUID, ...]] = {}  # not sets, which would take twice the memory: nearly all hold one

    def put(self, person: UUID, number: str) -> None:
        """The person can be reached there, too."""
        said = dialled(number)
        if said not in (known := self._of.get(person, ())):
            self._of[person] = (*known, said)
            self._persons[said] = (*self._persons.get(said, ()), person)

    def drop(self, person: UUID) -> None:
        """Forget every number of this person."""
        for number in self._of.pop(person, ()):
            if others := tuple(other for other in self._persons.pop(number) if other != person):
                self._persons[number] = others

    def find(self, asked: str) -> Sequence[UUID]:
        """Whose number it is, in whichever way it is written; the newest first."""
        return self._persons.get(dialled(asked), ())[::-1]


def dialled(number: str) -> str:
    """A telephone number as it is dialled inside the country; a mail address or another handle but for its case."""
    close = re.sub(r"[\s.()\-–]", "", number)
    return _ABROAD.sub("0", close) if _PHONE.fullmatch(close) else unicodedata.normalize("NFKC", number).casefold().strip()

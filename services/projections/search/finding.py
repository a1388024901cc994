"""What a search finds: files that the asker may open, best first, and nothing personal of them."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from chassis.identity import Actor
from chassis.log import LAST_POSITION
from contracts.references import NotAReferenceError, parse, reference
from services.projections.policy import Standing, permitted
from services.projections.search.folding import words
from services.projections.search.index import Index
from services.projections.search.names import Likeness
from services.projections.views.history import Reader
from services.projections.views.shown import LETTERS, Label, Shown, label, place

SHOWN = 50
"""Hits in an answer."""
AT_ONCE = 500  # persons
NAMED_IN = {"child_name": ["case:child", "record:child"], "child_id": ["case:child", "record:child"]}
NAMED_IN |= {"number": ["contact:caller", "record:informant"]}
"""What matched → in which files the person is that, as `belongs` has it."""
_FILE: LiteralString = (
    "w.id, w.kind, w.log, w.position, w.record_id,"
    " coalesce(r.owner, w.owner), w.lead, w.incident, w.residence, w.addressee, w.provinces"
)
_NAMING: LiteralString = (
    f"SELECT {_FILE}, b.to_stream FROM belongs b JOIN work w ON w.id = b.stream LEFT JOIN work r ON r.id = w.record_id"  # noqa: S608
    " WHERE b.to_stream = ANY(%s) AND b.kind = ANY(%s)"
)
_OF_ID: LiteralString = (
    f"SELECT {_FILE}, NULL FROM work w LEFT JOIN work r ON r.id = w.record_id WHERE w.id = %s AND w.kind <> 'message'"  # noqa: S608
)
_AT: LiteralString = "SELECT stream FROM history WHERE log = %s AND position = %s"
_BEGAN: LiteralString = (
    "SELECT h.log, h.position, h.recorded_at FROM unnest(%s::text[], %s::bigint[]) AS v(log, position)"
    " JOIN history h ON h.log = v.log AND h.position = v.position"
)


class Hit(Shown):
    """A file that the asker may open. matched: which field did. recorded_at: when the file began. No personal field."""

    kind: str
    id: UUID
    reference: str | None
    commune: Label | None
    matched: Label
    likeness: Likeness
    recorded_at: datetime


class Hits(Shown):
    """What was found, best first: alike before like, whole names before parts, then the newest. more: there is more than is shown,
    which further words would sift. looked_in: the fields that were looked in, so that nothing found can be understood."""

    hits: list[Hit]
    more: bool
    looked_in: list[Label]


class File(NamedTuple):
    """A file, whose it is, and why it was found."""

    id: UUID
    kind: str
    log: str
    position: int
    record: UUID | None
    whose: Standing
    person: UUID | None
    matched: str
    likeness: Likeness = "same"


async def found(reader: Reader, index: Index, actor: Actor, query: str, fields: Sequence[str]) -> Hits:
    """The best of what this query finds for this person in these fields. Whoever is hidden or forgotten today is not found.

    Files that the asker may not open are passed over one by one: how many they are makes no difference to the answer.
    """
    best: dict[UUID, File] = {}
    async for files in _files_by_rank(reader, index, query, fields):
        for file in await _open_to(actor, reader, files):
            best.setdefault(file.id, file)
        if len(best) > SHOWN:
            break
    shown = [label("search_field", field) for field in fields]
    return Hits(hits=await _told(reader, list(best.values())[:SHOWN]), more=len(best) > SHOWN, looked_in=shown)


async def _open_to(actor: Actor, reader: Reader, files: Sequence[File]) -> list[File]:
    """Those files which the asker may find, and of a child that has a case not the record as well."""
    may: dict[tuple[Standing, bool], bool] = {}
    for file in files:
        key = file.whose, file.matched == "number"
        if key not in may:
            may[key] = _may(actor, *key)
    mine = [file for file in files if may[file.whose, file.matched == "number"]]
    named = {file.person for file in mine if file.person}
    shown = await reader.seen(named) if named else named
    cases = {(file.person, file.record) for file in mine if file.kind == "case" and file.person}
    return [file for file in mine if (file.person is None or file.person in shown) and (file.person, file.id) not in cases]


def _may(actor: Actor, whose: Standing, by_number: bool) -> bool:
    """A number is found by whoever may see who told us, in this very file; everything else by whoever may search for the file."""
    views = ("search", "informant") if by_number else ("search",)
    return all(permitted(actor, view, whose) for view in views)


async def _files_by_rank(reader: Reader, index: Index, query: str, fields: Sequence[str]) -> AsyncIterator[list[File]]:
    """Files of a reference, an id, a number, then of names, best first, so many persons at once."""
    yield await _by_reference(reader, query)
    for files in await _by_id(reader, query):
        yield files
    if "number" in fields:
        yield await _named(reader, "number", await index.numbered(query))
    names = await index.named(words(query))
    for begin in range(0, len(names), AT_ONCE):
        ranked = {each.person: each for each in names[begin : begin + AT_ONCE]}
        files = [(ranked[file.person], file) for file in await _named(reader, "child_name", ranked) if file.person]
        files.sort(key=lambda each: (each[0].rank, -each[1].position))
        yield [file._replace(likeness=who.likeness) for who, file in files]


async def _by_reference(reader: Reader, query: str) -> list[File]:
    try:
        wanted = parse(query)
    except NotAReferenceError:
        return []
    if wanted.position > LAST_POSITION:
        return []
    streams = await reader.fetch(_AT, wanted.log, wanted.position)
    files = [file for (stream,) in streams for file in await _files(reader, _OF_ID, "reference", stream)]
    return [file for file in files if (LETTERS.get(file.kind), file.position) == (wanted.letter, wanted.position)]


async def _by_id(reader: Reader, query: str) -> list[list[File]]:
    try:
        wanted = UUID(query)
    except ValueError:
        return []
    return [await _files(reader, _OF_ID, "id", wanted), await _named(reader, "child_id", [wanted])]


async def _named(reader: Reader, matched: str, persons: Iterable[UUID]) -> list[File]:
    """The files that name one of these persons as what was asked for."""
    return await _files(reader, _NAMING, matched, list(persons), NAMED_IN[matched])


async def _files(reader: Reader, query: LiteralString, matched: str, *args: object) -> list[File]:
    return [_file(matched, *row) for row in await reader.fetch(query, *args)]


def _file(matched: str, *row: Any) -> File:
    id_, kind, log, position, record, *stands, provinces, person = row
    return File(id_, kind, log, position, record, Standing(kind, *stands, provinces=tuple(provinces)), person, matched)


async def _told(reader: Reader, files: Sequence[File]) -> list[Hit]:
    rows = await reader.fetch(_BEGAN, [file.log for file in files], [file.position for file in files])
    began: Mapping[tuple[str, int], datetime] = {(log, position): at for log, position, at in rows}
    return [_hit(file, began[file.log, file.position]) for file in files]


def _hit(file: File, at: datetime) -> Hit:
    letter = LETTERS.get(file.kind)
    return Hit(
        kind=file.kind,
        id=file.id,
        reference=reference(letter, file.position) if letter else None,
        commune=place(file.whose.lead) if file.whose.lead else None,
        matched=label("search_field", file.matched),
        likeness=file.likeness,
        recorded_at=at,
    )

"""The files over HTTP. Every answer quotes its instant; a read is in the log before the answer leaves, or there is no answer."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Path, Query
from fastapi.responses import Response

from services.projections.reading import Reading, Said, Wanted
from services.projections.views.case_file import CaseFile
from services.projections.views.diff import Diff
from services.projections.views.hand_offs import HandOffView
from services.projections.views.read_log import Reads
from services.projections.views.record_file import ContactFile, InformantFile, RecordFile
from services.projections.views.timeline import By, Timeline

PROBLEMS: dict[int | str, dict[str, Any]] = {"default": {"description": "A problem", "content": {"application/problem+json": {}}}}
Id = Annotated[str, Path(alias="id", json_schema_extra={"format": "uuid"})]
Which = Annotated[Literal["file", "informant", "restricted"], Query(alias="view")]
From = Annotated[str, Query(alias="from", description="a time or an instant; what was recorded later is told")]
Since = Annotated[str | None, Query(alias="from", description="a time or an instant; without it, the beginning")]
Until = Annotated[str | None, Query(alias="to", description="a time or an instant; without it, now")]


def files(reading: Reading) -> None:
    """`GET /projections/v1/{cases,records,contacts,hand-offs}/{id}`."""
    shows, app = {"file": ("file", "clear_part"), "restricted": ("restricted",)}, reading.api.app

    async def case(asked: Said, id_: Id, view: Which = "file") -> Response:
        """The file of a case. For a reason, with view=informant who told us, with view=restricted the restricted alone."""
        if view == "informant":
            return await reading.answer(asked, Wanted("case", id_, ("informant",)), lambda at, read: at.informant(read, "case"))
        return await reading.answer(asked, Wanted("case", id_, shows[view]), lambda at, read: at.case(read))

    async def record(asked: Said, id_: Id, view: Which = "file") -> Response:
        """The file of a record. For a reason, with view=informant who told us, with view=restricted the restricted alone."""
        if view == "informant":
            return await reading.answer(asked, Wanted("record", id_, ("informant",)), lambda at, read: at.informant(read, "record"))
        return await reading.answer(asked, Wanted("record", id_, shows[view]), lambda at, read: at.record(read))

    async def contact(asked: Said, id_: Id, view: Which = "file") -> Response:
        """The file of a contact. For a reason, with view=informant who called, with view=restricted the restricted alone."""
        if view == "informant":
            return await reading.answer(
                asked, Wanted("contact", id_, ("informant",)), lambda at, read: at.informant(read, "contact")
            )
        return await reading.answer(asked, Wanted("contact", id_, shows[view]), lambda at, read: at.contact(read))

    async def hand_off(asked: Said, id_: Id) -> Response:
        """What was handed off, with exactly the fields that it discloses."""
        wanted = Wanted("hand_off", id_, ("hand_off", "clear_part"))
        return await reading.answer(asked, wanted, lambda at, read: at.hand_off(read))

    _get(app, "/cases/{id}", case, CaseFile | InformantFile)
    _get(app, "/records/{id}", record, RecordFile | InformantFile)
    _get(app, "/contacts/{id}", contact, ContactFile | InformantFile)
    _get(app, "/hand-offs/{id}", hand_off, HandOffView)


def audits(reading: Reading) -> None:
    """`GET /projections/v1/cases/{id}/{timeline,diff,reads}` and `/persons/{id}/reads`: what auditors ask."""
    app = reading.api.app

    async def timeline(asked: Said, id_: Id, by: By = "recorded") -> Response:
        """Every fact of a case, its record, contacts, hand-offs and messages, clear fields only; beside a decision what was on the
        screen of whoever decided, and the rules that applied."""
        wanted = Wanted("case", id_, ("timeline", "clear_part"))
        return await reading.answer(asked, wanted, lambda at, read: at.timeline(read, by))

    async def diff(asked: Said, id_: Id, since: From, until: Until = None) -> Response:
        """What changed in the file of a case after one instant and up to another: field by field, and fact by fact."""
        wanted = Wanted("case", id_, ("file", "clear_part"), since, until, past="diff")
        return await reading.answer(asked, wanted, lambda at, read: at.diff(read))

    async def reads(asked: Said, id_: Id, since: Since = None, until: Until = None) -> Response:
        """Who has read anything of a case, when, in what capacity and why, and who was refused; or that nobody was."""
        wanted = Wanted("case", id_, ("reads",), since, until)
        return await reading.answer(asked, wanted, lambda at, read: at.reads(read))

    async def person_reads(asked: Said, id_: Id, since: Since = None, until: Until = None) -> Response:
        """Who has read any file that names a person, and who was refused; or that nobody was."""
        wanted = Wanted("person", id_, ("person_reads",), since, until)
        return await reading.answer(asked, wanted, lambda at, read: at.reads_about(read))

    _get(app, "/cases/{id}/timeline", timeline, Timeline)
    _get(app, "/cases/{id}/diff", diff, Diff)
    _get(app, "/cases/{id}/reads", reads, Reads)
    _get(app, "/persons/{id}/reads", person_reads, Reads)


def _get(app: FastAPI, path: str, handle: Callable[..., Any], model: Any) -> None:
    responses = {**PROBLEMS, 200: {"model": model, "headers": {"Hotline-Instant": {"schema": {"type": "string"}}}}}
    app.get(f"/projections/v1{path}", name=handle.__name__, responses=responses, response_model=None)(handle)

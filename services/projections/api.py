"""The files over HTTP. Every answer quotes its instant; a read is in the log before the answer leaves, or there is no answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI, Header, Path, Query, Request
from fastapi.responses import Response
from psycopg_pool import AsyncConnectionPool

from chassis.commands import Call, Commands, NotFound
from chassis.failpoints import reach
from chassis.keys import KeyStore
from chassis.problems import Problem
from chassis.web import Api, uuid_of
from contracts.codes import codes
from services.projections.policy import reader_of, sees, standing
from services.projections.reads import RecordRead
from services.projections.views import instants
from services.projections.views.case_file import CaseFile
from services.projections.views.files import Files
from services.projections.views.hand_offs import HandOffView
from services.projections.views.history import Reader
from services.projections.views.record_file import ContactFile, InformantFile, RecordFile
from services.projections.views.shown import Shown, answer_bytes
from services.projections.views.timeline import By, Reads, Timeline

PROBLEMS: dict[int | str, dict[str, Any]] = {"default": {"description": "A problem", "content": {"application/problem+json": {}}}}
Id = Annotated[str, Path(alias="id", json_schema_extra={"format": "uuid"})]
Which = Annotated[Literal["file", "informant", "restricted"], Query(alias="view")]
REASONED = (("informant",), ("restricted",))
Build = Callable[[Files, UUID], Awaitable[Shown | None]]


class Asked:
    """What every read of a file says: in which capacity, at which instant, for which purpose."""

    def __init__(
        self,
        request: Request,
        *,
        as_of: Annotated[str | None, Query(description="a time, or an instant as quoted in Hotline-Instant")] = None,
        purpose: Annotated[str | None, Header(alias="Hotline-Purpose", description="a code of list purpose; needed")] = None,
        reason: Annotated[str | None, Header(alias="Hotline-Reason", description="a code of list read_reason")] = None,
        wait_for: Annotated[str | None, Header(alias="Hotline-Wait-For", description="cases:18421,…")] = None,
        capacity: Annotated[str | None, Header(alias="Hotline-As", description="<role>@<place>")] = None,
    ) -> None:
        self.request, self.as_of, self.wait_for, self.capacity = request, as_of, wait_for, capacity
        self._purpose, self._reason = purpose, reason

    def purpose(self) -> str:
        """Why it is read. Raises Problem 400 that names the header."""
        return _code(self._purpose, "Hotline-Purpose", "purpose")

    def reason(self) -> str:
        """What an identity is opened for. Raises Problem 400 that names the header."""
        return _code(self._reason, "Hotline-Reason", "read_reason")


Said = Annotated[Asked, Depends()]


def _code(given: str | None, header: str, list_id: str) -> str:
    if given not in codes(list_id):
        raise Problem(400, "bad-request", pointer="", header=header, codes=list(codes(list_id)))
    return given


@dataclass(frozen=True)
class Reading:
    """Answers one read: may they, at which instant, what; recorded, then answered."""

    api: Api
    commands: Commands
    pool: AsyncConnectionPool
    keys: KeyStore

    async def answer(self, asked: Asked, kind: str, id_: str, views: tuple[str, ...], build: Build) -> Response:
        """The first of `views` that the asker may have; `build` folds it. Raises Problem 400, 403, 503 or NotFound."""
        actor, read, purpose = await self.api.actor(asked.request), uuid_of(id_), asked.purpose()
        reason = asked.reason() if views in REASONED else None
        if asked.wait_for is not None:
            await instants.folded(self.pool, instants.parse(asked.wait_for))
        vector = await instants.instant(self.pool, asked.as_of)
        whose = await standing(self.pool, kind, read)
        capacity, view = reader_of(actor, views, whose)
        if asked.as_of is not None:
            reader_of(actor, ("as_of",), whose)
        reader = Reader(self.pool, self.keys, vector, sees(capacity, view))
        shown = await build(Files(reader, sealed=view != "clear_part"), read)
        if shown is None:
            raise NotFound
        quoted = instants.text(vector)
        if asked.as_of is not None and view == "file":
            view = "as_of"
        command = RecordRead(kind=kind, view=view, purpose=purpose, reason=reason, shown=quoted)
        story = await reader.story_of(read)
        await self.commands.execute(read, command, Call(f"rest:{uuid4()}", actor.subject, str(capacity), correlation=story))
        reach("read.recorded")
        return _response(shown, quoted)


def _response(shown: Shown, quoted: str) -> Response:
    headers = {"Hotline-Instant": quoted, "Cache-Control": "no-store"}
    version = getattr(shown, "version", None) or getattr(getattr(shown, "hand_off", None), "version", None)
    if version:
        headers["ETag"] = f'"{version}"'
    return Response(answer_bytes(shown), media_type="application/json", headers=headers)


def files(reading: Reading) -> None:
    """`GET /projections/v1/{cases,records,contacts,hand-offs}/{id}`, the timeline of a case and who has read it."""
    app = reading.api.app
    file = ("file", "clear_part")
    shows = {"file": file, "restricted": ("restricted",)}

    async def case(asked: Said, id_: Id, view: Which = "file") -> Response:
        """The file of a case. For a reason, with view=informant who told us, with view=restricted the restricted alone."""
        if view == "informant":
            return await reading.answer(asked, "case", id_, ("informant",), lambda at, read: at.informant(read, "case"))
        return await reading.answer(asked, "case", id_, shows[view], lambda at, read: at.case(read))

    async def record(asked: Said, id_: Id, view: Which = "file") -> Response:
        """The file of a record. For a reason, with view=informant who told us, with view=restricted the restricted alone."""
        if view == "informant":
            return await reading.answer(asked, "record", id_, ("informant",), lambda at, read: at.informant(read, "record"))
        return await reading.answer(asked, "record", id_, shows[view], lambda at, read: at.record(read))

    async def contact(asked: Said, id_: Id, view: Which = "file") -> Response:
        """The file of a contact. For a reason, with view=informant who called, with view=restricted the restricted alone."""
        if view == "informant":
            return await reading.answer(asked, "contact", id_, ("informant",), lambda at, read: at.informant(read, "contact"))
        return await reading.answer(asked, "contact", id_, shows[view], lambda at, read: at.contact(read))

    async def hand_off(asked: Said, id_: Id) -> Response:
        """What was handed off, with exactly the fields that it discloses."""
        return await reading.answer(asked, "hand_off", id_, ("hand_off", "clear_part"), lambda at, read: at.hand_off(read))

    async def timeline(asked: Said, id_: Id, by: By = "recorded") -> Response:
        """Every fact of a case, its record, contacts, hand-offs and messages, clear fields only."""
        return await reading.answer(asked, "case", id_, ("timeline", "clear_part"), lambda at, read: at.timeline(read, by))

    async def reads(asked: Said, id_: Id) -> Response:
        """Who has read anything of a case, when, in what capacity and why."""
        return await reading.answer(asked, "case", id_, ("reads",), lambda at, read: at.reads(read))

    _get(app, "/cases/{id}", case, CaseFile | InformantFile)
    _get(app, "/records/{id}", record, RecordFile | InformantFile)
    _get(app, "/contacts/{id}", contact, ContactFile | InformantFile)
    _get(app, "/hand-offs/{id}", hand_off, HandOffView)
    _get(app, "/cases/{id}/timeline", timeline, Timeline)
    _get(app, "/cases/{id}/reads", reads, Reads)


def _get(app: FastAPI, path: str, handle: Callable[..., Any], model: Any) -> None:
    responses = {**PROBLEMS, 200: {"model": model, "headers": {"Hotline-Instant": {"schema": {"type": "string"}}}}}
    app.get(f"/projections/v1{path}", name=handle.__name__, responses=responses, response_model=None)(handle)

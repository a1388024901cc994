"""One read of a file: may they, at which instant, what; recorded, then answered. So is a refusal."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Depends, Header, Query, Request
from fastapi.responses import Response
from psycopg_pool import AsyncConnectionPool

from chassis.commands import Call, Commands, NotFound
from chassis.failpoints import reach
from chassis.identity import Actor, Capacity
from chassis.keys import KeyStore
from chassis.problems import Problem
from chassis.view import Vector
from chassis.web import Api, uuid_of
from contracts.codes import codes
from services.projections.policy import Standing, reader_of, sees, standing
from services.projections.reads import RecordRead, RecordRefusal
from services.projections.views import instants
from services.projections.views.files import LOG_OF, Files
from services.projections.views.history import Reader
from services.projections.views.shown import Shown, answer_bytes

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
class Wanted:
    """A file, and the views of it of which the asker gets the first that they may have.

    since, until: the ends of a stretch of time, where one is asked about; until is the instant that is shown. past: the name under
    which a view `file` is recorded that is not of today, and which a role needs beside the view itself.
    """

    kind: str
    id: str
    views: tuple[str, ...]
    since: str | None = None
    until: str | None = None
    past: str = "as_of"


@dataclass(frozen=True)
class Reading:
    """Answers reads of files."""

    api: Api
    commands: Commands
    pool: AsyncConnectionPool
    keys: KeyStore

    async def answer(self, asked: Asked, wanted: Wanted, build: Build) -> Response:
        """What `build` folds, for whoever may see it. Raises Problem 400, 403, 404, 503 or NotFound."""
        actor, read = await self.api.actor(asked.request), uuid_of(wanted.id)
        try:
            return await self._answer(asked, wanted, build, actor, read)
        except NotFound:
            await self.refused(asked, read, actor, "not-found")
            raise
        except Problem as problem:
            if problem.status in (403, 404):
                await self.refused(asked, read, actor, problem.code)
            raise

    async def _answer(self, asked: Asked, wanted: Wanted, build: Build, actor: Actor, read: UUID) -> Response:
        purpose = asked.purpose()
        reason = asked.reason() if wanted.views in REASONED else None
        since, vector = await self._instants(asked, wanted)
        whose = await standing(self.pool, wanted.kind, read)
        capacity, view = self._may(asked, wanted, actor, whose)
        reader = Reader(self.pool, self.keys, vector, sees(capacity, view))
        shown = await build(Files(reader, sealed=view != "clear_part", since=since), read)
        if shown is None:
            raise await self._not_yet(reader, wanted.kind, read)
        quoted = instants.text(vector)
        command = RecordRead(kind=wanted.kind, view=view, purpose=purpose, reason=reason, shown=quoted)
        story = await reader.story_of(read)
        await self.commands.execute(read, command, Call(f"rest:{uuid4()}", actor.subject, str(capacity), correlation=story))
        reach("read.recorded")
        return _response(shown, quoted)

    async def _instants(self, asked: Asked, wanted: Wanted) -> tuple[Vector | None, Vector]:
        """Where the stretch begins, None for the beginning, and the instant to be shown."""
        if asked.wait_for is not None:
            await instants.folded(self.pool, instants.parse(asked.wait_for))
        if asked.as_of is not None and wanted.until is not None:
            raise Problem(400, "bad-request", pointer="", parameter="as_of or to, not both")
        vector = await instants.instant(self.pool, asked.as_of if wanted.until is None else wanted.until)
        if wanted.since is None:
            return None, vector
        since = await instants.instant(self.pool, wanted.since)
        if behind := [log for log, position in since.items() if position > vector[log]]:
            raise Problem(400, "bad-request", pointer="", parameter="from lies behind to", logs=behind)
        return since, vector

    @staticmethod
    def _may(asked: Asked, wanted: Wanted, actor: Actor, whose: Standing | None) -> tuple[Capacity, str]:
        """The capacity in which, and the view as which it is read."""
        capacity, view = reader_of(actor, wanted.views, whose)
        if asked.as_of is None and wanted.past == "as_of":
            return capacity, view
        reader_of(actor, ("as_of",), whose)
        return capacity, wanted.past if view == "file" else view

    async def _not_yet(self, reader: Reader, kind: str, read: UUID) -> Exception:
        """Whoever may see it today is told since when there is something to be seen."""
        begins = await reader.beginning(read, LOG_OF.get(kind, ""))
        if begins is None or begins.position <= reader.at.get(LOG_OF[kind], 0):
            return NotFound()
        said = {"position": f"{LOG_OF[kind]}:{begins.position}", "recorded_at": begins.recorded_at}
        return Problem(404, "not-yet", begins=said, instant=instants.text(reader.at))

    async def refused(self, asked: Asked, read: UUID, actor: Actor, code: str) -> None:
        """Recorded under every capacity that was tried. Raises StoreGone: then the answer is 503, whatever was asked."""
        as_ = ",".join(map(str, actor.capacities)) or "none"
        command = RecordRefusal(route=asked.request.scope["route"].path, code=code)
        await self.commands.execute(read, command, Call(f"rest:{uuid4()}", actor.subject, as_))


def _response(shown: Shown, quoted: str) -> Response:
    headers = {"Hotline-Instant": quoted, "Cache-Control": "no-store"}
    version = getattr(shown, "version", None) or getattr(getattr(shown, "hand_off", None), "version", None)
    if version:
        headers["ETag"] = f'"{version}"'
    return Response(answer_bytes(shown), media_type="application/json", headers=headers)

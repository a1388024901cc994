"""Search over HTTP: what is asked stands in no address, log or trace; that somebody asked is recorded before the answer leaves."""

import math
import time
from typing import Annotated, Any
from uuid import uuid4

from fastapi import Header, Request
from fastapi.responses import Response
from limits import parse as limit_of
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from pydantic import Field, ValidationError

from chassis.commands import Call
from chassis.failpoints import reach
from chassis.identity import Actor, may, roles
from chassis.problems import Problem, invalid
from chassis.web import body_of
from contracts.kernel import Shape
from services.projections.api import PROBLEMS, Since, Until
from services.projections.reading import Asked, Reading, Said, Wanted
from services.projections.reads import RecordSearch, search_id
from services.projections.search import made
from services.projections.search.finding import Hits, found
from services.projections.search.folding import words
from services.projections.search.index import Index
from services.projections.views import instants
from services.projections.views.history import Reader
from services.projections.views.shown import answer_bytes

LIMIT, SHORTEST, LONGEST = 4096, 2, 200  # bytes of a body, letters of a query
PER_MINUTE = limit_of("30/minute")
"""Of one person at one process: enough for whoever asks for somebody, too few for whoever tries names."""
FIELDS = ("id", "reference", "child_id", "child_name")
_INSTANT = {"Hotline-Instant": {"schema": {"type": "string"}}}


class Query(Shape):
    """What somebody searches for: the name of a child, a spoken reference, an id; with a reason, a number that called."""

    query: Annotated[str, Field(min_length=SHORTEST, max_length=LONGEST)]


def searches(reading: Reading, index: Index) -> None:
    """`POST` and `GET /projections/v1/searches`."""
    api, limiter = reading.api, FixedWindowRateLimiter(MemoryStorage())

    async def search(
        request: Request,
        *,
        purpose: Annotated[str | None, Header(alias="Hotline-Purpose", description="a code of list purpose; needed")] = None,
        reason: Annotated[
            str | None, Header(alias="Hotline-Reason", description="a code of list read_reason; without it no number is looked up")
        ] = None,
        wait_for: Annotated[str | None, Header(alias="Hotline-Wait-For", description="cases:18421,…")] = None,
        capacity: Annotated[str | None, Header(alias="Hotline-As", description="<role>@<place>")] = None,
    ) -> Response:
        """Which files are meant by a name, with or without its marks, a reference, an id or a number. No personal field."""
        asked = Asked(request, purpose=purpose, reason=reason, wait_for=wait_for, capacity=capacity)
        actor = await api.actor(request)
        await _not_too_often(limiter, actor)
        why, because = asked.purpose(), asked.reason() if reason is not None else None
        mine = search_id(actor.subject, reading.commands.log.time.now())
        if not (held := may(actor, "search", roles()["views"])):
            await reading.refused(asked, mine, actor, "not-allowed")
            raise Problem(403, "not-allowed")
        query = _query(await body_of(request, LIMIT))
        fields = (*FIELDS, "number") if because and may(actor, "informant", roles()["views"]) else FIELDS
        if wait_for is not None:
            await instants.folded(reading.pool, instants.parse(wait_for))
        at = await instants.now(reading.pool)
        await index.caught_up()
        reader = Reader(reading.pool, reading.keys, at)  # nobody who searches may see who is restricted
        hits = await found(reader, index, actor, query, fields)
        quoted, as_ = instants.text(at), ",".join(str(capacity) for capacity, _ in held)
        command = RecordSearch(hits=len(hits.hits), looked_in=list(fields), purpose=why, reason=because, shown=quoted, query=query)
        await reading.commands.execute(mine, command, Call(f"rest:{uuid4()}", actor.subject, as_))
        reach("read.recorded")
        headers = {"Hotline-Instant": quoted, "Cache-Control": "no-store"}
        return Response(answer_bytes(hits), media_type="application/json", headers=headers)

    async def searches(asked: Said, since: Since = None, until: Until = None) -> Response:
        """Who searched when, in what capacity and why, with how many hits, and who was refused; never what was searched for."""
        wanted = Wanted("searches", str(made.SEARCHES), ("searches",), since, until)
        return await reading.answer(asked, wanted, lambda at, _: made.searches(reading.pool, at.stretch))

    body = {"required": True, "content": {"application/json": {"schema": Query.model_json_schema()}}}
    answers: list[tuple[Any, Any, Any, Any]] = [
        (api.app.post, search, Hits, {"requestBody": body}),
        (api.app.get, searches, made.Searches, None),
    ]
    for method, handle, model, extra in answers:
        responses = {**PROBLEMS, 200: {"model": model, "headers": _INSTANT}}
        method(made.ROUTE, name=handle.__name__, responses=responses, response_model=None, openapi_extra=extra)(handle)


async def _not_too_often(limiter: FixedWindowRateLimiter, actor: Actor) -> None:
    """Raises Problem 429 that says when to ask again."""
    if not await limiter.hit(PER_MINUTE, actor.subject):
        again = await limiter.get_window_stats(PER_MINUTE, actor.subject)
        wait = max(1, math.ceil(again.reset_time - time.time()))
        raise Problem(429, "too-many-requests", headers={"Retry-After": str(wait)})


def _query(raw: bytes) -> str:
    """What is asked, without blanks around it. Raises Problem 400 or 422 with a pointer, also where nothing is left to look for."""
    try:
        query = Query.model_validate_json(raw, strict=True).query.strip()
    except ValidationError as problem:
        raise invalid(problem) from None
    if sum(map(len, words(query).folded)) < SHORTEST:
        raise Problem(422, "invalid-command", errors=[{"pointer": "/query", "code": "string-too-short"}])
    return query

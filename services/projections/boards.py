"""Worklists, the breach board, and the instant of a time of day. No personal field, so no read is recorded."""

import base64
import json
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Depends, Header, Query, Request
from fastapi.responses import JSONResponse
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from chassis.identity import Actor, Capacity, may, roles
from chassis.problems import Problem, plain
from chassis.view import positions_in
from chassis.view_builds import reading
from chassis.web import Api
from contracts.references import reference
from contracts.rules import LAW
from services.projections.api import PROBLEMS
from services.projections.policy import body_of
from services.projections.views import instants
from services.projections.views.shown import LETTERS, label, place

Scope = Literal["mine", "team", "commune", "province"]
RELATIONS: dict[str, set[str]] = {
    "mine": {"own", "line", "agency"},
    "team": {"line", "any"},
    "commune": {"lead"},
    "province": {"province"},
}
"""Worklist → the relations of `contracts/roles.yaml` that may ask for it."""
IS_MINE = (
    "(%(all)s OR coalesce(r.owner, w.owner) = %(owner)s OR w.lead = %(lead)s OR %(province)s = ANY(w.provinces)"
    " OR w.addressee = %(body)s)"
)
WORKLIST = (
    "SELECT w.* FROM work w LEFT JOIN work r ON r.id = w.record_id"  # noqa: S608 - constants of this module
    f" WHERE NOT w.done AND w.kind <> 'message' AND {IS_MINE}"
    " AND (coalesce(w.due_at, 'infinity'), w.id) > (%(after_at)s::timestamptz, %(after_id)s::uuid)"
    " ORDER BY coalesce(w.due_at, 'infinity'), w.id LIMIT %(limit)s"
)
BREACHES = (
    "SELECT c.*, w.kind, w.position, w.label, w.lead FROM clock c LEFT JOIN work w ON w.id = c.about"  # noqa: S608
    " LEFT JOIN work r ON r.id = w.record_id"
    f" WHERE c.breached_since IS NOT NULL AND NOT c.ended AND ({IS_MINE} OR c.responsible = %(body)s)"
    " AND (c.breached_since, c.stream, c.clock) > (%(after_at)s::timestamptz, %(after_id)s::uuid, %(after_clock)s)"
    " ORDER BY c.breached_since, c.stream, c.clock LIMIT %(limit)s"
)
UNDELIVERABLE = (
    "SELECT m.id, m.addressee, w.id AS about, w.kind, w.position, w.lead FROM work m JOIN belongs b ON b.stream = m.id"
    " JOIN work w ON w.id = b.to_stream WHERE m.kind = 'message' AND NOT m.done AND NOT w.done ORDER BY m.position LIMIT 200"
)
PARKED = "SELECT count(*) AS parked FROM parked WHERE discarded_at IS NULL"


class Asked:
    """Which page of a list. `after` holds the sort keys of the last row of the page before."""

    def __init__(
        self,
        request: Request,
        *,
        after: Annotated[str | None, Query(description="where the list goes on, from the Link of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        wait_for: Annotated[str | None, Header(alias="Hotline-Wait-For", description="cases:18421,…")] = None,
        capacity: Annotated[str | None, Header(alias="Hotline-As", description="<role>@<place>")] = None,
    ) -> None:
        self.request, self.limit, self.wait_for, self.capacity = request, limit, wait_for, capacity
        self.after = _read_cursor(after) if after is not None else ("-infinity", str(UUID(int=0)), "")

    def answer(self, body: dict[str, Any], quoted: str, rows: list[dict[str, Any]], keys: tuple[str, ...]) -> JSONResponse:
        """The page, and a Link to the next one if `rows` holds more than it."""
        headers = {"Hotline-Instant": quoted, "Cache-Control": "no-store"}
        if len(rows) > self.limit:
            at, *others = (rows[self.limit - 1][key] for key in keys)
            cursor = json.dumps([at.isoformat() if at else "infinity", *map(str, others)])
            asked = {**self.request.query_params, "after": base64.urlsafe_b64encode(cursor.encode()).decode()}
            headers["Link"] = f'<{self.request.url.path}?{urlencode(asked)}>; rel="next"'
        return JSONResponse(plain(body), headers=headers)


def _read_cursor(text: str) -> tuple[str, str, str]:
    """Raises Problem 400 for anything that is not a cursor of ours."""
    try:
        at, id_, *clock = json.loads(base64.urlsafe_b64decode(text))
        stamp = at if at == "infinity" else datetime.fromisoformat(at).isoformat()
        return stamp, str(UUID(id_)), "".join(clock).replace("\0", "")
    except (ValueError, TypeError, AttributeError):
        raise Problem(400, "bad-request", pointer="", parameter="after") from None


Page = Annotated[Asked, Depends()]


def whose(capacity: Capacity, relation: str) -> dict[str, Any]:
    """The rows that this relation gives a capacity: parameters of `IS_MINE`."""
    province = capacity.place if relation == "province" else None
    return {
        "all": relation in {"line", "any"},
        "owner": capacity.subject if relation == "own" else None,
        "lead": capacity.place if relation == "lead" else None,
        "province": province,
        "body": body_of(capacity) if relation in {"own", "lead", "province", "agency"} else None,
    }


def allowed(actor: Actor, view: str, relations: set[str] | None = None) -> tuple[Capacity, str]:
    """The first capacity that has this view, in one of these relations. Raises Problem 403."""
    for capacity, relation in may(actor, view, roles()["views"]):
        if relations is None or relation in relations:
            return capacity, relation
    raise Problem(403, "not-allowed")


def boards(api: Api, pool: AsyncConnectionPool) -> None:
    """`GET /projections/v1/{worklists/…,breaches,instants}`."""

    async def worklist(request: Request, scope: Scope, asked: Page) -> JSONResponse:
        """What is open, soonest due first: one's own, the whole line's, a commune's or a province's."""
        capacity, relation = allowed(await api.actor(request), "worklist", RELATIONS[scope])
        mine = whose(capacity, "own" if scope == "mine" and relation == "line" else relation)
        rows, quoted = await _page(pool, WORKLIST, mine, asked)
        return asked.answer({"items": [_work(row) for row in rows[: asked.limit]]}, quoted, rows, ("due_at", "id"))

    async def breaches(request: Request, asked: Page) -> JSONResponse:
        """Every promise that was broken and is still owed, longest broken first; what reached nobody, and how much is parked."""
        mine = whose(*allowed(await api.actor(request), "breaches"))
        rows, quoted = await _page(pool, BREACHES, mine, asked)
        body: dict[str, Any] = {"items": [_breach(row) for row in rows[: asked.limit]]}
        if mine["all"]:
            async with reading(pool) as db:
                body["undeliverable"] = [_undeliverable(row) for row in await _rows(db, UNDELIVERABLE, {})]
                body |= (await _rows(db, PARKED, {}))[0]
        return asked.answer(body, quoted, rows, ("breached_since", "stream", "clock"))

    async def instant(request: Request, at: Annotated[str, Query()]) -> JSONResponse:
        """The instant of a time of day: per log the last position recorded by then."""
        allowed(await api.actor(request), "as_of")
        vector = await instants.resolved(pool, instants.moment(at))
        quoted = instants.text(vector)
        return JSONResponse({"at": at, "instant": quoted, "positions": dict(vector)}, headers={"Hotline-Instant": quoted})

    for path, handle in (("worklists/{scope}", worklist), ("breaches", breaches), ("instants", instant)):
        api.app.get(f"/projections/v1/{path}", name=handle.__name__, responses=PROBLEMS, response_model=None)(handle)


async def _page(pool: AsyncConnectionPool, query: str, mine: dict[str, Any], asked: Asked) -> tuple[list[dict[str, Any]], str]:
    """One row more than asked for, if there is one, and the instant of exactly these rows."""
    if asked.wait_for is not None:
        await instants.folded(pool, instants.parse(asked.wait_for))
    at, id_, clock = asked.after
    async with reading(pool) as db:
        keys = {"after_at": at, "after_id": id_, "after_clock": clock, "limit": asked.limit + 1}
        return await _rows(db, query, mine | keys), instants.text(await positions_in(db))


async def _rows(db: AsyncConnection[Any], query: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    async with db.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query, asked)  # pyrefly: ignore  # constants of this module
        return await cursor.fetchall()


def _item(row: dict[str, Any]) -> dict[str, Any]:
    letter = LETTERS.get(row["kind"])
    commune = place(row["lead"]) if row["lead"] else None
    return {"kind": row["kind"], "reference": reference(letter, row["position"]) if letter else None, "commune": commune}


def _work(row: dict[str, Any]) -> dict[str, Any]:
    clock = {"clock": row["due_clock"], "due_at": row["due_at"], "law": _law(row["due_clock"])} if row["due_at"] else None
    kept = {name: row[name] for name in ("id", "version", "emergency", "risk", "owner", "centre", "addressee")}
    return _item(row) | kept | {"label": label(f"{row['kind']}_label", row["label"]), "clock": clock}


def _breach(row: dict[str, Any]) -> dict[str, Any]:
    kept = {name: row[name] for name in ("log", "stream", "clock", "rule", "responsible", "breached_since", "breaches", "due_at")}
    about = _item(row) | {"id": row["about"], "label": label(f"{row['kind']}_label", row["label"])} if row["kind"] else None
    return kept | {"law": _law(row["clock"]), "about": about}


def _undeliverable(row: dict[str, Any]) -> dict[str, Any]:
    return {"message": row["id"], "recipient": row["addressee"], "about": _item(row) | {"id": row["about"]}}


def _law(clock: str) -> str | None:
    rule = clock.partition("/")[0]
    return LAW.legal(rule) if LAW.has(rule) else None

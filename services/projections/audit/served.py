"""The evidence over HTTP: the newest checkpoints, that a later one continues an earlier one, and receipts for single entries.

Only checkpoints that our own tree agrees with are served. They and consistency proofs are public: they are hashes and signatures. A
receipt holds one entry, which names a stream by its id, a type and a time, and nobody: it is for whoever is logged in.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Annotated, Any, LiteralString, NamedTuple

from fastapi import FastAPI, Path, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from psycopg_pool import AsyncConnectionPool

from chassis.commands import NotFound
from chassis.ledger.encoding import encode
from chassis.ledger.proof import receipt
from chassis.ledger.tree import consistency
from chassis.problems import Problem
from chassis.timing import Time
from chassis.web import Api
from services.projections.api import PROBLEMS
from services.projections.audit.trees import entry_at, over
from services.projections.views.history import LOGS
from services.projections.views.instants import TOLD_WITHIN

PATIENCE, AGAIN = 2.0, 0.05  # seconds
GREATEST = 2**62
_STANDS: LiteralString = """
    SELECT t.size, t.at_end, n.size, n.root, n.note FROM (SELECT %(log)s::text AS log) l
    LEFT JOIN audit_tree t ON t.log = l.log
    LEFT JOIN LATERAL
        (SELECT size, root, note FROM audit_note a WHERE a.log = l.log AND a.agrees ORDER BY size DESC LIMIT 1) n ON true"""
Log = Annotated[str, Path(description="intake, cases, referrals, notifications or projections")]
Position = Annotated[int, Path(ge=1)]
From = Annotated[int, Query(alias="from", ge=0, description="size of the earlier checkpoint")]
To = Annotated[int, Query(alias="to", ge=0, description="size of the later checkpoint")]


class Signed(NamedTuple):
    """The newest checkpoint that agrees with our tree."""

    size: int
    root: bytes
    note: str


@dataclass(frozen=True)
class Evidence:
    """Answers about one log are made in one transaction from tables to which rows are only added."""

    api: Api
    pool: AsyncConnectionPool
    time: Time

    async def checkpoints(self) -> Response:
        """The newest checkpoint of every log that has one."""
        items = []
        for log in LOGS:
            _, signed = await self._stands(log)
            if signed:
                origin = signed.note.partition("\n")[0]
                items.append({"log": log, "origin": origin, "size": signed.size, "root": encode(signed.root), "note": signed.note})
        return JSONResponse({"items": items}, headers={"Cache-Control": "no-store"})

    async def checkpoint(self, log: Log) -> Response:
        """The newest checkpoint of a log, a signed note."""
        return _text((await self._covering(log, 1)).note)

    async def consistency(self, log: Log, earlier: From, later: To) -> Response:
        """The log of `to` entries begins with the log of `from` entries: one hash a line, none for from = 0 or from = to."""
        if earlier > later:
            raise Problem(400, "bad-request", pointer="", parameter="from")
        if later:
            await self._covering(log, later)
        async with self.pool.connection() as db:
            hashes = await over(db, log, later, lambda read: consistency(read, earlier, later))
        return _text("".join(f"{encode(hash_)}\n" for hash_ in hashes))

    async def proof(self, request: Request, log: Log, position: Position) -> Response:
        """The receipt of an entry, to be kept: with it a stranger can check, offline and for ever, that it was recorded."""
        await self.api.actor(request)
        signed = await self._covering(log, position)
        entry = await entry_at(self.pool, log, position)
        async with self.pool.connection() as db:
            found = await over(
                db, log, signed.size, lambda read: receipt(read, entry, position - 1, signed.note.encode(), signed.size)
            )
        return _text(found.text().decode())

    async def _covering(self, log: str, position: int) -> Signed:
        """The newest checkpoint, once it covers a position. Raises NotFound for a position or log that is not there, Problem 503
        while it is not covered, or while it is not known whether it is there: its topic may be a second behind its log."""
        if log not in LOGS or position > GREATEST:
            raise NotFound
        asked, until = self.time.now(), time.monotonic() + PATIENCE
        while True:
            (size, at_end), signed = await self._stands(log)
            if signed and signed.size >= position:
                return signed
            if size < position and at_end and at_end > asked + TOLD_WITHIN:
                raise NotFound
            if time.monotonic() > until:
                covered = signed.size if signed else 0
                raise Problem(503, "not-caught-up", headers={"Retry-After": "2"}, position=f"{log}:{covered}")
            await asyncio.sleep(AGAIN)

    async def _stands(self, log: str) -> tuple[tuple[int, Any], Signed | None]:
        async with self.pool.connection() as db:
            row = await (await db.execute(_STANDS, {"log": log})).fetchone()
        if row is None:
            return (0, None), None
        size, at_end, *signed = row
        return (size or 0, at_end), Signed(signed[0], bytes(signed[1]), signed[2]) if signed[0] else None


def evidence(api: Api, pool: AsyncConnectionPool) -> None:
    """`GET /projections/v1/audit/checkpoints`, `…/{log}/checkpoint`, `…/{log}/consistency`, `…/{log}/{position}/proof`."""
    shown = Evidence(api, pool, api.commands.log.time)
    app: FastAPI = api.app
    plain: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
    for path, handle in (
        ("/checkpoints", shown.checkpoints),
        ("/{log}/checkpoint", shown.checkpoint),
        ("/{log}/consistency", shown.consistency),
        ("/{log}/{position}/proof", shown.proof),
    ):
        responses = PROBLEMS if path == "/checkpoints" else PROBLEMS | plain
        app.get(f"/projections/v1/audit{path}", name=handle.__name__, responses=responses, response_model=None)(handle)


def _text(body: str) -> Response:
    return PlainTextResponse(body, headers={"Cache-Control": "no-store"})

"""What is parked over HTTP, for supervisors and operators: list, show, and an operator's decision, which is an entry of the log.

No personal field is shown: sealed parts stay sealed.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, LiteralString
from uuid import UUID

from eventsourcing.utils import resolve_topic
from fastapi import Request
from fastapi.responses import JSONResponse
from psycopg.rows import dict_row

from chassis.commands import Commands, NotFound
from chassis.identity import may, roles
from chassis.kafka import topic_of
from chassis.problems import Problem, plain
from chassis.service import Parts
from chassis.web import Api, placed
from contracts.ids import system_stream
from contracts.kernel import Command, Fact, Refused
from contracts.rules import LOGS
from contracts.system import AboutParked, DecideParked, DiscardParked, RetryParked

_ALL: LiteralString = """
    SELECT topic, split_part(topic, '.', 2) AS source, position, stream, headers ->> 'ce_type' AS type, reason, parked_at,
        retry_by, discarded_by, discarded_at
    FROM parked ORDER BY discarded_at NULLS FIRST, topic, position LIMIT 1000"""
_ONE: LiteralString = """
    SELECT topic, split_part(topic, '.', 2) AS source, position, stream, headers ->> 'ce_type' AS type, reason, parked_at,
        retry_by, discarded_by, discarded_at, headers, body
    FROM parked WHERE topic = %s AND position = %s"""
_OF_STREAM: LiteralString = """
    SELECT position FROM parked WHERE topic = %s AND stream = %s AND discarded_at IS NULL ORDER BY position"""
_KEY: LiteralString = "SELECT stream FROM parked WHERE topic = %s AND position = %s AND discarded_at IS NULL"


def parked_board(api: Api, parts: Parts) -> None:
    """`GET /<service>/v1/parked` and `…/{source}/{position}`; `POST …/retries` and `…/discards` with a reason."""
    board = _Board(api, parts)
    one = f"/{api.service}/v1/parked/{{source}}/{{position}}"
    for path, name, summary, handle in (
        (f"/{api.service}/v1/parked", "parked", "What could not be digested", board.list_all),
        (one, "parked_one", "What is known of one that could not be digested", board.show),
    ):
        api.app.get(path, name=name, summary=summary, response_model=None)(handle)
    stream = system_stream(parts.settings.origin(parts.name))
    decided = Commands(parts.log, decide_in(parts.name), _last, parts.rules, board.looked_up)
    decisions = replace(api, commands=decided)  # the same bodies and documents; another domain
    for noun, kind in (("retries", RetryParked), ("discards", DiscardParked)):
        decisions.command(f"/v1/parked/{{source}}/{{position}}/{noun}", kind, lambda *_: stream)


def decide_in(log: str) -> Callable[[DecideParked, Any], Iterator[Fact]]:
    """The decisions about parked facts, as entries of this log."""

    def decide(command: DecideParked, _: Any) -> Iterator[Fact]:
        if command.stream is None:
            raise Refused("not-parked")
        if isinstance(command, RetryParked) and command.first < command.position:
            raise Refused("earlier-is-parked", first=command.first)
        name = "ParkedRetried" if isinstance(command, RetryParked) else "ParkedDiscarded"
        kind: type[Fact] = resolve_topic(f"{log}.{name}")
        yield kind.model_validate(command.model_dump(include=set(AboutParked.model_fields)))

    return decide


def _last(fact: Fact, _: Any) -> Fact:
    """A log's state is the last thing it said of itself."""
    return fact


class _Board:
    def __init__(self, api: Api, parts: Parts) -> None:
        self.api, self.pool = api, parts.pool

    async def list_all(self, request: Request) -> JSONResponse:
        await self._allowed(request)
        return JSONResponse({"items": [plain(row) for row in await self._rows(_ALL)]})

    async def show(self, request: Request) -> JSONResponse:
        """The first of a stream can be retried; behind it wait the others."""
        await self._allowed(request)
        asked = placed(RetryParked(reason="try_once_more"), request.path_params)
        topic, position = _topic(asked.source), asked.position
        rows = await self._rows(_ONE, topic, position)
        if not rows:
            raise NotFound
        (row,) = rows
        body = bytes(row.pop("body"))
        waiting = [each["position"] for each in await self._rows(_OF_STREAM, topic, row["stream"])]
        row |= {
            "state": clear_part(body),
            "bytes": len(body),
            "before": [each for each in waiting if each < position],
            "behind": [each for each in waiting if each > position],
        }
        return JSONResponse(plain(row))

    async def looked_up(self, _: UUID, command: Command) -> Command:
        """A decision with what is parked under it."""
        if not isinstance(command, DecideParked):
            return command
        topic = _topic(command.source)
        stream: UUID | None = next((row["stream"] for row in await self._rows(_KEY, topic, command.position)), None)
        first = (await self._rows(_OF_STREAM, topic, stream))[:1] if stream else []
        return command.model_copy(update={"stream": stream, "first": first[0]["position"] if first else 0})

    async def _allowed(self, request: Request) -> None:
        if not may(await self.api.actor(request), "parked", roles()["views"]):
            raise Problem(403, "not-allowed")

    async def _rows(self, query: LiteralString, *args: Any) -> list[dict[str, Any]]:
        async with self.pool.connection() as db:
            return await (await db.cursor(row_factory=dict_row).execute(query, args)).fetchall()


def _topic(source: str) -> str:
    if source not in LOGS:
        raise NotFound
    return topic_of(source)


def clear_part(body: bytes) -> Any:
    """What a parked body says in clear; of its sealed parts only under whom they are sealed. None if it is no JSON object."""
    try:
        state = json.loads(body)
        json.dumps(state, ensure_ascii=False, allow_nan=False).encode()  # whatever somebody wrote, it must not break the answer
    except (ValueError, RecursionError):
        return None
    if not isinstance(state, dict):
        return None
    sealed = state.pop("sealed", {})
    return {**state, "sealed": sorted(sealed)} if isinstance(sealed, dict) and sealed else state

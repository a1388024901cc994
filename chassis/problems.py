"""One dialect for every error: RFC 9457 `application/problem+json`, a code, a sentence saying what to mend, never the input."""

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from chassis.transient import TRANSIENT, LogClosed
from contracts.kernel import Refused

SENTENCES = Path(__file__).parent.parent / "contracts" / "problems.yaml"
CODES = {404: "not-found", 405: "wrong-method", 413: "too-large", 415: "wrong-type", 429: "too-many-requests"}


class Problem(Exception):
    """An answer that is no success. extra: further members, headers: e.g. Retry-After."""

    def __init__(self, status: int, code: str, headers: Mapping[str, str] | None = None, **extra: Any) -> None:
        super().__init__(code)
        self.status, self.code, self.headers, self.extra = status, code, dict(headers or {}), extra


@cache
def sentences() -> dict[str, str]:
    """Code → what to mend."""
    found: dict[str, str] = yaml.safe_load(SENTENCES.read_text(encoding="utf-8"))
    return found


def answer(problem: Problem) -> JSONResponse:
    """The problem as a response."""
    body = {
        "type": f"urn:hotline111:{problem.code}",
        "title": problem.code.replace("-", " "),
        "status": problem.status,
        "detail": sentences().get(problem.code, HTTPStatus(problem.status).phrase),
    }
    return JSONResponse(
        body | {name: plain(value) for name, value in problem.extra.items()},
        problem.status,
        headers=problem.headers,
        media_type="application/problem+json",
    )


def invalid(problem: ValidationError) -> Problem:
    """A body of the wrong shape: pointer and code of each error, never a value."""
    errors = problem.errors(include_url=False, include_context=False, include_input=False)
    if any(error["type"] == "json_invalid" for error in errors):
        return Problem(400, "bad-request", pointer="")
    listed = [{"pointer": _pointer(error["loc"]), "code": error["type"].replace("_", "-")} for error in errors[:50]]
    return Problem(422, "invalid-command", errors=listed)


def _pointer(location: tuple[int | str, ...]) -> str:
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in location if step != "function-after")


def refused(why: Refused) -> Problem:
    """The rules' no: 409 with its code, but for the few that have a status of their own."""
    status = {"not-found": 404, "stale-version": 412, "key-reused": 422}.get(why.code, 409)
    return Problem(status, why.code, **why.details)


def speak_problems(app: FastAPI) -> None:
    """Every error of the application, the framework's own included, in the one dialect."""

    async def on_problem(_: Request, problem: Exception) -> JSONResponse:
        return answer(problem if isinstance(problem, Problem) else Problem(500, "our-fault"))

    async def on_refused(_: Request, why: Exception) -> JSONResponse:
        return answer(refused(why) if isinstance(why, Refused) else Problem(500, "our-fault"))

    async def on_framework(_: Request, error: Exception) -> JSONResponse:
        status = error.status_code if isinstance(error, HTTPException) else 422
        headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
        return answer(Problem(status, CODES.get(status, "bad-request"), headers=headers))

    async def on_validation(_: Request, error: Exception) -> JSONResponse:
        listed = [_pointer(e["loc"]) for e in error.errors()] if isinstance(error, RequestValidationError) else []
        return answer(Problem(400, "bad-request", pointer=(listed or [""])[0]))

    async def on_transient(_: Request, __: Exception) -> JSONResponse:
        return answer(Problem(503, "try-again", headers={"Retry-After": "2"}))

    async def on_closed(_: Request, __: Exception) -> JSONResponse:
        return answer(Problem(503, "log-closed", headers={"Retry-After": "30"}))

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(LogClosed, on_closed)
    app.add_exception_handler(Refused, on_refused)
    app.add_exception_handler(HTTPException, on_framework)
    app.add_exception_handler(RequestValidationError, on_validation)
    for kind in TRANSIENT:
        app.add_exception_handler(kind, on_transient)
    app.add_exception_handler(Exception, on_problem)


def plain(value: Any) -> Any:  # noqa: PLR0911 - one line a kind of value
    """Any value of a state or fact as JSON-ready data."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(plain(name)): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    if hasattr(value, "isoformat"):
        return value.isoformat().replace("+00:00", "Z")  # as pydantic writes instants
    return str(value) if isinstance(value, UUID) else value

"""Commands over HTTP: one line a route. `POST` a noun with `Idempotency-Key`, `If-Match` where people decide on what they saw.

Answers 201 or 200 with the new state, `ETag` (the version) and `Hotline-Position` (where in the log); a repeat answers the same.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from pydantic.json_schema import models_json_schema

from chassis.commands import Call, Commands, NotFound, Outcome
from chassis.failpoints import reach
from chassis.identity import Actor, Capacity, Identity, Relations, chosen, may, roles
from chassis.openapi import completed
from chassis.problems import Problem, invalid, plain, speak_problems
from contracts.ids import created_stream
from contracts.kernel import Command

JSON_LIMIT = 1_000_000  # bytes
C = TypeVar("C", bound=Command)


def new_app(service: str) -> FastAPI:
    """An application that speaks problems, documents itself, and lets neither query nor path into a trace."""
    app = FastAPI(
        title=f"hotline111 {service}",
        version="1",
        openapi_url=f"/{service}/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"logs": False, "operation_spans": False},
    )
    speak_problems(app)
    return app


@dataclass
class Api:
    """The REST side of one service. `relations` is its policy; a command without a row in the roles table is nobody's."""

    service: str
    app: FastAPI
    commands: Commands
    identity: Identity
    relations: Relations
    fingerprint_key: bytes
    bodies: dict[str, type[Command]] = field(default_factory=dict)

    def command(self, path: str, kind: type[C], stream: Callable[[C, str], UUID] | None = None) -> None:
        """`POST /<service><path>` for one command. Without `{id}` it creates: the stream comes from the cause, or from `stream`.

        What the path says under the name of a filled field is filled in.
        """
        self.bodies[kind.__name__] = kind

        async def handle(request: Request) -> JSONResponse:
            actor = await self.actor(request)
            allowed = may(actor, f"{self.service}.{kind.__name__}", roles()["commands"])
            if not allowed:
                raise Problem(403, "not-allowed")
            raw = await body_of(request)
            key = idempotency_key(request)
            named = {name: value for name, value in request.path_params.items() if name in kind.filled}
            command = placed(parse(kind, raw), named)
            cause, asked = f"rest:{key}", "".join(f"{part}\n" for part in (actor.subject, *named.values()))
            if "id" in request.path_params:
                target = uuid_of(request.path_params["id"])
            else:
                target = stream(command, cause) if stream else created_stream(cause, kind.__name__)
            call = Call(
                cause=cause,
                actor=actor.subject,
                seen=if_match(request, needed=kind.needs_if_match),
                fingerprint=hmac.digest(self.fingerprint_key, asked.encode() + raw, "sha256"),
                permit=self.permit(allowed),
            )
            return self.answered(request, await self.commands.execute(target, command, call))

        extra = {
            "parameters": _HEADERS,
            "requestBody": {"required": True, "content": {"application/json": {"schema": _ref(kind.__name__)}}},
        }
        self.app.post(
            f"/{self.service}{path}",
            name=kind.__name__,
            summary=(kind.__doc__ or "").split("\n", 1)[0],
            openapi_extra=extra,
            responses=_RESPONSES,
            response_model=None,
        )(handle)

    def state(self, path: str, name: str, kind: type = object) -> None:
        """`GET /<service><path>/{id}`: the state, if it is of this kind, without sealed fields, with its ETag."""

        async def read(request: Request) -> JSONResponse:
            actor = await self.actor(request)
            stream = uuid_of(request.path_params["id"])
            past = await self.commands.past(stream)
            if (
                past.state is None
                or not isinstance(past.state, kind)
                or not any(self._knows(past.state, capacity) for capacity in actor.capacities)
            ):
                raise NotFound
            body = {"id": str(stream), "version": past.version, "state": plain(past.state)}
            return JSONResponse(body, headers={"ETag": f'"{past.version}"'})

        self.app.get(f"/{self.service}{path}/{{id}}", name=name, summary=f"The state of one {name}", response_model=None)(read)

    def _knows(self, state: Any, capacity: Capacity) -> bool:
        """Clear fields are for whoever stands in some relation to it, and for auditors."""
        return capacity.role in ("auditor", "data_officer") or bool(set(self.relations(state, capacity, None)) - {"any"})

    async def actor(self, request: Request) -> Actor:
        """The person asking, in the capacity chosen by `Hotline-As`."""
        actor = await self.identity.actor(request.headers.getlist("authorization"))
        return chosen(actor, request.headers.get("hotline-as"))

    def permit(self, allowed: list[tuple[Capacity, str]]) -> Callable[[Any, Command], str]:
        """May one of these capacities do this to this state? The first that stands in the needed relation acts."""

        def check(state: Any, command: Command) -> str:
            for capacity, relation in allowed:
                if relation == "any" or relation in self.relations(state, capacity, command):
                    return str(capacity)
            raise NotFound

        return check

    def answered(self, request: Request, outcome: Outcome) -> JSONResponse:
        """The outcome of a command as a response."""
        headers = {"ETag": f'"{outcome.version}"', "Hotline-Position": f"{self.service}:{outcome.position}"}
        if outcome.created:
            headers["Location"] = f"{request.url.path.rstrip('/')}/{outcome.stream}"
        told = [{"type": e.fact.TOPIC, "version": e.version, "position": e.position, "fact": plain(e.fact)} for e in outcome.told]
        body = {"id": str(outcome.stream), "version": outcome.version, "state": plain(outcome.state), "told": told}
        reach("answer.before")
        return JSONResponse(body, 201 if outcome.created else 200, headers=headers)

    def document(self) -> None:
        """Put the command bodies into the OpenAPI document; call once after the last route."""
        build = self.app.openapi

        def openapi() -> dict[str, Any]:
            document = build()
            wanted = [(kind, "validation") for kind in self.bodies.values()]
            _, schemas = models_json_schema(wanted, ref_template="#/components/schemas/{model}")  # pyrefly: ignore
            document.setdefault("components", {}).setdefault("schemas", {}).update(schemas.get("$defs", {}))
            return completed(document, self.bodies)

        self.app.openapi = openapi  # pyrefly: ignore  # FastAPI documents this way of extending it


async def body_of(request: Request, limit: int = JSON_LIMIT, media: str = "application/json") -> bytes:
    """The raw body, at most `limit` bytes, of the media type. Raises Problem 415 for another type, letters that are not UTF-8 or a
    compressed body, 413 for a longer one."""
    kind, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    charset = parameters.partition("charset=")[2].partition(";")[0].strip(' "') if media == "application/json" else ""
    packed = request.headers.get("content-encoding", "identity").lower() != "identity"
    if kind.strip() != media or charset not in ("", "utf-8", "us-ascii") or packed:
        raise Problem(415, "wrong-type", accepted=media)
    return await read_all(request, limit)


async def read_all(request: Request, limit: int) -> bytes:
    """The raw body of any type. Raises Problem 413 before reading more than `limit` bytes."""
    if int(request.headers.get("content-length") or 0) > limit:
        raise Problem(413, "too-large", limit=limit)
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > limit:
            raise Problem(413, "too-large", limit=limit)
    return bytes(raw)


def parse(kind: type[C], raw: bytes) -> C:
    """The command in a JSON body: strict about types and unknown fields. Raises Problem 400 or 422 with a pointer."""
    try:
        command = kind.model_validate_json(raw, strict=True)
    except ValidationError as problem:
        raise invalid(problem) from None
    if brought := sorted(command.model_fields_set & kind.filled):
        raise Problem(422, "invalid-command", errors=[{"pointer": f"/{name}", "code": "extra-forbidden"} for name in brought])
    if b"\\u0000" in raw and (pointer := _nul_in(plain(command))):
        raise Problem(400, "bad-request", pointer=pointer)  # PostgreSQL's text cannot hold it, and no word contains it
    return command


def placed(command: C, named: Mapping[str, str]) -> C:
    """The command with what its path names. What cannot be is unknown: 404."""
    try:
        return command.__class__.model_validate({**command.model_dump(), **named}) if named else command
    except ValidationError:
        raise NotFound from None


def _nul_in(value: Any, pointer: str = "") -> str | None:
    if isinstance(value, str):
        return pointer if "\0" in value else None
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    return next((found for name, item in items if (found := _nul_in(item, f"{pointer}/{name}"))), None)


def idempotency_key(request: Request) -> UUID:
    """The caller's key of one intention. Raises Problem 400 that names the header."""
    try:
        return UUID(request.headers.get("idempotency-key", ""))
    except ValueError:
        raise Problem(400, "bad-request", pointer="", header="Idempotency-Key") from None


def if_match(request: Request, needed: bool) -> int | None:
    """The version on the caller's screen. Raises Problem 428 where it is needed and missing, 400 if it is no version."""
    given = request.headers.get("if-match")
    if given is None:
        if needed:
            raise Problem(428, "if-match-required")
        return None
    version = given.strip().removeprefix("W/").strip('"')
    if not version.isascii() or not version.isdigit() or len(version) > 9:
        raise Problem(400, "bad-request", pointer="", header="If-Match")
    return int(version)


def uuid_of(text: str) -> UUID:
    """An id in a path. What is no id is unknown: 404."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_HEADERS = [
    {"name": "Idempotency-Key", "in": "header", "required": True, "schema": {"type": "string", "format": "uuid"}},
    {"name": "If-Match", "in": "header", "required": False, "schema": {"type": "string"}},
    {"name": "Hotline-As", "in": "header", "required": False, "schema": {"type": "string"}},
]
_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/problem+json": {}}}
    for status, text in {
        400: "Not readable, or a header is missing",
        401: "Nobody we know",
        403: "Not for this role",
        404: "Unknown, or not yours",
        409: "The rules do not allow it",
        412: "Changed since you read it",
        413: "Too large",
        415: "Not JSON",
        422: "The body has the wrong shape, or the key was used for another body",
        428: "If-Match is needed",
        503: "Try again",
    }.items()
}

"""What an application's OpenAPI document leaves out because handlers take the bare request: path parameters, headers, problems."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from contracts.kernel import Command

OPEN = re.compile(r"/v1/(channels|acknowledgements)/|/v1/audit/(checkpoints|\{log\}/(checkpoint|consistency))$")
"""Doors without a token: a signature over the body, or a link made for one hand-off, stands in its place; heads are public."""
_TOKEN: list[dict[str, list[str]]] = [{"token": []}]
_TEXT = {"type": "string"}
_ID = {"type": "string", "format": "uuid"}
_POSITIVE = {"type": "integer", "minimum": 1}
_PROBLEM = {"schema": {"$ref": "#/components/schemas/Problem"}}
_HEADERS = {
    "ETag": {"description": "The version of the stream, for If-Match", "schema": {"type": "string", "pattern": '^"[0-9]+"$'}},
    "Hotline-Position": {"description": "Where in the log: `<log>:<position>`", "schema": _TEXT},
}
_SCHEMAS = {
    "Outcome": {
        "type": "object",
        "description": "The new state without sealed fields, and the facts that the command told.",
        "required": ["id", "state", "told", "version"],
        "properties": {
            "id": _ID,
            "version": _POSITIVE,
            "state": {"type": ["object", "null"]},
            "told": {"type": "array", "items": {"$ref": "#/components/schemas/Told"}},
        },
    },
    "Told": {
        "type": "object",
        "required": ["fact", "position", "type", "version"],
        "properties": {"type": _TEXT, "version": _POSITIVE, "position": _POSITIVE, "fact": {"type": "object"}},
    },
    "Problem": {
        "type": "object",
        "description": "RFC 9457: `type` is `urn:hotline111:<code>`, `detail` says what to mend; further members what it is about.",
        "required": ["detail", "status", "title", "type"],
        "properties": {"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT},
    },
}


def completed(document: dict[str, Any], bodies: Mapping[str, type[Command]]) -> dict[str, Any]:
    """The same document, in place, with what holds for every route of a service; once or twice makes no difference.

    bodies: the commands by name, as the request bodies refer to them.
    """
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(_SCHEMAS)
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    for path, operation in _operations(document):
        if not OPEN.search(path):
            operation["security"] = _TOKEN
        _parameters(path, operation)
        for answer in operation["responses"].values():
            if "application/problem+json" in answer.get("content", {}):
                answer["content"]["application/problem+json"] = _PROBLEM
        if command := _command_in(operation):
            _command(operation, bodies[command], creates="{id}" not in path)
    return document


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((path, operation) for path, methods in document["paths"].items() for operation in methods.values())


def _parameters(path: str, operation: dict[str, Any]) -> None:
    said = operation.setdefault("parameters", [])
    known = {parameter["name"] for parameter in said if parameter["in"] == "path"}
    for name in re.findall(r"{(\w+)}", path):
        if name not in known:
            said.append({"name": name, "in": "path", "required": True, "schema": _ID if name == "id" else _TEXT})


def _command_in(operation: Mapping[str, Any]) -> str | None:
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return str(schema["$ref"]).rpartition("/")[2] if "$ref" in schema else None


def _command(operation: dict[str, Any], kind: type[Command], *, creates: bool) -> None:
    for parameter in operation["parameters"]:
        if parameter["name"] == "If-Match":
            parameter["required"] = kind.needs_if_match
    body = {"application/json": {"schema": {"$ref": "#/components/schemas/Outcome"}}}
    operation["responses"]["200"] = {"description": "Done, or done before", "headers": _HEADERS, "content": body}
    if creates:
        where = {"Location": {"description": "The new stream", "schema": {"type": "string", "format": "uri-reference"}}}
        operation["responses"]["201"] = {"description": "Begun", "headers": _HEADERS | where, "content": body}

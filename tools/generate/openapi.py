"""OpenAPI 3.1 of each service, from the application that its own composition root builds."""

from typing import Any

from chassis.openapi import completed
from contracts.rules import LOGS
from tools.generate.model import built, commands_of, is_wired


def documents() -> dict[str, Any]:
    """`openapi/<service>.json` → its content, for the services there are."""
    return {f"openapi/{service}.json": _document(service) for service in LOGS if is_wired(service)}


def _document(service: str) -> dict[str, Any]:
    with built(service) as parts:
        return completed(parts.app.openapi(), {kind.__name__: kind for kind in commands_of(service)})

"""OpenAPI 3.1 of each service, from the application that its own composition root builds."""

from typing import Any

from contracts.rules import LOGS
from tools.generate.model import built, is_wired


def documents() -> dict[str, Any]:
    """`openapi/<service>.json` → its content, for the services there are."""
    return {f"openapi/{service}.json": _document(service) for service in LOGS if is_wired(service)}


def _document(service: str) -> dict[str, Any]:
    with built(service) as parts:
        return parts.app.openapi()

"""The other end of the scale: `python -m bench.empty` is a process like an API of ours (same settings, server, telemetry), but its
only route checks the body of `ReceiveContact` as FastAPI does it and answers nothing."""

from fastapi import FastAPI
from fastapi.responses import Response

from chassis.service import Parts, Service, start
from chassis.settings import settings_from_environment
from services.intake.domain.contacts import ReceiveContact


def build(parts: Parts) -> Service:
    """One route."""
    app = FastAPI(openapi_url=None, telemetry={"logs": False, "operation_spans": False})

    async def receive(body: ReceiveContact) -> Response:  # noqa: ARG001 - checked by FastAPI, and that is all
        return Response(status_code=201)

    app.post("/intake/v1/contacts")(receive)
    return Service(parts, app)


if __name__ == "__main__":
    start("intake", "api", settings_from_environment(), build)

"""One address for all services: requests go by their first path segment to the service of that name, streamed.

Started by the supervisor: `python -m deploy.local.front PORT intake=http://127.0.0.1:… cases=…`.
"""

import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import uvicorn

HOP_BY_HOP = {b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"proxy-connection"}
Scope = dict[str, Any]


class Front:
    """An ASGI application that forwards. Unknown first segment → 404, service not there → 503."""

    def __init__(self, services: dict[str, str]) -> None:
        self._services = services
        # A kept connection may be closed by the service just when the next request is written to it.
        unlimited = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        self._client = httpx2.AsyncClient(timeout=httpx2.Timeout(None, connect=5), limits=unlimited)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Forward one request."""
        if scope["type"] != "http":
            return
        service = self._services.get(scope["path"].split("/")[1])
        if service is None:
            await _answer(send, 404, "not found", f"No service has this path; they are: {', '.join(self._services)}.")
            return
        host, _, port = service.removeprefix("http://").partition(":")
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        request = httpx2.Request(
            scope["method"],
            httpx2.URL(scheme="http", host=host, port=int(port), raw_path=target),
            headers=[header for header in scope["headers"] if header[0].lower() not in HOP_BY_HOP],
            content=_body(receive) if _has_body(scope) else None,
        )
        try:
            answer = await self._client.send(request, stream=True)
        except httpx2.TransportError:
            await _answer(send, 503, "service unavailable", "The service does not answer; send the same again after Retry-After.")
            return
        try:
            headers = [header for header in answer.headers.raw if header[0].lower() not in HOP_BY_HOP]
            await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
            async for part in answer.aiter_raw():
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            await answer.aclose()


def _has_body(scope: Scope) -> bool:
    return any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


async def _body(receive: Any) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise httpx2.WriteError("the client went away")
        more = message.get("more_body", False)
        yield message.get("body", b"")


async def _answer(send: Any, status: int, title: str, detail: str) -> None:
    headers = [(b"content-type", b"application/problem+json"), *([(b"retry-after", b"1")] if status == 503 else [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


def main() -> None:
    """Serve until ended."""
    services = dict(pair.split("=", 1) for pair in sys.argv[2:])
    uvicorn.run(
        Front(services),
        port=int(sys.argv[1]),
        access_log=False,
        log_level="warning",
        lifespan="off",
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()

"""The doors of the channels: verify the signature over the raw bytes, keep them, answer at once. The worker reads them later."""

from collections.abc import Callable, Mapping
from datetime import datetime
from uuid import UUID

import structlog
from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from opentelemetry import metrics

from chassis.problems import Problem
from chassis.settings import Settings, mail_key_from, secret_from
from chassis.web import read_all
from contracts.kernel import Refused
from contracts.places import Place
from services.intake.adapters import email, signed, zalo
from services.intake.adapters.delivery import Delivery
from services.intake.adapters.inbox import Inbox, Parsed
from services.intake.domain.contacts import ReceiveContact

log_ = structlog.get_logger("hotline.channels")
bad = metrics.get_meter("hotline").create_counter(
    "hotline.channel.bad_signatures", description="deliveries refused for their signature"
)
MAIL_LIMIT, MESSAGE_LIMIT = 25_000_000, 1_000_000  # bytes
READERS: Mapping[str, Callable[[bytes], Delivery]] = {"zalo": zalo.parse, "email": email.parse}


def reader(channel: str, centre: Place) -> Callable[[bytes, datetime, UUID], Parsed]:
    """How the worker reads a kept delivery of a channel; `centre` is the one that deals with written channels."""

    def read(raw: bytes, received_at: datetime, caller_id: UUID) -> Parsed:
        delivery = READERS[channel](raw)
        command: ReceiveContact | None = delivery.contact(caller_id=caller_id, received_at=received_at, centre=centre)
        return Parsed(delivery.kind, command)

    return read


def channel_doors(app: FastAPI, inbox: Inbox, settings: Settings) -> None:
    """`POST /intake/v1/channels/{zalo,email}`; a channel without a secret has no door."""
    if settings.zalo_secret_file:
        secret = secret_from(settings.zalo_secret_file)

        async def from_zalo(request: Request) -> JSONResponse:
            raw = await read_all(request, MESSAGE_LIMIT)
            signature, stamp = request.headers.get("x-zevent-signature"), request.headers.get("x-zevent-timestamp")
            _signed("zalo", lambda: zalo.verify(raw, signature, stamp, app_id=settings.zalo_app_id, secret=secret))
            return await _keep(inbox, "zalo", zalo.parse(raw), raw)

        app.post("/intake/v1/channels/zalo", summary="Signed webhook of the Zalo Official Account", response_model=None)(from_zalo)
    if settings.mail_secret_file:
        key = mail_key_from(settings.mail_secret_file)

        async def from_mail_host(request: Request) -> JSONResponse:
            if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "message/rfc822":
                raise Problem(415, "wrong-type", accepted="message/rfc822")
            raw = await read_all(request, MAIL_LIMIT)
            _signed("email", lambda: signed.verify(raw, request.headers, key))
            return await _keep(inbox, "email", await to_thread.run_sync(email.parse, raw), raw)  # a large mail takes a while

        app.post("/intake/v1/channels/email", summary="A mail, handed over by the mail host", response_model=None)(from_mail_host)


def _signed(channel: str, verify: Callable[[], object]) -> None:
    """Counted and logged without content: a wrong secret would turn every child's message away."""
    try:
        verify()
    except Refused:
        bad.add(1, {"channel": channel})
        log_.warning("a delivery with a bad signature was refused", channel=channel)
        raise Problem(401, "bad-signature") from None


async def _keep(inbox: Inbox, channel: str, delivery: Delivery, raw: bytes) -> JSONResponse:
    return JSONResponse({"kept": await inbox.keep(channel, delivery.id, raw)})

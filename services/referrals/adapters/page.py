"""The acknowledgement page: no account, one page, one button, works on a bad network. It names nobody and tells no story.

Opening it is delivery, never acknowledgement; only the button, pressed with a name, takes the matter over.
"""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from limits import parse as limit_of
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from chassis.commands import Call, Commands, NotFound
from chassis.links import is_for, referral_in
from chassis.problems import Problem
from chassis.web import body_of
from contracts import places
from contracts.codes import label
from contracts.ids import command_id
from contracts.kernel import Refused
from contracts.references import reference
from services.referrals.domain.taking import AcknowledgeReferral, RecordDelivery

FORM = "application/x-www-form-urlencoded"
LIMIT, FIELD = 10_000, 200  # bytes of a form, letters of a field
LOCAL = ZoneInfo("Asia/Ho_Chi_Minh")
PER_MINUTE = limit_of("30/minute")
_pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined)
_style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
    f"style-src 'sha256-{b64encode(sha256(_style.encode()).digest()).decode()}'",
}


def acknowledgement_page(app: FastAPI, commands: Commands, link_key: bytes, call_back: str) -> None:
    """Add `GET` and `POST /referrals/v1/acknowledgements/{token}`. call_back: the number on the page."""
    limiter = FixedWindowRateLimiter(MemoryStorage())

    async def opened(request: Request) -> tuple[Any, Any, Any]:
        """The referral behind the link, or 404: wrong, revoked and unknown look alike."""
        token = request.path_params["token"]
        referral = referral_in(token)
        if not await limiter.hit(PER_MINUTE, str(referral)):
            raise Problem(429, "too-many-requests", headers={"Retry-After": "60"})
        state: Any = (await commands.past(referral)).state if referral else None
        if referral is None or not _may_open(state, token, referral, link_key):
            raise NotFound
        return referral, state, Call(cause=f"link:{referral}", actor=f"link:{referral}", as_=str(state.of.addressee))

    async def show(request: Request) -> Response:
        referral, state, call = await opened(request)
        if state.delivered_at is None:
            asked = RecordDelivery(via="link", delivered_at=commands.log.time.now())
            state = (await commands.execute(referral, asked, call)).state
        return await page(referral, state, 200)  # as it is now: the answer to a repeated command would show it as it was then

    async def take_over(request: Request) -> Response:
        referral, state, call = await opened(request)
        form = parse_qs((await body_of(request, LIMIT, FORM)).decode("utf-8", "replace"))
        said = {name: (form.get(name, [""])[0].replace("\0", "").strip())[:FIELD] for name in ("name", "office", "phone")}
        if not said["name"] or not said["office"]:
            return await page(referral, state, 422, missing=True, said=said)
        taker = uuid5(referral, str(command_id(referral, call.cause, "AcknowledgeReferral")))
        asked = AcknowledgeReferral(
            via="link",
            acknowledged_at=commands.log.time.now(),
            office=said["office"],
            taker_id=taker,
            name=said["name"],
            phone=said["phone"] or None,
        )
        try:
            outcome = await commands.execute(referral, asked, call)
        except Refused as why:
            raise NotFound from why
        return await page(referral, outcome.state, 200)

    async def page(
        referral: Any, state: Any, status: int, missing: bool = False, said: Mapping[str, str] | None = None
    ) -> Response:
        (first, *_) = await commands.log.rows_of(referral)
        clock = state.clocks.get("acknowledgement")
        html = _pages.get_template("page.html").render(
            style=_style,
            urgent=state.of.emergency,
            kind=label("hand_off_kind", state.of.kind),
            commune=places.label(state.of.addressee.place),
            children=len(state.of.children),
            reference=reference("H", first.position),
            due=_local(clock.due_at) if clock else None,
            taken_at=_local(state.acknowledged_at) if state.acknowledged_at else None,
            call_back=call_back,
            missing=missing,
            said=said or {"name": "", "office": "", "phone": ""},
        )
        return HTMLResponse(html, status, headers=HEADERS)

    path = "/referrals/v1/acknowledgements/{token}"
    app.get(path, name="acknowledgement page", response_class=HTMLResponse, response_model=None)(show)
    app.post(path, name="take over", response_class=HTMLResponse, response_model=None)(take_over)


def _may_open(state: Any, token: str, referral: UUID, link_key: bytes) -> bool:
    """The hand-off of an agency that is not withdrawn, opened with the link made for just the two of them."""
    agency = getattr(state, "agency_id", None)
    return agency is not None and not state.revoked and is_for(token, link_key, referral, agency)


def _local(at: datetime) -> str:
    return at.astimezone(LOCAL).strftime("%H:%M ngày %d/%m/%Y")

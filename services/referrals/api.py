"""The routes of referrals: one line a command; the acknowledgement page stands in `adapters/page.py`."""

from datetime import date

from fastapi import Request
from fastapi.responses import JSONResponse
from psycopg_pool import AsyncConnectionPool

from chassis.problems import Problem
from chassis.web import Api
from contracts.clocks import WaiveClock
from services.referrals.adapters.directory import listed
from services.referrals.domain.agencies import RegisterAgency
from services.referrals.domain.ladder import EscalateReferral
from services.referrals.domain.sending import SendReferral
from services.referrals.domain.settling import CompleteReferral, RevokeReferral
from services.referrals.domain.taking import AcknowledgeReferral, RecordAttempt

STAFF = {"counsellor", "supervisor", "provincial_officer", "operator", "auditor"}


def routes(api: Api, pool: AsyncConnectionPool) -> None:
    """`/referrals/v1/referrals/…`, `/referrals/v1/agencies`."""
    api.state("/v1/referrals", "referral")
    api.command("/v1/referrals", SendReferral)
    api.command("/v1/referrals/{id}/attempts", RecordAttempt)
    api.command("/v1/referrals/{id}/acknowledgement", AcknowledgeReferral)
    api.command("/v1/referrals/{id}/completion", CompleteReferral)
    api.command("/v1/referrals/{id}/revocation", RevokeReferral)
    api.command("/v1/referrals/{id}/escalations", EscalateReferral)
    api.command("/v1/referrals/{id}/clock-waivers", WaiveClock)
    api.command("/v1/agencies", RegisterAgency)
    _agencies(api, pool)
    api.document()


def _agencies(api: Api, pool: AsyncConnectionPool) -> None:
    async def agencies(request: Request) -> JSONResponse:
        actor = await api.actor(request)
        if not any(capacity.role in STAFF for capacity in actor.capacities):
            raise Problem(403, "not-allowed")
        asked = request.query_params
        try:
            on = date.fromisoformat(asked["on"])
        except (KeyError, ValueError):
            raise Problem(400, "bad-request", pointer="/on") from None
        if missing := next((name for name in ("role", "place") if not asked.get(name)), None):
            raise Problem(400, "bad-request", pointer=f"/{missing}")
        return JSONResponse({"agencies": await listed(pool, asked["role"].replace("\0", ""), asked["place"].replace("\0", ""), on)})

    api.app.get("/referrals/v1/agencies", summary="Who fills a role at a place on a day", response_model=None)(agencies)

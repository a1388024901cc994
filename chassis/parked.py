"""What a service could not digest, with the reason: a person must look. Retrying and discarding come with the recovery commands."""

from fastapi import Request
from fastapi.responses import JSONResponse
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from chassis.identity import may, roles
from chassis.problems import Problem, plain
from chassis.web import Api

_PARKED = (
    "SELECT topic, position, stream, headers ->> 'ce_type' AS type, reason, parked_at FROM parked"
    " ORDER BY parked_at, topic, position LIMIT 1000"
)


def parked_board(api: Api, pool: AsyncConnectionPool) -> None:
    """`GET /<service>/v1/parked`, for supervisors and operators; no personal field, for what is parked stays sealed."""

    async def parked(request: Request) -> JSONResponse:
        actor = await api.actor(request)
        if not may(actor, "parked", roles()["views"]):
            raise Problem(403, "not-allowed")
        async with pool.connection() as db:
            rows = await (await db.cursor(row_factory=dict_row).execute(_PARKED)).fetchall()
        return JSONResponse({"items": [plain(row) for row in rows]})

    api.app.get(f"/{api.service}/v1/parked", name="parked", summary="What could not be digested", response_model=None)(parked)

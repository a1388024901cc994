"""The directory of agencies, folded from the service's own log, and the links that open a hand-off without an account."""

from datetime import date
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from chassis.mapper import Recorded
from contracts.referrals import AgencyRegistered
from contracts.shapes import Addressee

_AT = "SELECT agency_id FROM agency WHERE role = %s AND place = %s AND valid_from_on <= %s ORDER BY valid_from_on DESC LIMIT 1"

_FROM = "SELECT agency_id FROM agency WHERE role = %s AND place = %s AND valid_from_on = %s"


async def registered(db: AsyncConnection[Any], event: Recorded) -> None:
    """Follow AgencyRegistered."""
    if isinstance(event.fact, AgencyRegistered):
        fact = event.fact
        await db.execute(
            "INSERT INTO agency VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (fact.agency_id, fact.role, fact.place, fact.valid_from_on, fact.label),
        )


async def agency_at(pool: AsyncConnectionPool, addressee: Addressee, on: date) -> UUID | None:
    """The body that fills this role and place on a day; None if nobody is registered."""
    async with pool.connection() as db:
        row = await (await db.execute(_AT, (addressee.role, addressee.place, on))).fetchone()
    return row[0] if row else None


async def registered_for(pool: AsyncConnectionPool, addressee: Addressee, on: date) -> UUID | None:
    """The agency that is registered for this role and place from exactly this day."""
    async with pool.connection() as db:
        row = await (await db.execute(_FROM, (addressee.role, addressee.place, on))).fetchone()
    return row[0] if row else None


async def listed(pool: AsyncConnectionPool, role: str, place: str, on: date) -> list[dict[str, Any]]:
    """Agencies for `GET /v1/agencies`: who fills the role at the place on that day."""
    async with pool.connection() as db:
        cursor = await db.execute(
            "SELECT agency_id, role, place, label, valid_from_on FROM agency"
            " WHERE role = %s AND place = %s AND valid_from_on <= %s ORDER BY valid_from_on DESC",
            (role, place, on),
        )
        names = ("agency_id", "role", "place", "label", "valid_from_on")
        return [dict(zip(names, map(str, row), strict=True)) for row in await cursor.fetchall()]

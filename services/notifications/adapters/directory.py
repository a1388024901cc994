"""Who can be reached how: a copy of referrals' directory, addresses sealed until a message leaves."""

from dataclasses import dataclass
from datetime import date
from typing import Any, LiteralString
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from chassis.keys import KeyStore
from chassis.mapper import FactMapper, Recorded, people_in
from contracts.referrals import AgencyRegistered, ReferralSent
from contracts.shapes import Addressee

_AT = (
    "SELECT agency_id, stream, version, type, state FROM agency WHERE role = %s AND place = %s AND valid_from_on <= %s"
    " ORDER BY valid_from_on DESC LIMIT 1"
)
_BY_ID = "SELECT agency_id, stream, version, type, state FROM agency WHERE agency_id = %s"


async def agency_heard(db: AsyncConnection[Any], event: Recorded) -> None:
    """Copy AgencyRegistered as heard; its bytes stay sealed."""
    fact = event.fact
    if isinstance(fact, AgencyRegistered):
        place = (fact.agency_id, fact.role, fact.place, fact.valid_from_on)
        await db.execute(
            "INSERT INTO agency VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (*place, event.stream, event.version, fact.TOPIC, event.state),
        )


async def referral_heard(db: AsyncConnection[Any], event: Recorded) -> None:
    """Remember where a hand-off began and which agency holds it."""
    if isinstance(event.fact, ReferralSent):
        values = (event.stream, event.position, event.fact.agency_id)
        await db.execute("INSERT INTO hand_off VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", values)


@dataclass(frozen=True)
class Directory:
    """Look-ups in the copy; addresses are opened here and nowhere kept."""

    pool: AsyncConnectionPool
    keys: KeyStore

    async def reach(self, recipient: Addressee, on: date) -> tuple[UUID | None, list[str]]:
        """Agency and channels (`email:1`, `email:2` …) of whoever fills this role and place on a day; (None, []) for nobody."""
        row = await self._row(_AT, recipient.role, recipient.place, on)
        if row is None:
            return None, []
        return row[0], list(await self._channels(row))

    async def address_of(self, agency_id: UUID, channel: str) -> str | None:
        """The address behind a channel; None if the agency was forgotten or has no such channel."""
        row = await self._row(_BY_ID, agency_id)
        return (await self._channels(row)).get(channel) if row else None

    async def hand_off(self, referral: UUID) -> tuple[int, UUID | None] | None:
        """First position and agency of a hand-off; None before it was heard."""
        row = await self._row("SELECT position, agency_id FROM hand_off WHERE stream = %s", referral)
        return (row[0], row[1]) if row else None

    async def _channels(self, row: tuple[Any, ...]) -> dict[str, str]:
        stored = StoredEvent(*row[1:])
        known = await self.keys.get(people_in(stored.state))
        fact = FactMapper(known.get).to_domain_event(stored).fact
        found: dict[str, str] = {}
        for contact in (fact.contacts or []) if isinstance(fact, AgencyRegistered) else []:
            number = 1 + sum(name.startswith(f"{contact.channel}:") for name in found)
            found[f"{contact.channel}:{number}"] = contact.address
        return found

    async def _row(self, query: LiteralString, *args: object) -> tuple[Any, ...] | None:
        async with self.pool.connection() as db:
            return await (await db.execute(query, args)).fetchone()

"""The key store: one AES-256 key a person, wrapped under a master key. Unreachable is never the same as missing."""

import asyncio
import os
import re
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

import structlog
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from opentelemetry import metrics
from psycopg import AsyncConnection, Error
from psycopg.errors import Diagnostic
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from chassis import wire
from chassis.batches import Asked, Batches
from chassis.failpoints import reach
from chassis.transient import StoreGone, pauses
from contracts.kernel import Refused

log_ = structlog.get_logger("hotline.keys")
lost_ = metrics.get_meter("hotline").create_counter(
    "hotline.keys.lost", description="persons asked for, for whom a box exists, whose key nobody knows: an alarm"
)
CACHED, SECONDS = 10_000, 30.0
SWEEPS = 8  # tries, together some two seconds
_NUMBER = re.compile(r"\d+")
MASTER = "1"  # name of the master key that wraps new keys
GONE = (Error, PoolTimeout, TooManyRequests, TimeoutError, OSError)
_CREATE = "SELECT person, wrapped FROM create_keys($1, $2, $3)"


class Destroyed(NamedTuple):
    """since: when the key was destroyed first. lived: whether it was there until now."""

    since: datetime
    lived: bool


class KeyStore:
    """get, create, behind a small cache that forgets within 30 seconds; destroy, for intake's worker alone."""

    def __init__(self, pool: AsyncConnectionPool, master: bytes) -> None:
        self._pool, self._master = pool, AESGCM(master)
        self._cache: OrderedDict[UUID, tuple[bytes | None, float]] = OrderedDict()
        self._making = wire.Wire(pool)
        self._makes: Batches[Mapping[UUID, bytes], dict[UUID, bytes | None]] = Batches("keys", self._make)

    async def get(self, persons: Iterable[UUID]) -> dict[UUID, bytes]:
        """The keys of persons for whom there are boxes; a destroyed or unknown one is absent, an unknown one is an alarm.

        Raises StoreGone if nobody answers.
        """
        found, asked = self._from_cache(persons)
        if asked:
            rows = await self._call("SELECT * FROM get_keys(%s)", asked)
            found |= self._keep(rows)
            if lost := len(asked) - len(rows):
                lost_.add(lost)
                log_.error("keys are lost", persons=lost)
        return {person: key for person, key in found.items() if key}

    async def knows(self, person: UUID) -> bool:
        """Was anything ever sealed for this person? Raises StoreGone if nobody answers."""
        return bool(await self._call("SELECT * FROM get_keys(%s)", [person]))

    async def create(self, persons: Iterable[UUID]) -> dict[UUID, bytes]:
        """A durable key for each person before the first event that uses it. Refuses `person-forgotten` for a destroyed one."""
        found, asked = self._from_cache(persons)
        if asked:
            found |= await self._makes.ask({person: self._wrap(person, AESGCM.generate_key(256)) for person in asked})
            reach("keys.after-create")
        keys = {person: key for person, key in found.items() if key}
        if len(keys) < len(found):
            raise Refused("person-forgotten")
        return keys

    async def destroy(self, person: UUID, decision: str, at: datetime) -> Destroyed:
        """No process gets this key, nor another one for this person, from now on; what others remember, they forget within 30 s.

        Repeatable: the first time stays. Python cannot wipe memory: the bytes of the key go when their place is used again.
        Raises StoreGone if the outcome is unknown.
        """
        ((since, lived),) = await self._call("SELECT * FROM destroy_key(%s, %s, %s)", person, decision, at)
        self.flush()
        return Destroyed(since, lived)

    async def sweep(self) -> None:
        """Rewrite the table, so that no destroyed key stays in its file. Its log and its backups still hold it until they expire.

        Raises StoreGone if somebody holds the table just now, as a backup does, or could still read what was destroyed, or nobody
        answers.
        """
        try:
            async with self._pool.connection() as db:
                for pause in islice(pauses(longest=0.5), SWEEPS):
                    if not await _dead_left(db):
                        return
                    await asyncio.sleep(pause)  # a transaction that began before the deed still sees the key; they are short
        except GONE as problem:
            raise StoreGone("the table of keys cannot be swept now") from problem
        raise StoreGone("somebody still sees destroyed keys")

    async def close(self) -> None:
        """Finish what is queued."""
        await self._makes.close()
        await self._making.close()

    async def _make(self, batch: Sequence[Asked[Mapping[UUID, bytes], dict[UUID, bytes | None]]]) -> None:
        wraps = {person: wrapped for asked in batch for person, wrapped in asked.what.items()}
        masters = wire.texts([MASTER] * len(wraps))
        try:
            rows = await self._making.call(_CREATE, wire.uuids(wraps), masters, wire.byteas(wraps.values()))
        except GONE as problem:
            raise StoreGone("the key store does not answer") from problem
        keys = self._keep([(UUID(bytes=person or b""), "", wrapped) for person, wrapped in rows])
        for asked in batch:
            asked.settle({person: keys[person] for person in asked.what})

    def flush(self) -> None:
        """Forget every cached key."""
        self._cache.clear()

    def _from_cache(self, persons: Iterable[UUID]) -> tuple[dict[UUID, bytes | None], list[UUID]]:
        found: dict[UUID, bytes | None] = {}
        asked: list[UUID] = []
        for person in dict.fromkeys(persons):
            key, until = self._cache.get(person, (None, 0.0))
            if until > time.monotonic():
                found[person] = key
            else:
                asked.append(person)
        return found, asked

    def _keep(self, rows: Sequence[tuple[UUID, str, bytes | None]]) -> dict[UUID, bytes | None]:
        keys = {person: self._unwrap(person, wrapped) if wrapped else None for person, _, wrapped in rows}
        until = time.monotonic() + SECONDS
        for person, key in keys.items():
            self._cache[person] = (key, until)
            self._cache.move_to_end(person)
        while len(self._cache) > CACHED:
            self._cache.popitem(last=False)
        return keys

    async def _call(self, query: LiteralString, *args: object) -> list[tuple[Any, ...]]:
        try:
            async with self._pool.connection() as db:
                return await (await db.execute(query, args)).fetchall()
        except GONE as problem:
            raise StoreGone("the key store does not answer") from problem

    def _wrap(self, person: UUID, key: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._master.encrypt(nonce, key, f"key|1|{person}".encode())

    def _unwrap(self, person: UUID, wrapped: bytes) -> bytes:
        return self._master.decrypt(wrapped[:12], wrapped[12:], f"key|1|{person}".encode())


async def _dead_left(db: AsyncConnection[Any]) -> int:
    """Rewrite the table of keys; how many destroyed ones are still in its file, for somebody's older transaction may read them."""
    said: list[str] = []

    def note(notice: Diagnostic) -> None:
        said.append(notice.message_detail or "")

    db.add_notice_handler(note)
    try:
        await db.execute("SET statement_timeout = 0")
        await db.execute("SET lock_timeout = '500ms'")  # for so long others wait behind us if somebody holds the table
        await db.execute("VACUUM (FULL, VERBOSE) person_key")  # a plain one frees places and promises nothing about their bytes
    finally:
        db.remove_notice_handler(note)
        await db.execute("RESET ALL")
    # "3 dead row versions cannot be removed yet", in whatever language the server speaks
    counted = [int(number[0]) for detail in said if (number := _NUMBER.search(detail))]
    if not counted:
        raise StoreGone("the server does not say what it left in the table of keys")
    return counted[0]

"""The first monitor of our own signatures: it grows the five trees from the topics alone and compares every checkpoint with them.

It shares neither rows nor memory with those who sign, so a signer that signed something else than what was told is found out.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import LiteralString

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from opentelemetry import metrics
from psycopg_pool import AsyncConnectionPool

from chassis import checkpoints
from chassis.clients import Watch, consuming
from chassis.kafka import topic_of
from chassis.ledger.entry import entry
from chassis.ledger.errors import LedgerError
from chassis.ledger.policy import Policy
from chassis.ledger.tree import root
from chassis.log import Row
from chassis.service import Loop
from chassis.settings import Settings
from chassis.signer import policy_at
from chassis.timing import Time
from chassis.view_rows import rows_in
from services.projections.audit.trees import Edge, Hash, edge_of, grow, over, size_of
from services.projections.views.history import LOGS

log_ = structlog.get_logger("hotline.monitor")
meter = metrics.get_meter("hotline")
grown_ = meter.create_gauge("hotline.audit.size", description="entries of a log in the tree of the monitor")
differs_ = meter.create_gauge("hotline.audit.differs", description="checkpoints whose root is not that of what was told: must be 0")
BATCH, FETCH, PATIENCE = 2000, 8 << 20, 10_000  # records, bytes, milliseconds
AT_END, COMPARE_EVERY = 0.5, 0.2  # seconds
_OPEN: LiteralString = """
    SELECT n.size, n.root FROM audit_note n JOIN audit_tree t USING (log)
    WHERE n.log = %s AND n.agrees IS NULL AND n.size <= t.size ORDER BY n.size DESC LIMIT 100"""
_SETTLED: LiteralString = "UPDATE audit_note SET agrees = %s WHERE log = %s AND size = %s AND root = %s AND agrees IS NULL"
_READ: LiteralString = "SELECT next_offset FROM audit_read WHERE policy = %s"
_READ_TO: LiteralString = (
    "INSERT INTO audit_read VALUES (%s, %s) ON CONFLICT (policy) DO UPDATE SET next_offset = excluded.next_offset"
)
_KEEP: LiteralString = "INSERT INTO audit_note (log, size, root, note) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"


@dataclass(frozen=True)
class Monitor:
    """Any number of monitors, zombies included, do no harm."""

    pool: AsyncConnectionPool
    settings: Settings
    time: Time
    _edges: dict[str, Edge] = field(default_factory=dict)

    def loops(self) -> dict[str, Loop]:
        """One loop a tree, one that keeps what is signed, one that compares."""
        follow = {f"tree of {log}": _of(self._grow, log) for log in LOGS}
        return follow | {"checkpoints": self._keep, "comparing": self._compare}

    # -- trees -----------------------------------------------------------------------------------------------------------------

    async def _grow(self, log: str, up: Callable[[], None]) -> None:
        """Until cancelled. Positions are dense, so the first record of position p stands at offset p − 1 or later."""
        topic = TopicPartition(topic_of(log), 0)
        patient = {"auto_offset_reset": "earliest", "request_timeout_ms": PATIENCE, "max_partition_fetch_bytes": FETCH}
        async with consuming(self.settings.kafka, **patient) as consumer:
            consumer.assign([topic])
            consumer.seek(topic, await self.take(log, []))
            watch, looked = Watch(consumer, topic), 0.0
            while True:
                records = (await consumer.getmany(topic, timeout_ms=100, max_records=BATCH)).get(topic, [])
                if records:  # where work never ends, it is no less at work
                    await self.take(log, rows_in(records))
                    up()
                elif time.monotonic() - looked > AT_END:
                    looked, asked_at = time.monotonic(), self.time.now()
                    if await watch.at_end():  # raises if the broker is gone: getmany would keep silent
                        async with self.pool.connection() as db:
                            await db.execute("UPDATE audit_tree SET at_end = %s WHERE log = %s", (asked_at, log))
                    up()

    async def take(self, log: str, rows: Sequence[Row]) -> int:
        """Add exactly the next positions, whatever else was read; answers how many entries the tree has."""
        async with self.pool.connection() as db, db.transaction():
            size = await size_of(db, log)
            edge = self._edges.pop(log, None)  # until it is committed, nothing is known
            if edge is None or edge.size != size:
                edge = await edge_of(db, log, size)
            added = self._added(log, edge, rows)
            if added:
                await grow(db, log, added, edge.size)
        self._edges[log] = edge
        grown_.set(edge.size, {"log": log})
        return edge.size

    def _added(self, log: str, edge: Edge, rows: Sequence[Row]) -> list[Hash]:
        added: list[Hash] = []
        for row in rows:
            if row.position == edge.size + 1:
                try:
                    raw = entry(
                        self.settings.origin(log), row.position, row.recorded_at, row.stream, row.version, row.type, row.state
                    )
                except ValueError:
                    log_.exception("a record that can be no row of ours was passed over", source=log, position=row.position)
                    continue
                added += edge.add(raw)
        return added

    # -- checkpoints -------------------------------------------------------------------------------------------------------------

    async def _keep(self, up: Callable[[], None]) -> None:
        """Keep every checkpoint that is told, for ever; what the policy does not accept is named and passed over."""
        policy, topic = policy_in(self.settings.ledger_policy_file), checkpoints.TOPIC
        async with consuming(self.settings.kafka, auto_offset_reset="earliest", request_timeout_ms=PATIENCE) as consumer:
            consumer.assign([topic])
            begin, end = await consumer.beginning_offsets([topic]), await consumer.end_offsets([topic])
            read = await self.read_to(policy)
            consumer.seek(topic, read if begin[topic] <= read <= end[topic] else begin[topic])  # else it is another topic
            watch, looked = Watch(consumer, topic), 0.0
            while True:
                if records := (await consumer.getmany(topic, timeout_ms=100)).get(topic, []):
                    await self.keep(policy, records)
                if time.monotonic() - looked > AT_END:
                    looked = time.monotonic()
                    await watch.at_end()
                    up()

    async def read_to(self, policy: Policy) -> int:
        """The offset behind the last record that was judged by this policy; 0 for a new one."""
        async with self.pool.connection() as db:
            row = await (await db.execute(_READ, (_name(policy),))).fetchone()
        return row[0] if row else 0

    async def keep(self, policy: Policy, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        """Keep the notes among these records, and how far was read, in one transaction. Raises only what is transient."""
        accepted = [row for record in records for row in self._accepted(policy, record)]
        async with self.pool.connection() as db, db.transaction(), db.cursor() as cursor:
            await cursor.executemany(_KEEP, accepted)
            await cursor.execute(_READ_TO, (_name(policy), records[-1].offset + 1))

    def _accepted(self, policy: Policy, record: ConsumerRecord[bytes, bytes]) -> Iterator[tuple[str, int, bytes, str]]:
        log = (record.key or b"").decode("ascii", "replace")
        if log not in LOGS or not record.value:
            return
        try:
            note = policy.opened(record.value, self.settings.origin(log)).checkpoint
            yield log, note.size, note.root, record.value.decode()
        except LedgerError as problem:
            log_.warning("a checkpoint that the policy does not accept", source=log, offset=record.offset, because=problem.reason)

    async def _compare(self, up: Callable[[], None]) -> None:
        while True:
            for log in LOGS:
                await self.compare(log)
            up()
            await asyncio.sleep(COMPARE_EVERY)

    async def compare(self, log: str) -> None:
        """Settle each checkpoint of a log that the tree has reached."""
        async with self.pool.connection() as db:
            for size, signed in await (await db.execute(_OPEN, (log,))).fetchall():
                agrees = bytes(signed) == await over(db, log, size, lambda read, size=size: root(read, size))
                await db.execute(_SETTLED, (agrees, log, size, signed))
                if not agrees:
                    log_.critical("a checkpoint was signed over something else than what was told", source=log, size=size)
            ((wrong,),) = await (
                await db.execute("SELECT count(*) FROM audit_note WHERE log = %s AND NOT agrees", (log,))
            ).fetchall()
        differs_.set(wrong, {"log": log})


def _name(policy: Policy) -> str:
    return " ".join(each.digest for each in policy.epochs)


def policy_in(file: Path | None) -> Policy:
    """Raises SystemExit that says what is missing or wrong."""
    if file is None:
        raise SystemExit("checkpoints are judged by a policy: set H111_LEDGER_POLICY_FILE")
    return policy_at(file)


def _of(follow: Callable[[str, Callable[[], None]], Awaitable[None]], log: str) -> Loop:
    return lambda up: follow(log, up)

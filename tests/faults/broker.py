"""Faults of the broker and its topics: killed, out of reach, emptied, ahead of the log, repeated, read again, written by strangers."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from chassis.kafka import topic_of
from deploy.local.stack import SERVICES
from services.cases.bootstrap import HEARS
from tests.faults.chaos import Chaos, fault
from tests.faults.kills import freeze
from tests.line import eventually

PARTITIONS = [TopicPartition(topic_of(service), 0) for service in SERVICES]


@fault("Kafka killed", "SIGKILL for the broker under load, then it is started again", "commands succeed meanwhile; no restart")
def kafka_killed(chaos: Chaos) -> None:
    for _ in chaos.times(1, 10):
        with chaos.strike():
            chaos.stack.kafka.kill()
            chaos.stack.kafka.start()
        chaos.desks.tell(1)


@fault(
    "Kafka out of reach",
    "the broker is stopped in the middle (SIGSTOP): connections stay open and nobody answers; five minutes in the full form",
    "commands succeed meanwhile, the workers say so in /readyz, the backlog drains afterwards",
)
def unreachable(chaos: Chaos) -> None:
    with chaos.strike():
        before = chaos.line.heads()["intake"]
        freeze(chaos.stack.kafka.process.pid, chaos.seconds(20, 300))
        chaos.expect(chaos.line.heads()["intake"] > before, "nothing was recorded while Kafka was out of reach")


@fault(
    "topics emptied",
    "every record of every topic is deleted while the line works",
    "each relay tells its log again from position 1; consumers drop what they have heard",
)
def emptied(chaos: Chaos) -> None:
    for _ in chaos.times(1, 5):
        with chaos.strike():
            asyncio.run(_with_admin(chaos, lambda admin: admin.delete_records(dict.fromkeys(PARTITIONS, _ALL))))
            for service in SERVICES:  # a relay that has nothing to tell does not look; its successor does
                chaos.stack.process(service, "worker").kill9()


_ALL = RecordsToDelete(before_offset=-1)


@fault(
    "every record three times",
    "every record of every topic is written there twice more, byte for byte",
    "whoever takes the next or nothing acts once",
)
def three_times(chaos: Chaos) -> None:
    for _ in chaos.times(1, 3):
        with chaos.strike():
            asyncio.run(_twice_more(chaos))


@fault(
    "offsets set back to the beginning",
    "the workers of cases are away, the offsets of what they hear are set to 0, and they come back",
    "everything is delivered again, and nothing happens twice",
)
def offsets_reset(chaos: Chaos) -> None:
    worker = chaos.stack.process("cases", "worker")
    for _ in chaos.times(1, 5):
        with chaos.strike():
            worker.stop()
            try:
                asyncio.run(_to_the_beginning(chaos))
            finally:
                worker.start()


@fault(
    "a stranger in every topic",
    "records without our headers, with some of them, with all of them and no meaning",
    "passed over, named in the log, and nothing is parked",
)
def stranger(chaos: Chaos) -> None:
    with chaos.strike():
        asyncio.run(_strangers(chaos))
    chaos.expect(not _parked(chaos), "something was parked")


@fault(
    "a topic ahead of its log",
    "the database of referrals is put back to an older state, as from a backup, while its topic knows more",
    "the relay refuses, names the first missing position, and works again once the newer database is back",
)
def ahead(chaos: Chaos) -> None:
    log = chaos.stack.home / "logs" / "referrals-worker.log"
    with chaos.strike():
        chaos.desks.pause()  # nobody may append to the older log: what is answered there would be lost with it
        chaos.line.rest()
        api, worker = (chaos.stack.process("referrals", role) for role in ("api", "worker"))
        for process in (api, worker):
            process.stop()
        missing, said = chaos.line.heads()["referrals"], log.stat().st_size
        with _older(chaos, missing):
            worker.start()
            refused = (
                f"first missing: {missing}",
                f"at {missing} the topic tells something else",
            )  # if a clock ran out before it looked
            eventually(lambda: any(why in log.read_text(encoding="utf-8", errors="replace")[said:] for why in refused), 60)
            worker.stop()
        for process in (api, worker):
            process.start()
    chaos.desks.go_on()


@contextmanager
def _older(chaos: Chaos, missing: int) -> Iterator[None]:
    """The database as it was before its last events; the newer one is put back afterwards."""
    postgres = chaos.stack.postgres
    chaos.line.close("referrals")
    with psycopg.connect(postgres.uri("postgres"), autocommit=True) as db:
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'referrals%'"
        db.execute(cut)
        db.execute("ALTER DATABASE referrals RENAME TO referrals_newer")
        db.execute("CREATE DATABASE referrals TEMPLATE referrals_newer OWNER referrals_owner")
        db.execute("GRANT CONNECT ON DATABASE referrals TO referrals_api, referrals_worker")
    with psycopg.connect(postgres.uri("referrals")) as older:
        older.execute("ALTER TABLE event DISABLE TRIGGER USER")
        older.execute("DELETE FROM event WHERE position >= %s", (missing,))
        older.execute("UPDATE head SET position = %s", (missing - 1,))
    try:
        yield
    finally:
        with psycopg.connect(postgres.uri("postgres"), autocommit=True) as db:
            db.execute(cut)
            db.execute("DROP DATABASE referrals WITH (FORCE)")
            db.execute("ALTER DATABASE referrals_newer RENAME TO referrals")


def _parked(chaos: Chaos) -> list[Any]:
    return [row for service in SERVICES for row in chaos.line.rows(service, "SELECT position FROM parked")]


async def _with_admin(chaos: Chaos, work: Callable[[AIOKafkaAdminClient], Awaitable[Any]]) -> Any:
    admin = AIOKafkaAdminClient(bootstrap_servers=chaos.stack.kafka.bootstrap)
    await admin.start()
    try:
        return await work(admin)
    finally:
        await admin.close()


async def _twice_more(chaos: Chaos) -> None:
    """Everything that is in the topics, each record twice in a row."""
    kafka = chaos.stack.kafka.bootstrap
    async with (
        AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=5) as producer,
        AIOKafkaConsumer(bootstrap_servers=kafka) as reader,
    ):
        reader.assign(PARTITIONS)
        ends = await reader.end_offsets(PARTITIONS)
        await reader.seek_to_beginning(*PARTITIONS)
        while any([await reader.position(partition) < end for partition, end in ends.items()]):
            for partition, records in (await reader.getmany(timeout_ms=200)).items():
                for record in records:
                    if record.offset < ends[partition]:
                        headers = list(record.headers)
                        for _ in range(2):
                            await producer.send(partition.topic, record.value, key=record.key, partition=0, headers=headers)
        await producer.flush()


async def _to_the_beginning(chaos: Chaos) -> None:
    """As `kafka-consumer-groups --reset-offsets --to-earliest` does it: a member of the group commits 0."""
    for source in HEARS:
        name = f"cases.{source}"
        consumer = AIOKafkaConsumer(
            topic_of(source),
            bootstrap_servers=chaos.stack.kafka.bootstrap,
            group_id=name,
            group_instance_id=f"{name}-0",
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            until = time.monotonic() + 30
            while not consumer.assignment() and time.monotonic() < until:
                await consumer.getmany(timeout_ms=100)
            await consumer.commit({TopicPartition(topic_of(source), 0): 0})
        finally:
            await consumer.stop()


async def _strangers(chaos: Chaos) -> None:
    sets: list[list[tuple[str, bytes]]] = [
        [],
        [("ce_id", b"seven")],
        [("ce_id", b"7"), ("ce_type", b"x")],
        [("ce_id", b"1"), ("ce_type", b"cases.CaseOpened"), ("ce_subject", b"nobody"), ("version", b"1"), ("ce_time", b"now")],
    ]
    async with AIOKafkaProducer(bootstrap_servers=chaos.stack.kafka.bootstrap) as producer:
        for partition in PARTITIONS:
            for headers in sets:
                await producer.send_and_wait(partition.topic, os.urandom(40), partition=0, headers=headers)
                chaos.repetitions += 1

"""Taking a snapshot: everything that is written, at one instant at which nothing moves."""

import asyncio
from collections.abc import Iterable, Mapping
from email.parser import BytesHeaderParser
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from eventsourcing.persistence import StoredEvent
from psycopg_pool import AsyncConnectionPool

from chassis.kafka import row_of, topic_of
from chassis.keys import KeyStore
from chassis.mapper import FactMapper, Recorded, people_in
from chassis.problems import plain
from chassis.settings import key_from
from contracts.rules import rules_named
from deploy.local.stack import SERVICES, Stack
from tests.faults import canary, twin
from tests.faults.snapshot import Attempt, Snapshot


def take(line: Any, *words: str) -> Snapshot:
    """Of a `tests.line.Line`, once it is at rest. Clocks go on running out by themselves, so time is held meanwhile; where something
    moved nevertheless, it is taken again. words: of persons, looked for in every file and table."""
    while True:
        at = line.rest()
        with line.held():
            before = line.heads()
            written = _written(line)
            if before == line.heads() and not line.moving():
                break
    logs = written["logs"]
    folded = dict(twin.folded(line.stack, before, written["parked"]))
    folded["notifications", "outgoing"] = twin.owed(logs["notifications"], at, rules_named(line.stack.rules))
    attempts = list(line.attempts)
    return Snapshot(
        at=at,
        **written,
        content=asyncio.run(_opened(line.stack, logs, attempts)),
        folded=folded,
        mailed=_mailed(line.stack),
        attempts=attempts,
        looked=list(line.looked),
        leaks=[hit for word in words for hit in canary.leaks(line, word)],
    )


def _written(line: Any) -> dict[str, Any]:
    """What the databases and the broker hold."""
    kept = {(service, name): rows for service in SERVICES for name, rows in twin.rows_of(line.stack, service, service).items()}
    kept["notifications", "outgoing"] = {str(stream) for (stream,) in line.rows("notifications", "SELECT stream FROM outgoing")}
    return {
        "logs": {log: list(line.log(log)) for log in SERVICES},
        "commands": {
            log: {id_: range(first, last + 1) for id_, first, last in line.rows(log, "SELECT id, first, last FROM command")}
            for log in SERVICES
        },
        "parked": {
            (service, topic.split(".")[1], position)
            for service in SERVICES
            for topic, position in line.rows(service, "SELECT topic, position FROM parked")
        },
        "topics": asyncio.run(_records(line.stack.kafka.bootstrap)),
        "heard": line.heard(),
        "kept": kept,
    }


def _mailed(stack: Stack) -> set[str]:
    """The Message-ID of every mail in every mailbox."""
    headers = BytesHeaderParser()
    return {headers.parsebytes(file.read_bytes())["Message-ID"] for file in stack.smtp.folder.glob("*/*.eml")}


async def _opened(
    stack: Stack, logs: Mapping[str, list[Recorded]], attempts: Iterable[Attempt]
) -> dict[tuple[str, int], dict[str, Any]]:
    """The facts that were answered, as JSON with their sealed fields; without those about a person who was forgotten."""
    places = {(told.log, told.position) for attempt in attempts for told in attempt.told}
    facts = [logs[log][position - 1] for log, position in places if position <= len(logs[log])]
    persons = {person for event in facts for person in people_in(event.state)}
    master = key_from(stack.home / "secrets" / "master-key")
    async with AsyncConnectionPool(stack.postgres.uri("keys"), min_size=1, open=False, kwargs={"autocommit": True}) as pool:
        keys = await KeyStore(pool, master).get(persons) if persons else {}
    mapper, found = FactMapper(keys.get), {}
    for event in facts:
        if keys.keys() >= set(people_in(event.state)):
            row = StoredEvent(event.stream, event.version, event.fact.TOPIC, event.state)
            found[event.log, event.position] = plain(mapper.to_domain_event(row).fact)
    return found


async def _records(bootstrap: str) -> dict[str, list[tuple[int, bytes]]]:
    """Every record of every topic that a relay wrote, in order: its position and its value."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        partitions = {TopicPartition(topic_of(log), 0): log for log in SERVICES}
        consumer.assign(list(partitions))
        ends = await consumer.end_offsets(list(partitions))
        for partition, offset in (await consumer.beginning_offsets(list(partitions))).items():
            consumer.seek(partition, offset)
        found: dict[str, list[tuple[int, bytes]]] = {log: [] for log in SERVICES}
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    row = row_of({name: value.decode("utf-8", "replace") for name, value in record.headers}, record.value)
                    found[partitions[partition]] += [(row.position, row.state)] if row else []
        return found
    finally:
        await consumer.stop()

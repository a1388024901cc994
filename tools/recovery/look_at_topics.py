"""Is each topic kept for ever in one partition, does it begin at position 1, and does it tell its log to the letter?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from chassis import checkpoints
from chassis.kafka import topic_of
from chassis.relay import Told
from tools.recovery.findings import Finding
from tools.recovery.running import PATIENCE, Running
from tools.recovery.topics import rows_of

FOR_EVER = {"cleanup.policy": "delete", "retention.ms": "-1"}
BATCH = 1000


async def look_at_settings(stack: Running, logs: list[str]) -> AsyncIterator[Finding]:
    """Raises KafkaError."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka, request_timeout_ms=1000 * PATIENCE)
    await admin.start()
    try:
        there = {each["topic"]: len(each["partitions"]) for each in await admin.describe_topics()}
        if checkpoints.TOPIC.topic not in there:
            yield Finding(
                "kafka", "the topic of checkpoints is not there", "create it as deploy/local/stack.py does", "topic-damaged"
            )
        for log in logs:
            name = topic_of(log)
            if name not in there:
                yield Finding(log, "its topic is not there", "create it as deploy/local/stack.py does", "topic-damaged")
                continue
            if there[name] != 1:
                do = "positions are dense in one partition only: make it anew with one, and the relay fills it"
                yield Finding(log, f"its topic has {there[name]} partitions", do, "settings-changed")
            asked = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
            settings = _settings(asked)
            for setting, wanted in FOR_EVER.items():
                if settings.get(setting) != wanted:
                    wrong = f"its topic has {setting}={settings.get(setting)}, so records will vanish"
                    yield Finding(log, wrong, f"set {setting}={wanted}, then hotline republish {log}", "settings-changed")
    finally:
        await admin.close()


def _settings(answers: Any) -> dict[str, str]:
    return {entry[0]: entry[1] for answer in answers for resource in answer.resources for entry in resource[4]}


def look_at_told(log: str, head: int, told: Told) -> list[Finding]:
    """A topic behind its log is judged later: the relay may be at work."""
    if told.last > head:
        wrong = (
            f"the topic is at {told.last} but the log at {head}: the log was restored from an old backup, or rewritten, or"
            " somebody else writes into its topic"
        )
        return [Finding(log, wrong, f"stop it, then hotline recover {log}: its topic has {head + 1} and later", "log-behind-topic")]
    if told.first > 1:
        wrong = f"the topic begins at position {told.first}"
        return [Finding(log, wrong, f"hotline republish {log}", "topic-damaged")]
    return []


async def look_deep(stack: Running, log: str, head: int) -> list[Finding]:
    """Read the topic from the beginning beside the log, next or nothing. Raises KafkaError, psycopg.Error."""
    expected, rows = 1, dict[int, bytes]()
    async with aclosing(rows_of(stack, log)) as records:
        async for row in records:
            if row.position != expected:
                continue
            if expected not in rows:
                rows = await asyncio.to_thread(_states, stack, log, expected)
            if rows.get(expected, row.state) != row.state:
                wrong = f"the topic tells other bytes at position {expected} than the log"
                do = "find out which was changed before anything is overwritten; a stranger's record is mended by republish"
                return [Finding(log, wrong, do, "topic-damaged")]
            expected += 1
    if expected <= head:
        wrong = f"the topic lacks position {expected}, of {head}"
        return [Finding(log, wrong, f"hotline republish {log}", "topic-damaged")]
    return []


def _states(stack: Running, log: str, position: int) -> dict[int, bytes]:
    query = "SELECT position, state FROM event WHERE position >= %s ORDER BY position LIMIT %s"
    return {row["position"]: bytes(row["state"]) for row in stack.rows(log, query, position, BATCH)}

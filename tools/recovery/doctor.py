"""`hotline doctor`: look at every part and every place, and say in plain sentences what is wrong and what to do.

A part that is down is a finding, never a traceback, and whatever depends on it is left out.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any

import psycopg
from aiokafka.errors import KafkaError

from chassis.relay import Told
from deploy.local.stack import SERVICES
from tools.recovery.findings import Finding
from tools.recovery.look_at_databases import (
    Measured,
    look_at_checkpoint,
    look_at_grants,
    look_at_keys,
    look_at_log,
    look_at_monitor,
    look_at_server,
    measured,
)
from tools.recovery.look_at_parts import look_at_parts
from tools.recovery.look_at_topics import look_at_settings, look_at_told, look_deep
from tools.recovery.running import Running
from tools.recovery.topics import told

LOOK_EVERY = 0.3  # seconds
NO_DATABASE = (psycopg.Error, OSError)
NO_BROKER = (KafkaError, OSError, TimeoutError)


@dataclass
class Report:
    """findings: what is wrong. logs: what each database says. topics: what each topic tells; both only of what answered."""

    findings: list[Finding] = field(default_factory=list)
    logs: dict[str, Measured] = field(default_factory=dict)
    topics: dict[str, Told] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """For `--json`."""
        logs = {name: asdict(of) | {"recorded_at": of.recorded_at and of.recorded_at.isoformat()} for name, of in self.logs.items()}
        topics = {log: {name: getattr(of, name) for name in ("begin", "end", "first", "last")} for log, of in self.topics.items()}
        return {"healthy": not self.findings, "findings": [asdict(each) for each in self.findings], "logs": logs, "topics": topics}

    def page(self) -> str:
        """For a terminal."""
        lines = [_line(name, of, self) for name, of in self.logs.items()]
        return "\n".join([*lines, "", *map(str, self.findings)] if self.findings else [*lines, "", "✓ nothing is wrong"])


def _line(name: str, of: Measured, report: Report) -> str:
    topic = report.topics.get(name)
    tells = f"topic {topic.first}–{topic.last} in {topic.end - topic.begin} records" if topic else "topic unknown"
    heard = ", ".join(f"{log} {position}" for log, position in sorted(of.heard.items()))
    own = ", ".join(f"{follower} {position}" for follower, position in sorted(of.own.items()))
    parked = sum(of.parked.values())
    return f"{name:14} head {of.head} · {tells} · heard {heard or 'nothing'} · own log: {own or 'nothing'} · parked {parked}"


def examine(stack: Running, deep: bool, patience: float) -> Report:
    """Look at everything; what lags is given so many seconds to catch up."""
    report = Report()
    report.findings += look_at_parts(stack)
    if _tried(report, "postgresql", NO_DATABASE, lambda: look_at_server(stack)):
        _tried(report, "keys", NO_DATABASE, lambda: look_at_keys(stack))
        _tried(report, "projections", NO_DATABASE, lambda: look_at_monitor(stack))
        for service in SERVICES:
            _tried(report, service, NO_DATABASE, lambda service=service: _database(report, stack, service, deep))
    asyncio.run(_topics(report, stack, deep))
    report.findings += _lag(report, stack, patience)
    return report


def _tried(report: Report, part: str, gone: tuple[type[Exception], ...], look: Callable[[], Iterable[Finding]]) -> bool:
    try:
        report.findings += look()
    except gone as problem:
        report.findings.append(_down(part, problem))
        return False
    return True


def _down(part: str, problem: Exception) -> Finding:
    what = "the broker" if isinstance(problem, KafkaError | TimeoutError) else "the database"
    return Finding(
        part, f"{what} does not answer ({type(problem).__name__})", "start it; nothing else needs a restart", "part-down"
    )


def _database(report: Report, stack: Running, service: str, deep: bool) -> Iterator[Finding]:
    report.logs[service] = found = measured(stack, service)
    yield from look_at_log(stack, service, found, deep)
    yield from look_at_grants(stack, service)


async def _topics(report: Report, stack: Running, deep: bool) -> None:
    try:
        report.findings += [finding async for finding in look_at_settings(stack, list(SERVICES))]
        report.findings += [finding async for finding in _told(report, stack, deep)]
    except NO_BROKER as problem:
        report.findings.append(_down("kafka", problem))


async def _told(report: Report, stack: Running, deep: bool) -> AsyncIterator[Finding]:
    for log in SERVICES:
        report.topics[log] = tells = await told(stack, log)
        if log not in report.logs:
            continue
        head = report.logs[log].head
        try:
            head = max(head, (await asyncio.to_thread(measured, stack, log)).head)  # it may have grown before its topic was read
            found = look_at_told(log, head, tells)
            if deep and not found:
                found = await look_deep(stack, log, report.logs[log].head)
        except NO_DATABASE:
            continue
        for finding in found:
            yield finding


# -- who lags --------------------------------------------------------------------------------------------------------------------


def _lag(report: Report, stack: Running, patience: float) -> Iterator[Finding]:
    """Whoever has not come, within so many seconds, to where the logs were when we looked."""
    heads = {log: of.head for log, of in report.logs.items()}
    deadline = time.monotonic() + patience
    while lagging := list(_lagging(report, heads)):
        if time.monotonic() > deadline:
            break
        time.sleep(LOOK_EVERY)
        try:
            report.logs |= {service: measured(stack, service) for service in report.logs}
            report.topics |= asyncio.run(_all_told(stack, report.topics))
        except (*NO_DATABASE, *NO_BROKER):
            break
    return iter(lagging)


async def _all_told(stack: Running, logs: Iterable[str]) -> dict[str, Told]:
    return {log: await told(stack, log) for log in logs}


def _lagging(report: Report, heads: dict[str, int]) -> Iterator[Finding]:
    for service, of in report.logs.items():
        do = f"is {service}.worker ready? its log says what it waits for"
        for log in sorted({*import_module(f"services.{service}.bootstrap").HEARS, *of.heard}):
            at = of.heard.get(log, 0)
            if at < heads.get(log, 0):
                yield Finding(service, f"it has heard {log} to {at} of {heads[log]}", do, "worker-keeps-ending")
            if at > heads.get(log, at):
                wrong = f"it has heard {log} to {at}, but that log is at {heads[log]}"
                yield Finding(service, wrong, f"the log of {log} was restored from an old backup", "log-behind-topic")
        for follower, at in of.own.items():
            if at < heads[service]:
                yield Finding(service, f"`{follower}` follows its own log to {at} of {heads[service]}", do, "worker-keeps-ending")
        if service in report.topics:
            last = report.topics[service].last
            if last < heads[service]:
                yield Finding(service, f"its topic tells {last} of {heads[service]} facts", do, "worker-keeps-ending")
            yield from look_at_checkpoint(service, of, last)

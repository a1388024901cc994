"""What the logs tell while a story is played: every topic from position 1, clocks folded, and whether all is at rest."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from contracts.references import reference
from tools.play.values import Missing, same, select
from tools.play.world import Late, until

LOGS = ("intake", "cases", "referrals", "notifications", "projections")
LETTERS = {"intake": "R", "cases": "C", "referrals": "H"}
CLOCK_ENDS = {"ClockMet": "met", "ClockBreached": "breached", "ClockWaived": "waived"}
OUTCOMES = {"MessageSent", "MessageDelivered", "MessageFailed", "MessageUndeliverable", "MessageCancelled"}
STILL = 4  # looks in a row at which everything rests


@dataclass(frozen=True, slots=True)
class Heard:
    """One record of a topic. fact and meta as they stand in it; sealed parts stay sealed."""

    log: str
    position: int
    stream: str
    version: int
    type: str
    recorded_at: datetime
    meta: Mapping[str, str]
    fact: Mapping[str, Any]
    value: bytes

    @property
    def name(self) -> str:
        """The fact's type without its log."""
        return self.type.partition(".")[2]

    @property
    def at(self) -> str:
        return f"{self.log}:{self.position}"

    def shown(self) -> dict[str, Any]:
        """As a story's paths see it: the fact's fields, the envelope beside them."""
        envelope = {"type": self.type, "stream": self.stream, "version": self.version, "position": self.at, "log": self.log}
        if self.version == 1 and self.log in LETTERS:
            envelope["reference"] = reference(LETTERS[self.log], self.position)
        return {**self.fact, "envelope": {**self.meta, **envelope, "recorded_at": self.recorded_at.isoformat()}}


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock as the facts tell it. state: running, met, breached, waived (of the last thing that happened to it)."""

    due_at: datetime
    rule: str
    state: str = "running"


@dataclass
class Ears:
    """A consumer of all topics. Acts on exactly the next position; a repeat is passed over, a gap is remembered."""

    kafka: str
    told: dict[str, list[Heard]] = field(default_factory=dict)
    clocks: dict[tuple[str, str], Clock] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)
    old: frozenset[str] = frozenset()
    """Correlations from before the play began."""
    on_fact: Callable[[Heard], None] | None = None
    start_at: dict[str, int] = field(default_factory=dict)
    _waiting: dict[tuple[str, int], datetime] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        self.told = {log: [] for log in LOGS}
        self._topics = {TopicPartition(f"hotline.{log}.events.v1", 0): log for log in LOGS}
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka)
        self._asking = AIOKafkaConsumer(bootstrap_servers=self.kafka)  # questions are not kept waiting behind a long fetch
        self._admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        for connection in (self._consumer, self._asking, self._admin):
            await connection.start()
        self._consumer.assign(list(self._topics))
        await self._consumer.seek_to_beginning(*self._topics)
        self._listening = asyncio.create_task(self._listen())
        await self.until("the end of the topics", self._at_end, 60)
        self.old = frozenset(heard.meta.get("correlation", "") for log in LOGS for heard in self.told[log])
        self.start_at = self.positions()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listening.cancel()
        await self._consumer.stop()
        await self._asking.stop()
        await self._admin.close()

    async def _listen(self) -> None:
        while True:
            for topic, records in (await self._consumer.getmany(timeout_ms=100)).items():
                for record in records:
                    self._hear(self._topics[topic], record)

    def _hear(self, log: str, record: Any) -> None:
        heard = read(log, record)
        last = len(self.told[log])
        if heard.position > last + 1:
            self.gaps.append(f"{heard.at} came when {last + 1} was due")
        if heard.position != last + 1:
            return
        self.told[log].append(heard)
        self._fold(heard)
        if self.on_fact and self.is_mine(heard):
            self.on_fact(heard)

    def _fold(self, heard: Heard) -> None:
        match heard.name:
            case "ClockStarted":
                due_at = datetime.fromisoformat(heard.fact["due_at"])
                self.clocks[heard.stream, heard.fact["clock"]] = Clock(due_at, heard.fact["rule"])
            case "ClockRecomputed":
                clock = self.clocks[heard.stream, heard.fact["clock"]]
                due_at = datetime.fromisoformat(heard.fact["due_at"])
                self.clocks[heard.stream, heard.fact["clock"]] = replace(clock, due_at=due_at)
            case name if name in CLOCK_ENDS:
                clock = self.clocks[heard.stream, heard.fact["clock"]]
                self.clocks[heard.stream, heard.fact["clock"]] = replace(clock, state=CLOCK_ENDS[name])
            case "MessageQueued":
                self._waiting[heard.stream, heard.fact["number"]] = heard.recorded_at
            case name if name in OUTCOMES:
                self._waiting.pop((heard.stream, heard.fact["number"]), None)

    # -- asking ----------------------------------------------------------------------------------------------------------------

    def is_mine(self, heard: Heard) -> bool:
        """Whether it belongs to what began with this play."""
        return heard.meta.get("correlation", "") not in self.old

    def positions(self) -> dict[str, int]:
        """The last position heard of each log."""
        return {log: len(facts) for log, facts in self.told.items()}

    def since(self) -> Iterator[Heard]:
        """Everything of this play, log by log."""
        for log, facts in self.told.items():
            yield from filter(self.is_mine, facts[self.start_at.get(log, 0) :])

    def matching(self, fact: str, stream: str | None, where: Mapping[str, Any]) -> list[Heard]:
        """Facts of this play of a type (`cases.ClockBreached`), on a stream, whose paths have these values."""
        return [
            heard for heard in self.since() if heard.type == fact and stream in (None, heard.stream) and _fits(heard.shown(), where)
        ]

    def due_between(self, after: datetime, last: datetime) -> list[datetime]:
        """Due times of this play's running clocks, in order."""
        mine = {heard.stream for heard in self.since()}
        return sorted(
            {
                c.due_at
                for (stream, _), c in self.clocks.items()
                if c.state == "running" and after < c.due_at <= last and stream in mine
            }
        )

    # -- waiting ---------------------------------------------------------------------------------------------------------------

    async def until(self, what: str, ready: Callable[[], Awaitable[bool]], within: float) -> None:
        """As `world.until`; what the listener stumbled over is raised here instead of being waited for."""

        async def ready_or_broken() -> bool:
            if self._listening.done():
                self._listening.result()
            return await ready()

        await until(what, ready_or_broken, within, every=0.05)

    async def reached(self, log: str, position: int, within: float) -> bool:
        """Whether a position was told within so many seconds."""

        async def there() -> bool:
            return len(self.told[log]) >= position

        try:
            await self.until(f"{log}:{position}", there, within)
        except Late:
            return False
        return True

    async def rest(self, now: Callable[[], datetime], within: float) -> None:
        """Wait until everything that was told has been heard by every service, no clock is overdue, and no first mail is owed.

        Raises Late that says what is still moving.
        """
        still, moving = 0, ""

        async def quiet() -> bool:
            nonlocal still, moving
            moving = await self._moving(now())
            still = 0 if moving else still + 1
            return still >= STILL

        try:
            await self.until("rest", quiet, within)
        except Late:
            raise Late(f"not at rest within {within:g} s: {moving}") from None

    async def _moving(self, now: datetime) -> str:
        if not await self._at_end():
            return "topics are not read to their end"
        overdue = [f"{name} of {stream}" for (stream, name), c in self.clocks.items() if c.state == "running" and c.due_at <= now]
        if overdue:
            return f"overdue and not breached: {', '.join(sorted(overdue))}"
        if self._waiting:
            return f"{len(self._waiting)} message(s) without a first attempt"
        lags = await self._lags()
        return ", ".join(f"{group} is {lag} behind" for group, lag in sorted(lags.items()))

    async def _at_end(self) -> bool:
        ends = await self._asking.end_offsets(list(self._topics))
        return all([await self._consumer.position(topic) >= end for topic, end in ends.items()])

    async def _lags(self) -> dict[str, int]:
        """Consumer group → records it has not acknowledged; groups are called `<service>.<log>`."""
        ends = await self._asking.end_offsets(list(self._topics))
        behind: dict[str, int] = {}
        for group, _ in await self._admin.list_consumer_groups():
            service, _, log = group.partition(".")
            if service not in LOGS or log not in LOGS:
                continue
            topic = TopicPartition(f"hotline.{log}.events.v1", 0)
            offsets = await self._admin.list_consumer_group_offsets(group)
            done = offsets[topic].offset if topic in offsets else 0
            if done < ends[topic]:
                behind[group] = ends[topic] - max(done, 0)
        return behind


def read(log: str, record: Any) -> Heard:
    """A record in CloudEvents binary mode."""
    headers = {name: value.decode() for name, value in record.headers}
    state = json.loads(record.value)
    return Heard(
        log=log,
        position=int(headers["ce_id"]),
        stream=headers["ce_subject"],
        version=int(headers["version"]),
        type=headers["ce_type"],
        recorded_at=datetime.fromisoformat(headers["ce_time"]),
        meta=state["meta"],
        fact=state["fact"],
        value=record.value,
    )


def _fits(shown: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    try:
        return all(same(wanted, select(shown, path)) for path, wanted in where.items())
    except Missing:
        return False


def by_stream(facts: list[Heard]) -> dict[str, list[Heard]]:
    """The facts of each stream in order."""
    streams: dict[str, list[Heard]] = defaultdict(list)
    for heard in facts:
        streams[heard.stream].append(heard)
    return streams


async def from_the_beginning(kafka: str) -> "tuple[dict[str, list[Heard]], list[str]]":
    """Everything the topics hold, read anew, and the gaps met while reading."""
    async with Ears(kafka) as fresh:
        return fresh.told, fresh.gaps

"""From a command answered to its fact in a view, through the whole stack and its real Kafka, beside Kafka's own way from send to
consumed: one at a time, in turns."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

import httpx2
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from psycopg_pool import AsyncConnectionPool

from bench import history
from bench.contest import Report, Scale, quantiles, say
from bench.ground import Ground, create_topic
from chassis.view import positions
from tests.line import Line

TOPIC, TICK, LOOK_EVERY = "bench.visible", 0.05, 0.0005  # a sample every 50 ms; seconds between two looks
TARGET, WARM = 3.0, 20


def run(ground: Ground, scale: Scale) -> Iterator[Report]:
    """Quantiles of single samples at a low rate."""
    samples = scale.of(500, 60)
    report = Report(
        "visible",
        "From command to view",
        f"One at a time, every {TICK * 1000:.0f} ms one, in turns: {samples} of each, on a whole stack of ten processes."
        " `answered to visible`: from the answer to a POST of a contact until the view's place includes it. `sent to visible`:"
        " the same from the sending of the POST. `Kafka`: from `send` of one record (idempotent, acks of all) to a waiting"
        f" consumer that has it. The view's place is looked at every {LOOK_EVERY * 1000:.1f} ms.",
    )
    yield report
    asyncio.run(_measure(ground.line, samples, report))


async def _measure(line: Line, samples: int, report: Report) -> None:
    times: dict[str, list[float]] = {"answered to visible": [], "sent to visible": [], "Kafka": []}
    say(f"{samples + WARM} contacts and as many records of Kafka's own")
    async with _commanding(line) as commanding, _sending(line.stack.kafka.bootstrap) as sending:
        due = time.perf_counter()
        for n in range(samples + WARM):
            if n == WARM:
                for each in times.values():
                    each.clear()
            for work in (commanding.sample, sending.sample):
                due = max(due + TICK, time.perf_counter())
                await asyncio.sleep(due - time.perf_counter())
                for name, seconds in (await work()).items():
                    times[name].append(seconds)
    for name, each in times.items():
        p50, p99 = quantiles(each)
        report.row(way=name, samples=len(each), p50_ms=p50, p99_ms=p99, longest_ms=max(each) * 1000)
    ours, kafka = quantiles(times["answered to visible"])[1], quantiles(times["Kafka"])[1]
    report.target("p99 of command → visible ÷ p99 of Kafka's send → consumed", ours / kafka, TARGET, at_most=True)


@dataclass
class _Commanding:
    """Contacts of new callers, and a look at the place of the view."""

    http: httpx2.AsyncClient
    pool: AsyncConnectionPool
    headers: dict[str, str]

    async def sample(self) -> dict[str, float]:
        """One contact."""
        said = {"channel": "phone", "line": "child", "form": "call", "centre": history.HANOI, "text": history.NOTE}
        body = said | {"caller_id": str(uuid4()), "received_at": datetime.now(UTC).isoformat()}
        sent = time.perf_counter()
        answer = await self.http.post("/intake/v1/contacts", json=body, headers=self.headers | {"idempotency-key": str(uuid4())})
        answered = time.perf_counter()
        log, _, position = answer.raise_for_status().headers["hotline-position"].partition(":")
        while (await positions(self.pool)).get(log, 0) < int(position):  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(LOOK_EVERY)
        visible = time.perf_counter()
        return {"answered to visible": visible - answered, "sent to visible": visible - sent}


@asynccontextmanager
async def _commanding(line: Line) -> AsyncIterator[_Commanding]:
    uri = line.stack.postgres.uri("projections")
    async with (
        httpx2.AsyncClient(base_url=line.stack.urls["intake"], timeout=30) as http,
        AsyncConnectionPool(uri, min_size=1, max_size=1, open=False, kwargs={"autocommit": True}) as pool,
    ):
        yield _Commanding(http, pool, {"authorization": f"Bearer {line.token('TVV-01')}"})


@dataclass
class _Sending:
    """Single records, each awaited by a task that reads the topic."""

    producer: AIOKafkaProducer
    value: bytes
    consumed: dict[bytes, asyncio.Future[float]] = field(default_factory=dict)

    async def sample(self) -> dict[str, float]:
        """One record."""
        key = uuid4().bytes
        self.consumed[key] = asyncio.get_running_loop().create_future()
        sent = time.perf_counter()
        await self.producer.send(TOPIC, self.value, key=key, partition=0)
        return {"Kafka": await self.consumed[key] - sent}

    async def consume(self, consumer: AIOKafkaConsumer) -> None:
        """Note when each came."""
        async for record in consumer:
            self.consumed[record.key].set_result(time.perf_counter())


@asynccontextmanager
async def _sending(kafka: str) -> AsyncIterator[_Sending]:
    await create_topic(kafka, TOPIC)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True, acks="all")
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
    async with AsyncExitStack() as ending:
        for part in (producer, consumer):
            await part.start()
            ending.push_async_callback(part.stop)
        consumer.assign([TopicPartition(TOPIC, 0)])
        (*_, value), *_ = history.contacts([uuid4()])
        sending = _Sending(producer, value)
        reading = asyncio.create_task(sending.consume(consumer))
        try:
            yield sending
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

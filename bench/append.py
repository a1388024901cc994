"""Durable appends: ours, the recorder that the `eventsourcing` library ships, a raw insert, and PostgreSQL's own limit.

Every contestant writes the same bytes to the same server. Ours also checks versions and command ids and writes a row a command;
the raw insert only keeps ids unique and takes its position from a sequence, so that a reader may miss rows.
"""

import asyncio
import os
import re
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
from eventsourcing.persistence import StoredEvent

from bench.contest import Measured, Report, Scale, closed_loop, contest, measured, say, shown
from bench.ground import Ground
from chassis.loop import on_its_loop
from chassis.service import Parts
from contracts.cases import EmergencyMeasureApplied
from contracts.shapes import Addressee
from deploy.local.postgres import _binaries

CLIENTS, EVENTS = (1, 4, 16, 64), (1, 2)
TOPIC, BODY = "cases.ClockMet", b'{"v":1,"meta":{},"fact":{"note":"' + b"x" * 263 + b'"}}'
STOCK_TARGETS, RAW_TARGETS, P99_TARGET = {1: 1.5, 4: 4.5, 16: 18.0, 64: 35.0}, {16: 1.3, 64: 2.6}, 3.0
WARM = 2000  # rows before the first measurement, so that plans are made with statistics
NOTE = "Đã đưa trẻ đến nơi an toàn, có người trông (mẫu)"
META = {
    "command": str(UUID(int=1)),
    "actor": "TVV-01",
    "as": "counsellor",
    "occurred_at": "2026-01-05T02:41:00+00:00",
    "cause": f"rest:{UUID(int=2)}",
    "correlation": str(UUID(int=3)),
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}
RAW_COLUMNS = "recorded_at, originator_id, originator_version, topic, state"
RAW_SCHEMA = """
CREATE TABLE event (
    position bigserial PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    originator_id uuid NOT NULL,
    originator_version int NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    UNIQUE (originator_id, originator_version)
)"""


def run(ground: Ground, scale: Scale) -> Iterator[Report]:
    """Rates, medians and 99th percentiles for 1 and 2 events a command and 1 to 64 closed-loop clients."""
    report = Report(
        "append",
        "Durable append",
        "Commands a second, answered once they are durable. `ours`: `Log.append` with command id and fingerprint, states of"
        f" {len(BODY)} bytes. `ours, sealed`: `Log.record` of real facts, one person's part sealed under a warm key, about 850"
        " bytes a state. `stock`: the library's `PostgresApplicationRecorder`, a thread a client. `pgbench`: one prepared INSERT"
        " of the same rows, nothing else checked or written. `COPY`: the same rows by COPY in batches of 10,000 over one"
        " connection, divided by the events of a command.",
    )
    yield report
    rivals: dict[str, _Ours | _Sealed | _Stock | _Raw] = {
        "ours": _Ours(ground),
        "ours, sealed": _Sealed(ground),
        "stock": _Stock(ground),
        "pgbench": _Raw(ground),
    }
    seconds = scale.of(10, 4) / 10
    for events in EVENTS:
        limit = _copy_limit(ground, scale) / events
        for clients in CLIENTS if not scale.short or events == 1 else (16,):
            say(f"append, {events} events a command, {clients} clients")
            asked = {name: _bound(rival.measure, clients, events, seconds) for name, rival in rivals.items()}
            found = contest(asked, scale.rounds)
            for name, each in found.items():
                report.row(contestant=name, events=events, clients=clients, **_columns(each, found, limit))
            if events == 1:
                _compare(report, clients, found)
        report.row(contestant="COPY", events=events, clients="", per_s=limit)


def _bound(measure: Callable[[int, int, float], Measured], *given: float) -> Callable[[], Measured]:
    return lambda: measure(int(given[0]), int(given[1]), given[2])


def _columns(each: Measured, found: dict[str, Measured], limit: float) -> dict[str, object]:
    rates = {"x_stock": each.rate / found["stock"].rate, "x_pgbench": each.rate / found["pgbench"].rate}
    return {"per_s": each.rate, "p50_ms": each.p50_ms, "p99_ms": each.p99_ms, **rates, "of_COPY": f"{each.rate / limit:.1%}"}


def _compare(report: Report, clients: int, found: dict[str, Measured]) -> None:
    ours = found["ours"]
    report.target(f"append ÷ stock recorder, {clients} clients", ours.rate / found["stock"].rate, STOCK_TARGETS[clients])
    if clients in RAW_TARGETS:
        report.target(f"append ÷ raw pgbench, {clients} clients", ours.rate / found["pgbench"].rate, RAW_TARGETS[clients])
    if clients == 16:
        report.target("append p99, 16 clients", ours.p99_ms or 0, P99_TARGET, "ms", at_most=True)


class _Ours:
    """`Log.append` on one event loop, as in one API process."""

    def __init__(self, ground: Ground) -> None:
        self._ground, self._database = ground, ground.database("cases")
        self.measure(16, 1, 0.0, WARM)
        ground.analyze(self._database)

    def measure(self, clients: int, events: int, seconds: float, at_least: int = 0) -> Measured:
        async def go() -> Measured:
            async with self._ground.parts("cases", self._database) as parts:
                work = await self._work(parts, events)
                for _ in range(at_least // clients):
                    await asyncio.gather(*(work() for _ in range(clients)))
                return await closed_loop(clients, seconds, work) if seconds else Measured(0)

        return on_its_loop(go())

    async def _work(self, parts: Parts, events: int) -> Callable[[], object]:
        async def append() -> None:
            stream = uuid4()
            new = [StoredEvent(stream, version, TOPIC, BODY) for version in range(1, events + 1)]
            await parts.log.append(new, uuid4(), fingerprint=b"f" * 32)

        return append


class _Sealed(_Ours):
    """`Log.record`: facts become bytes, and one person's part is sealed."""

    async def _work(self, parts: Parts, events: int) -> Callable[[], object]:
        persons = [uuid4() for _ in range(64)]
        facts = {person: [_measure(person, number) for number in range(1, events + 1)] for person in persons}
        await parts.keys.create(persons)
        turn = iter(range(2**62))

        async def record() -> None:
            person = persons[next(turn) % len(persons)]
            await parts.log.record(uuid4(), 0, facts[person], uuid4(), META, fingerprint=b"f" * 32)

        return record


def _measure(person: UUID, number: int) -> EmergencyMeasureApplied:
    by = Addressee(role="commune_pc", place="99801@2025-07-01")
    at = datetime(2026, 1, 5, 2, 41, tzinfo=UTC)
    return EmergencyMeasureApplied(number=number, measure="removal", by=by, applied_at=at, child_id=person, note=NOTE)


class _Stock:
    """The library's own recorder as it is meant to be used: synchronous, a thread a client."""

    def __init__(self, ground: Ground) -> None:
        ground.postgres.create_database("stock", "stock_owner")
        self._uri = ground.postgres.uri("stock", "stock_owner")
        self._measure_many(16, 1, 0.0, WARM)
        ground.analyze("stock")

    def measure(self, clients: int, events: int, seconds: float) -> Measured:
        return self._measure_many(clients, events, seconds, 0)

    def _measure_many(self, clients: int, events: int, seconds: float, at_least: int) -> Measured:
        from eventsourcing.postgres import PostgresApplicationRecorder  # noqa: PLC0415 - it sets psycopg's loggers

        store = stock_datastore(self._uri, clients)
        recorder = PostgresApplicationRecorder(store, events_table_name="stock_events")
        recorder.create_table()
        times: list[float] = []
        begin = time.perf_counter() + seconds / 10
        end = begin + seconds

        def client() -> None:
            done = 0
            while (asked := time.perf_counter()) < end or done < at_least / clients:
                stream = uuid4()
                recorder.insert_events([StoredEvent(stream, version, TOPIC, BODY) for version in range(1, events + 1)])
                done += 1
                if (now := time.perf_counter()) >= begin:
                    times.append(now - asked)

        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        store.close()
        return measured(times, time.perf_counter() - begin)


def stock_datastore(uri: str, connections: int):  # noqa: ANN201 - a class of the library that only a bench imports
    """The library's pool of connections."""
    from eventsourcing.postgres import PostgresDatastore  # noqa: PLC0415 - it sets psycopg's loggers

    known = psycopg.conninfo.conninfo_to_dict(uri)
    given = {name: str(known[name]) for name in ("host", "port", "user", "password", "dbname")}
    return PostgresDatastore(**given, pool_size=connections, max_overflow=0)


class _Raw:
    """pgbench, in C: one prepared INSERT of the same rows a transaction, two threads."""

    def __init__(self, ground: Ground) -> None:
        ground.postgres.create_database("raw")
        self._ground, self._folder = ground, ground.home / "pgbench"
        self._folder.mkdir(exist_ok=True)
        with psycopg.connect(ground.postgres.uri("raw"), autocommit=True) as db:
            db.execute(RAW_SCHEMA)
        self._run(16, 1, ["-t", str(WARM // 16)])
        ground.analyze("raw")

    def measure(self, clients: int, events: int, seconds: float) -> Measured:
        for longer in (1, 4, 16):  # its time includes connecting, which on a busy machine may be all of it
            if (found := self._run(clients, events, ["-T", str(longer * max(2, round(seconds)))])).rate:
                break
        return found

    def _run(self, clients: int, events: int, length: list[str]) -> Measured:
        for old in self._folder.glob("times.*"):
            old.unlink()
        script = self._folder / "script.sql"
        script.write_text(_insert(events), encoding="ascii")
        known = psycopg.conninfo.conninfo_to_dict(self._ground.postgres.uri("raw"))
        command = [_binaries() / "pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(2, clients))]
        command += [*length, "-f", script, "-l", f"--log-prefix={self._folder / 'times'}"]
        command += ["-h", str(known["host"]), "-p", str(known["port"]), "-U", str(known["user"]), str(known["dbname"])]
        env = os.environ | {"PGPASSWORD": str(known["password"])}
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, env=env)
        rate = re.search(r"tps = ([\d.]+) \(without", done.stdout)
        if done.returncode and "actually processed: 0" not in done.stdout:
            raise RuntimeError(f"pgbench failed:\n{done.stdout}{done.stderr}")
        return Measured(float(rate[1]), *_logged(self._folder)) if rate else Measured(0)


def _insert(events: int) -> str:
    """One statement, one transaction; the ids of one command are one stream's."""
    rows = ", ".join(f"(now(), {version}, '{TOPIC}', '\\x{BODY.hex()}'::bytea)" for version in range(1, events + 1))
    return (
        f"INSERT INTO event ({RAW_COLUMNS}) SELECT v.at, s.id, v.version, v.topic, v.state"  # noqa: S608 - constants of this module
        f" FROM (SELECT gen_random_uuid() AS id) s, (VALUES {rows}) AS v(at, version, topic, state);\n"
    )


def _logged(folder: Path) -> tuple[float, float]:
    """Median and 99th percentile from pgbench's own log of every transaction: the third column, in µs."""
    times = [int(line.split()[2]) / 1e6 for file in folder.glob("times.*") for line in file.read_text().splitlines()]
    found = measured(times, 1.0)
    return found.p50_ms or 0.0, found.p99_ms or 0.0


def _copy_limit(ground: Ground, scale: Scale) -> float:
    """Rows a second that one connection can COPY into a table with the same indexes; the bytes are made before."""
    batches = [_binary(10_000, n) for n in range(scale.of(12, 4))]
    begin = time.perf_counter()
    with psycopg.connect(ground.postgres.uri("raw"), autocommit=True) as db, db.cursor() as cursor:
        for batch in batches:
            with cursor.copy(f"COPY event ({RAW_COLUMNS}) FROM STDIN (FORMAT BINARY)") as out:  # pyrefly: ignore
                out.write(batch)
    limit = len(batches) * 10_000 / (time.perf_counter() - begin)
    say(f"COPY in batches of 10,000: {shown(limit)} rows/s")
    return limit


def _binary(rows: int, version: int) -> bytes:
    """A binary COPY of so many rows: what `ours` writes as events."""
    topic, state = TOPIC.encode(), BODY
    fixed = struct.pack(">hiq", 5, 8, 820_000_000_000_000)  # five columns; microseconds since 2000
    rest = struct.pack(f">iii{len(topic)}si{len(state)}s", 4, version + 1, len(topic), topic, len(state), state)
    row = b"".join(fixed + struct.pack(">i", 16) + os.urandom(16) + rest for _ in range(rows))
    return b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0) + row + struct.pack(">h", -1)

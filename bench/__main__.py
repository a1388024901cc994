"""`make bench`: contestants in one run, on the same server, interleaved; ratios are what counts, for machines differ.

So far one bench: durable appends of one event a command, ours (group commit, command ids, fingerprints) against the recorder that
the `eventsourcing` library ships. Prints versions, durability settings and a table, and writes `.local/bench.json`.
"""

import asyncio
import json
import os
import platform
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

import psycopg
from eventsourcing.persistence import StoredEvent
from psycopg_pool import AsyncConnectionPool

from chassis.log import Log
from chassis.migrate import migrate
from deploy.local.postgres import Postgres

CLIENTS, ROUNDS, SECONDS = (1, 4, 16, 64), 3, 2.0
BODY = b'{"v":1,"meta":{},"fact":{"note":"' + b"x" * 260 + b'"}}'
SQL = Path(__file__).parent.parent / "chassis" / "sql" / "log"
RESULTS = Path(__file__).parent.parent / ".local" / "bench.json"


@dataclass(frozen=True)
class Measured:
    """Appends a second and the 99th percentile of their time in milliseconds."""

    rate: float
    p99_ms: float


def measured(times: list[float], seconds: float) -> Measured:
    return Measured(len(times) / seconds, statistics.quantiles(times, n=100)[98] * 1000)


async def ours(uri: str, clients: int) -> Measured:
    """Closed-loop clients on one event loop, as in one API process."""
    async with AsyncConnectionPool(uri, min_size=2, max_size=4, open=False, kwargs={"autocommit": True}) as pool:
        log, times, end = Log("cases", pool), [], time.perf_counter() + SECONDS

        async def client() -> None:
            while (begun := time.perf_counter()) < end:
                await log.append([StoredEvent(uuid4(), 1, "cases.ClockMet", BODY)], uuid4(), fingerprint=b"f" * 32)
                times.append(time.perf_counter() - begun)

        await asyncio.gather(*(client() for _ in range(clients)))
        return measured(times, SECONDS)


def stock(environment: dict[str, str], clients: int) -> Measured:
    """The library's own recorder, a thread a client, as it is meant to be used."""
    from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore  # noqa: PLC0415 - it sets psycopg's loggers

    store = PostgresDatastore(**environment, pool_size=clients, max_overflow=0)
    recorder = PostgresApplicationRecorder(store, events_table_name="stock_events")
    recorder.create_table()
    times, end = [], time.perf_counter() + SECONDS

    def client() -> None:
        while (begun := time.perf_counter()) < end:
            recorder.insert_events([StoredEvent(uuid4(), 1, "cases.ClockMet", BODY)])
            times.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    return measured(times, SECONDS)


def main() -> None:
    """Measure and print; about a minute."""
    with tempfile.TemporaryDirectory() as home, Postgres(Path(home)) as postgres:
        postgres.create_service_databases(["cases"])
        postgres.create_database("stock", "stock_owner")
        migrate(postgres.uri("cases", "cases_owner"), [SQL])
        owner = psycopg.conninfo.conninfo_to_dict(postgres.uri("stock", "stock_owner"))
        environment = {name: str(owner[name]) for name in ("host", "port", "user", "password", "dbname")}
        contestants: dict[str, Callable[[int], Measured]] = {
            "ours": lambda clients: asyncio.run(ours(postgres.uri("cases", "cases_api"), clients)),
            "stock": lambda clients: stock(environment, clients),
        }
        about = {**describe(postgres), "clients": CLIENTS, "rounds": ROUNDS, "seconds": SECONDS}
        print("\n".join(f"{name:<22}{value}" for name, value in about.items()), flush=True)
        results = [run(clients, contestants) for clients in CLIENTS]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"about": about, "append": results}, indent=2) + "\n", encoding="utf-8")


def run(clients: int, contestants: dict[str, Callable[[int], Measured]]) -> dict[str, float]:
    """Interleaved rounds, medians, one line."""
    found: dict[str, list[Measured]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, contestant in contestants.items():
            found[name].append(contestant(clients))
    line: dict[str, float] = {"clients": clients}
    for name, rounds in found.items():
        line[f"{name}_per_s"] = round(statistics.median(each.rate for each in rounds))
        line[f"{name}_p99_ms"] = round(statistics.median(each.p99_ms for each in rounds), 2)
    line["ratio"] = round(line["ours_per_s"] / line["stock_per_s"], 1)
    print("  ".join(f"{name} {value:g}" for name, value in line.items()), flush=True)
    return line


def describe(postgres: Postgres) -> dict[str, object]:
    """What the figures depend on."""
    with psycopg.connect(postgres.uri("postgres")) as db:
        shown = {
            name: (db.execute(f"SHOW {name}").fetchone() or ("",))[0] for name in ("server_version", "fsync", "synchronous_commit")
        }
    packages = {name: version(name) for name in ("eventsourcing", "psycopg")}
    return {"python": platform.python_version(), "cores": os.cpu_count(), "body_bytes": len(BODY), **shown, **packages}


if __name__ == "__main__":
    main()

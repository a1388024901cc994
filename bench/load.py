"""A load generator that costs little: prepared bytes over raw connections, in a process of its own.

`python -m bench.load` reads one JSON object from standard input and answers one on standard output. A request is a template in
which `{key}` and `{caller}` become new ids and `{target}` the next of `targets`; with `once` it ends when there is none left.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from bench.contest import measured

ID = "00000000-0000-4000-8000-000000000000"


@dataclass
class Load:
    """Closed-loop connections to one port. Times in seconds, of successes after the warm-up."""

    port: int
    parts: Sequence[bytes]
    targets: Sequence[str]
    seconds: float
    once: bool
    times: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    _begin: float = 0.0

    async def run(self, connections: int) -> None:
        """Until the time is over."""
        targets = [target.encode() for target in self.targets]
        self._target = iter(targets) if self.once else cycle(targets)
        self._begin = time.perf_counter() + (0 if self.once else self.seconds / 10)
        self._end = self._begin + self.seconds
        loop = asyncio.get_running_loop()
        finished = [loop.create_future() for _ in range(connections)]
        for each in finished:
            await loop.create_connection(lambda each=each: _Connection(self, each), "127.0.0.1", self.port)
        await asyncio.gather(*finished)

    @property
    def measured_for(self) -> float:
        return time.perf_counter() - self._begin

    def request(self) -> bytes | None:
        """The next one; None when the time is over, or everything was asked once."""
        target = None if time.perf_counter() > self._end else next(self._target, None)
        if target is None:
            return None
        return b"".join(target if part == b"{target}" else _id() if part in _IDS else part for part in self.parts)

    def answered(self, asked: float, status: int) -> None:
        """Count one answer; only a success has a time."""
        if (now := time.perf_counter()) >= self._begin:
            self.statuses[status] += 1
            if status < 300:
                self.times.append(now - asked)


class _Connection(asyncio.Protocol):
    """One request at a time over one kept connection."""

    def __init__(self, load: Load, finished: asyncio.Future[None]) -> None:
        self._load, self._finished = load, finished
        self._buffer, self._asked = b"", 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if found and len(body) >= _length(head):
            self._buffer = b""
            self._load.answered(self._asked, int(head[9:12]))
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._finished.done():
            self._finished.set_exception(exc or ConnectionError("the server closed a kept connection"))

    def _ask(self) -> None:
        request = self._load.request()
        if request is None:
            self._finished.set_result(None)
            self._transport.close()
            return
        self._asked = time.perf_counter()
        self._transport.write(request)


_IDS = (b"{key}", b"{caller}")


def _id() -> bytes:
    text = os.urandom(16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:]}".encode()


def _length(head: bytes) -> int:
    found = re.search(rb"(?i)content-length: *(\d+)", head)
    return int(found[1]) if found else 0


def request(path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    """One HTTP/1.1 request as a template."""
    content = json.dumps(body, ensure_ascii=False)
    length = len(re.sub(r"\{(key|caller|target)\}", ID, content).encode())
    lines = [f"POST {path} HTTP/1.1", "host: bench.example", "content-type: application/json", f"content-length: {length}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", content])


def load(
    port: int, template: str, connections: int, seconds: float, targets: Sequence[str] = (ID,), *, once: bool = False
) -> dict[str, Any]:
    """Run it in a process of its own: `rate`, `p50_ms`, `p99_ms`, `statuses`, `client_cpu` (its share of one core)."""
    spec = {
        "port": port,
        "template": template,
        "connections": connections,
        "seconds": seconds,
        "targets": list(targets),
        "once": once,
    }
    command = [sys.executable, "-m", "bench.load"]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, input=json.dumps(spec), capture_output=True, text=True, check=False, cwd=root)
    if done.returncode:
        raise RuntimeError(f"the load generator failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def main() -> None:
    """The process itself."""
    spec = json.loads(sys.stdin.read())
    parts = [part.encode() for part in re.split(r"(\{(?:key|caller|target)\})", spec["template"])]
    work = Load(spec["port"], parts, spec["targets"], spec["seconds"], spec["once"])
    cpu, begin = time.process_time(), time.perf_counter()
    asyncio.run(work.run(spec["connections"]))
    used = (time.process_time() - cpu) / (time.perf_counter() - begin)
    found = measured(work.times, work.measured_for)
    answer = {"rate": found.rate, "p50_ms": found.p50_ms, "p99_ms": found.p99_ms, "client_cpu": used, "statuses": work.statuses}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()

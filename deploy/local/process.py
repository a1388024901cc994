"""Child processes that never outlive the program that started them.

Every child stands in its own session, so that Ctrl-C reaches the supervisor alone, and is told to one *janitor* per
program: a small process that waits on a pipe and ends every child it was told about once that pipe closes, which the
kernel does even for a program that was killed with SIGKILL.
"""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.local.janitor import SAME_START, end_all


class NotStartedError(RuntimeError):
    """A part of the local stack did not come up; the message holds the end of its log."""


@dataclass(frozen=True)
class Identity:
    """A process that can be recognised later: ids are used again, ids with a start time are not."""

    pid: int
    started: float
    polite: int = signal.SIGTERM
    """The signal that asks it to end."""

    @classmethod
    def of(cls, pid: int, polite: int = signal.SIGTERM) -> "Identity":
        """The identity of a running process."""
        return cls(pid, psutil.Process(pid).create_time(), polite)

    def is_alive(self) -> bool:
        """Whether exactly this process still runs."""
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.started) < SAME_START and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def end(self, patience: float = 10) -> None:
        """Ask it to end, and kill it and its children after `patience` seconds."""
        end_all([(self.pid, self.started, self.polite)], patience)


class Process:
    """One child: started, watched, asked to end, killed, started again with the same command."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        polite: int = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log = log
        self.identity: Identity | None = None
        self.wanted = False
        """Whether it should run: true from start() until stop(). A supervisor starts again what is wanted and died."""
        self._command = [str(part) for part in command]
        self.env = dict(env) if env is not None else None
        """What it is told at its next start; None: what this program is told."""
        self._polite = polite
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the running child."""
        if self._child is None:
            raise NotStartedError(f"{self.name} is not running")
        return self._child.pid

    @property
    def status(self) -> int | None:
        """The exit status of the last child (negative: a signal's number), or None while it runs."""
        return self._child.poll() if self._child else None

    def is_alive(self) -> bool:
        """Whether the child runs."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start it, output appended to the log."""
        self.wanted = True
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                start_new_session=True,
            )
        with contextlib.suppress(psutil.NoSuchProcess):  # it may be gone already: whoever waits for it will see
            self.identity = Identity.of(self._child.pid, self._polite)
            tell_janitor(self.identity)

    def wait_until(self, ready: Callable[[], bool], seconds: float = 60) -> None:
        """Wait for `ready()`.

        Raises NotStartedError with the end of the log when the child ends before, or the time is over.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.is_alive():
                raise NotStartedError(f"{self.name} ended with status {self.status}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise NotStartedError(f"{self.name} is not ready after {seconds:.0f} s:\n{self.log_tail()}")
            time.sleep(0.05)

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def ask_to_end(self) -> None:
        """Send the polite signal and do not wait."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(self._polite)

    def stop(self, patience: float = 10) -> None:
        """Ask it to end and wait; kill it when it takes longer than `patience` seconds."""
        self.wanted = False
        self.ask_to_end()
        if self._child is not None:
            try:
                self._child.wait(patience)
            except subprocess.TimeoutExpired:
                self.kill9()

    def kill9(self) -> None:
        """SIGKILL, without warning, for the child and everything it started, as a power cut would."""
        child = self._child  # a supervisor may start the next one while we wait for this one
        if child is None or child.poll() is not None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            family = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
            for member in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
            psutil.wait_procs(family[1:], timeout=10)
        child.wait()


PORTS = range(20000, 32000)
"""Below those the kernel gives to clients: else a client that tries again and again to reach a killed server may be given the
server's own port, connect to itself, and keep the server from coming back."""

_promising = threading.Lock()
_promised: dict[int, Path | None] = {}
"""Ports this program gave out, with the file that keeps each: its server may not have begun to listen."""


def free_port(preferred: int = 0, keeper: Path | None = None) -> int:
    """A TCP port of 127.0.0.1 that is free now and promised to nobody else in this program: the preferred one if it may be had.

    keeper: the file the port is kept in, which may ask for it again.
    """
    with _promising:
        mine = [preferred] if preferred and _promised.get(preferred, keeper) == keeper else []
        others = [port for port in random.sample(PORTS, 50) if port not in _promised]
        for port in [*mine, *others]:
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
                _promised[port] = keeper
                return port
    raise NotStartedError("this machine has no free TCP port")


def kept_ports(file: Path, *names: str) -> dict[str, int]:
    """Ports that stay the same from run to run as long as nobody else took them."""
    before: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    ports = {name: free_port(before.get(name, 0), file) for name in names}
    if ports != before:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(ports))
    return ports


def is_listening(port: int) -> bool:
    """Whether something accepts connections at 127.0.0.1:port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


_janitor: subprocess.Popen[bytes] | None = None


def tell_janitor(child: Identity) -> None:
    """Have the child ended when this program is gone, however it went."""
    global _janitor  # noqa: PLW0603 - one janitor a program is the point
    if _janitor is None or _janitor.poll() is not None:
        _janitor = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("janitor.py"))],
            stdin=subprocess.PIPE,
            start_new_session=True,
            cwd=os.sep,
        )
    pipe = _janitor.stdin
    if pipe is None:
        raise NotStartedError("the janitor has no pipe")
    pipe.write(f"{child.pid} {child.started!r} {child.polite:d}\n".encode())
    pipe.flush()

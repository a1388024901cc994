"""Killing processes at named places (`chassis.failpoints`): armed by a file, several processes at a time, until each place had its share."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx2

from deploy.local.stack import ROLES, SERVICES, Stack

Name = tuple[str, str]
"""(service, role)."""
WORKERS = [(service, "worker") for service in SERVICES]
HEARING = [name for name in WORKERS if name[0] != "projections"]
WRITERS = [(service, "api") for service in ("intake", "referrals", "projections")]
REACHED_BY: Mapping[str, list[Name]] = {
    "append.before-commit": [*WRITERS, *HEARING],
    "append.after-commit": [*WRITERS, *HEARING],
    "answer.before": [("intake", "api"), ("referrals", "api")],
    "keys.after-create": [("intake", "api"), ("referrals", "api")],
    "read.recorded": [("projections", "api")],
    "relay.before-send": WORKERS,
    "relay.mid-batch": WORKERS,
    "relay.after-send": WORKERS,
    "signer.after-file": WORKERS,
    "signer.after-table": WORKERS,
    "hearing.before-reaction": HEARING,
    "hearing.after-reaction": HEARING,
    "hearing.after-heard": HEARING,
    "follower.before-commit": WORKERS,
    "follower.after-commit": WORKERS,
    "timer.before-breach": [("referrals", "worker"), ("intake", "worker"), ("cases", "worker")],
    "timer.after-breach": [("referrals", "worker"), ("intake", "worker"), ("cases", "worker")],
    "view.before-commit": [("projections", "worker")],
    "view.after-commit": [("projections", "worker")],
    "sender.before-send": [("notifications", "worker")],
    "sender.after-send": [("notifications", "worker")],
    "inbox.before-command": [("intake", "worker")],
    "inbox.after-command": [("intake", "worker")],
}
"""Place → the processes that come by while the desks are at work."""
ASKED_FOR: Mapping[str, str] = {
    "retry.after-reaction": "poison discarded, and killed while its stream goes on",
    "erasure.after-destroy": "persons forgotten, and killed in between",
    "erasure.after-command": "persons forgotten, and killed in between",
    "rebuild.before-commit": "views rebuilt, and killed in the middle",
    "swap.before": "views rebuilt, and killed in the middle",
    "swap.before-commit": "views rebuilt, and killed in the middle",
    "swap.after-commit": "views rebuilt, and killed in the middle",
}
"""Places that a process reaches only when somebody asks for something: place → the fault that does."""
IN_TOOLS: Mapping[str, str] = {
    "bundle.requested": "tests/test_bundle_kills.py",
    "bundle.written": "tests/test_bundle_kills.py",
    "bundle.exported": "tests/test_bundle_kills.py",
    "export.written": "tests/test_bundle_kills.py",
}
"""Places in commands that end by themselves: place → the tests that kill there."""
PATIENCE = 20.0  # seconds in which a place should be reached; then another one is tried
LOOK_EVERY = 0.05


@dataclass
class Target:
    """A process, and what is being done to it: nothing, armed at a place since, or hit at a place at."""

    name: Name
    file: Path
    place: str = ""
    since: float = 0.0
    hit: bool = False
    looked: float = 0.0


@dataclass
class Killer:
    """Kills processes of a stack at their places, any number of them at a time.

    hits: place → how often. recoveries: seconds from each death until the successor was ready.
    """

    stack: Stack
    random: Random
    hits: Counter[str] = field(default_factory=Counter)
    recoveries: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._targets = [Target((s, r), self.stack.home / "failpoints" / f"{s}-{r}") for s in SERVICES for r in ROLES]
        self._http = httpx2.Client(timeout=1)

    def kill(
        self, times: int, places: Iterable[str] = REACHED_BY, seconds: float = 600, say: Callable[[str], None] = lambda _: None
    ) -> dict[str, int]:
        """Until each place was hit so often; what is still left after `seconds`."""
        left, deadline, said = Counter(dict.fromkeys(places, times)), time.monotonic() + seconds, 0
        while +left and time.monotonic() < deadline:
            for target in self._targets:
                self._move(target, left)
            if self.hits.total() >= said + 25:
                said = self.hits.total()
                say(f"{said} kills, {sum(left.values())} to go")
            time.sleep(LOOK_EVERY)
        for target in self._targets:
            target.file.unlink(missing_ok=True)
        while any(target.place for target in self._targets):  # one may have obeyed just before
            for target in self._targets:
                self._move(target, Counter())
            time.sleep(LOOK_EVERY)
        return dict(+left)

    def _move(self, target: Target, left: Counter[str]) -> None:
        if not target.place:
            self._arm(target, left)
        elif target.hit:
            self._await(target)
        elif target.file.with_suffix(".hit").exists():
            target.file.with_suffix(".hit").unlink()
            self.hits[target.place] += 1
            left[target.place] -= 1
            target.since, target.hit = time.monotonic(), True
        elif time.monotonic() > target.since + PATIENCE or not target.file.exists() or left[target.place] <= 0:
            target.file.unlink(missing_ok=True)
            if not target.file.with_suffix(".hit").exists():
                target.place = ""

    def _arm(self, target: Target, left: Counter[str]) -> None:
        """At the place that needs it most, of those that this process comes by."""
        mine = [place for place, names in REACHED_BY.items() if target.name in names and left[place] > 0]
        if not mine:
            return
        armed = Counter(other.place for other in self._targets)
        most = max(left[place] - armed[place] for place in mine)
        if most > 0:
            target.place = self.random.choice([place for place in mine if left[place] - armed[place] == most])
            target.since = time.monotonic()
            arm(target.file, target.place, self.random.randint(1, 3), "kill")

    def _await(self, target: Target) -> None:
        """Is its successor ready?"""
        if time.monotonic() < target.looked + 0.2:
            return
        target.looked = time.monotonic()
        if is_ready(self._http, self.stack, target.name):
            self.recoveries.append(time.monotonic() - target.since)
            target.place, target.hit = "", False


def arm(file: Path, place: str, nth: int, action: str) -> None:
    """Have a process die or freeze the nth time it comes to a place. It never reads half a file."""
    file.parent.mkdir(exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(f"{place} {nth} {action}", encoding="ascii")
    part.replace(file)


def is_ready(http: httpx2.Client, stack: Stack, name: Name) -> bool:
    """Does this process say that it works?"""
    try:
        return http.get(f"{stack.urls['.'.join(name).removesuffix('.api')]}/readyz").is_success
    except httpx2.TransportError:
        return False


def freeze(pid: int, seconds: float) -> None:
    """Stop a process for so long."""
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)

"""What the services parked, from the command line: list, show, and an operator's decision with what became of it."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import httpx2

from chassis.problems import sentences
from deploy.local.stack import SERVICES
from tools.recovery.running import CannotAsk, Running

LOOK_EVERY, PATIENCE = 0.2, 30.0  # seconds

HEAD = ("service", "log", "position", "fact", "parked at", "why", "")


class Which(NamedTuple):
    """A parked fact: who parked it, the log it stands in, its position there."""

    service: str
    source: str
    position: int

    def __str__(self) -> str:
        return f"/{self.service}/v1/parked/{self.source}/{self.position}"


def listed(stack: Running, services: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Everything that is parked, each with its service, and a sentence a service that does not answer. Raises CannotAsk."""
    found: list[dict[str, Any]] = []
    silent: list[str] = []
    with ThreadPoolExecutor(len(services)) as at_once:  # in an outage each of them answers late
        answers = list(at_once.map(partial(stack.ask, "GET"), [f"/{service}/v1/parked" for service in services]))
    for service, answer in zip(services, answers, strict=True):
        if answer.is_success:
            found += [{"service": service, **item} for item in answer.json()["items"]]
        else:
            silent.append(f"{service} does not say what it parked: {sentence(answer)}")
    return found, silent


def table(items: Sequence[dict[str, Any]]) -> str:
    """For a terminal."""
    rows = [HEAD, *(_line(item) for item in items)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(HEAD))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def _line(item: dict[str, Any]) -> tuple[str, ...]:
    state = "discarded" if item["discarded_at"] else "is being retried" if item["retry_by"] else ""
    at = item["parked_at"].partition(".")[0].replace("T", " ")
    return item["service"], item["source"], str(item["position"]), item["type"], at, item["reason"], state


def shown(stack: Running, which: Which) -> dict[str, Any]:
    """What is known of one parked fact. Raises CannotAsk if there is none."""
    answer = stack.ask("GET", str(which))
    if answer.status_code == 404:
        raise CannotAsk(f"{which.service} has parked nothing at {which.source}:{which.position}: hotline parked list")
    if not answer.is_success:
        raise CannotAsk(f"{which.service} does not show it: {sentence(answer)}")
    return {"service": which.service, **answer.json()}


def page(item: dict[str, Any]) -> str:
    """For a terminal."""
    behind = ", ".join(map(str, item["behind"])) or "nothing"
    lines = [
        f"{item['service']} could not digest {item['source']}:{item['position']}, {item['type']}, of stream {item['stream']}",
        f"why       {item['reason']}",
        f"since     {item['parked_at']}",
        f"behind    {behind}",
    ]
    if item["before"]:
        lines.append(f"before    {', '.join(map(str, item['before']))}: retry or discard the first of these")
    if item["discarded_at"]:
        lines.append(f"discarded {item['discarded_at']} by {item['service']}:{item['discarded_by']}")
    lines += ["", *(f"{name}: {value}" for name, value in sorted(item["headers"].items())), ""]
    if item["state"] is None:
        lines.append(f"{item['bytes']} bytes that are no fact")
    else:
        lines.append(json.dumps(item["state"], ensure_ascii=False, indent=2))
    return "\n".join(lines)


def decide(stack: Running, which: Which, noun: str, reason: str, say: Callable[[str], None]) -> bool:
    """Record an operator's decision, and wait for what becomes of it. Whether the fact holds back its stream no longer.

    noun: `retries` or `discards`. Raises CannotAsk if it was refused.
    """
    before = shown(stack, which)
    answer = stack.ask("POST", f"{which}/{noun}", {"reason": reason})
    if not answer.is_success:
        raise CannotAsk(f"refused: {sentence(answer)}")
    say(f"recorded as {answer.headers['hotline-position']}")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = stack.ask("GET", str(which))
        item = found.json()
        if found.status_code == 404:
            say("digested: it is parked no longer")
            return True
        if found.is_success and item["discarded_at"]:
            say("discarded: its stream goes on without it")
            return True
        if found.is_success and item["parked_at"] != before["parked_at"]:
            say(f"it failed again: {item['reason']}")
            return False
        time.sleep(LOOK_EVERY)
    say(f"nobody has obeyed yet: is the worker of {which.service} ready? (hotline doctor)")
    return False


def sentence(answer: httpx2.Response) -> str:
    """What a problem says is to be mended."""
    try:
        problem = answer.json()
    except ValueError:
        return f"status {answer.status_code}"
    if answer.status_code == 503:
        return "it is away or cannot reach its database (hotline doctor)"
    code = str(problem.get("type", "")).removeprefix("urn:hotline111:")
    first = f" (first: {problem['first']})" if "first" in problem else ""
    return f"{code}{first}: {sentences().get(code, problem.get('detail', ''))}"


def services_named(name: str | None) -> Sequence[str]:
    """One service, or all. Raises CannotAsk for a name that is none."""
    if name is not None and name not in SERVICES:
        raise CannotAsk(f"no service {name}; there are {', '.join(SERVICES)}")
    return SERVICES if name is None else (name,)

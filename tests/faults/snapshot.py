"""What the invariants look at: what people asked for and were answered, and everything that is written, at one instant."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, Literal, NamedTuple, Self
from uuid import UUID

from chassis.mapper import Recorded

Tables = Mapping[tuple[str, str], set[str]]
"""(database, table) → its rows as text."""


@dataclass(frozen=True)
class Unreadable:
    """In the place of a fact whose bytes say nothing to this reader."""

    TOPIC: str


class Told(NamedTuple):
    """A fact that an answer showed, with its content as JSON."""

    log: str
    position: int
    type: str
    version: int
    fact: Any


class Attempt(NamedTuple):
    """One attempt at a command, as its client knows it.

    outcome: `ok` it was answered that it is done; `failed` it was refused and changed nothing; `unknown` nobody said, or everybody
    is asked to try again. key: of the intention, the same in every attempt at it. stream, told: what an `ok` answered.
    """

    path: str
    key: str
    outcome: Literal["ok", "failed", "unknown"]
    status: int | None
    stream: str = ""
    told: tuple[Told, ...] = ()

    @classmethod
    def of(cls, path: str, key: str, answer: Any) -> Self:
        """From a response; None where none came."""
        if answer is None or answer.status_code >= 500:
            return cls(path, key, "unknown", answer and answer.status_code)
        if not answer.is_success:
            return cls(path, key, "failed", answer.status_code)
        body = answer.json()
        told = [
            Told(each["type"].partition(".")[0], each["position"], each["type"], each["version"], each["fact"])
            for each in body["told"]
        ]
        return cls(path, key, "ok", answer.status_code, body["id"], tuple(told))


@dataclass(frozen=True)
class Snapshot:
    """Everything that is written, at one instant at which nothing moves, and the history of those who asked.

    at: the time of the line. logs: log → its events from position 1. commands: log → command id → positions. topics: log →
    (position, value) of each record that a relay wrote. heard: (service, log) → position. parked: (service, log, position).
    content: (log, position) → the fact as JSON, opened, of every fact that was answered. kept: the tables that consumers keep;
    folded: the same tables as somebody keeps them who reads the same logs from position 1 and is never interrupted.
    mailed: Message-IDs in the mailboxes of the world. attempts: of everybody at a command. looked: (stream, instant) of every file that was shown. leaks: where a word of a person
    was found in plain.
    """

    at: datetime
    logs: Mapping[str, list[Recorded]]
    commands: Mapping[str, Mapping[UUID, range]]
    topics: Mapping[str, list[tuple[int, bytes]]]
    heard: Mapping[tuple[str, str], int]
    parked: set[tuple[str, str, int]]
    content: Mapping[tuple[str, int], Any]
    kept: Tables
    folded: Tables
    mailed: set[str] = field(default_factory=set)
    attempts: list[Attempt] = field(default_factory=list)
    looked: list[tuple[str, str]] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)

    def of_key(self) -> dict[str, list[Attempt]]:
        """The attempts at each intention, in order."""
        found: dict[str, list[Attempt]] = defaultdict(list)
        for attempt in self.attempts:
            found[attempt.key].append(attempt)
        return found


def streams(events: list[Recorded]) -> dict[UUID, list[Recorded]]:
    found: dict[UUID, list[Recorded]] = defaultdict(list)
    for event in events:
        found[event.stream].append(event)
    return found


def prefixes(events: list[Recorded]) -> Iterator[list[Recorded]]:
    """The history of a stream after each command: a prefix ends where a command ends, for its facts are one append."""
    past: list[Recorded] = []
    for _, told in groupby(events, key=lambda event: event.meta.get("command", event.cause)):
        past = [*past, *told]
        yield past

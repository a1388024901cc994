"""A reaction: what this service does when it hears a fact. Its memory is the stream that it commands."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.mapper import Recorded
from contracts.kernel import Command, Fact

Wanted = Iterable[tuple[UUID, Command]]
"""Target stream and command, any number of them."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """`commands(heard)` is pure; the chassis gives each command the cause `<log>:<position>` and the actor `policy:<name>`.

    wants: the command type, for whoever walks the table as a graph. done: refusals that mean the thing has happened already;
    any other refusal parks the fact.
    """

    name: str
    hears: type[Fact]
    wants: type[Command]
    commands: Callable[[Recorded], Wanted]
    done: frozenset[str] = frozenset()


Reactions = list[Reaction]
Fold = Callable[[Any, Recorded], Any]

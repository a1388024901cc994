"""What a fault is, and how one is run: desks at work on a real stack, the fault, rest, then the checker over everything."""

import statistics
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Self

import httpx2
import psycopg

from deploy.local.stack import ROLES, SERVICES, Stack
from tests.faults.desks import MARK, Desks
from tests.faults.invariants import findings
from tests.faults.kills import is_ready
from tests.line import Line, call, eventually

REST = 300.0  # seconds within which the line comes to rest after a fault
Ground = Callable[[Line, Random], AbstractContextManager[Any]]
"""What is laid before a fault and costs much. It lies for as long as the faults that follow want the same."""


@dataclass
class Chaos:
    """One stack under a fault. short: fewer and briefer ones. ground: what the fault asked for. desks: who works meanwhile."""

    line: Line
    random: Random
    short: bool
    say: Callable[[str], None]
    ground: Any = None
    desks: Desks = field(init=False)
    repetitions: int = 0
    recoveries: list[float] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    parts: dict[str, int] = field(default_factory=dict)
    """Of the repetitions, how many were of which kind."""

    @property
    def stack(self) -> Stack:
        return self.line.stack

    def times(self, short: int, full: int) -> range:
        return range(short if self.short else full)

    def seconds(self, short: float, full: float) -> float:
        return short if self.short else full

    @contextmanager
    def strike(self) -> Iterator[None]:
        """One repetition: the fault is inside and undone at the end; from then on the way back to work is timed."""
        yield
        began = time.monotonic()
        self.repetitions += 1
        self.recover()
        self.recoveries.append(time.monotonic() - began)

    def recover(self) -> None:
        """Wait until every process says that it works, and a new call is taken."""
        all_work(self.stack)
        answer = self.line.surely("/intake/v1/contacts", call(self.line), seconds=REST)
        assert answer.is_success, answer.text

    def expect(self, held: object, sentence: str) -> None:
        """What the fault itself promises, beside the invariants."""
        if not held:
            self.complaints.append(sentence)


def all_work(stack: Stack) -> None:
    """Wait until every process says that it works. They are asked at once: one that waits for its database answers late."""
    names = [(service, role) for service in SERVICES for role in ROLES]
    with httpx2.Client(timeout=5) as http, ThreadPoolExecutor(len(names)) as at_once:
        eventually(lambda: all(at_once.map(lambda name: is_ready(http, stack, name), names)), REST, every=0.1)


class Grounds:
    """What lies on a line from fault to fault, as a context manager."""

    def __init__(self, line: Line) -> None:
        self._line, self._held = line, ExitStack()
        self._what: Ground | None = None
        self._here: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def lay(self, what: Ground | None, random: Random) -> Any:
        """What this ground gives; another one is taken up first."""
        if what is not self._what:
            self._held.close()
            self._what, self._here = None, None
            self._here = self._held.enter_context(what(self._line, random)) if what else None
            self._what = what
        return self._here


@dataclass(frozen=True)
class Fault:
    """done: what is done to the line. expected: what it does then, beside every invariant. rounds: of the full form."""

    name: str
    done: str
    expected: str
    run: Callable[[Chaos], None]
    rounds: int = 1
    ground: Ground | None = None


class NotRun(Exception):
    """This machine does not let the fault be made; the message says why. Never counted as passed."""


@dataclass(frozen=True)
class Row:
    """A line of the table. wrong: other sentences of the checker, broken expectations, and complaints at the desks."""

    fault: str
    repetitions: int = 0
    lost: int = 0
    doubled: int = 0
    gaps: int = 0
    wrong: int = 0
    recoveries: tuple[float, ...] = ()
    sentences: tuple[str, ...] = ()
    parts: Mapping[str, int] = field(default_factory=dict)
    not_run: str = ""

    @property
    def held(self) -> bool:
        return not self.sentences and not self.not_run

    def __str__(self) -> str:
        if self.not_run:
            return f"{self.fault:<44} not run: {self.not_run}"
        recovery = (
            f"{statistics.median(self.recoveries):7.1f} {max(self.recoveries):7.1f}" if self.recoveries else "      –       –"
        )
        line = f"{self.fault:<44}{self.repetitions:>6}{self.lost:>6}{self.doubled:>9}{self.gaps:>6}{self.wrong:>7} {recovery}"
        return "\n".join([line, *(f"  {part:<42}{times:>6}" for part, times in self.parts.items())])


HEADER = f"{'fault':<44}{'times':>6}{'lost':>6}{'doubled':>9}{'gaps':>6}{'wrong':>7}  recovery median, max (s)"
FAULTS: dict[str, Fault] = {}


def fault(
    name: str, done: str, expected: str, rounds: int = 1, ground: Ground | None = None
) -> Callable[[Callable[[Chaos], None]], Callable[[Chaos], None]]:
    """Register a function as a fault."""

    def register(run: Callable[[Chaos], None]) -> Callable[[Chaos], None]:
        FAULTS[name] = Fault(name, done, expected, run, rounds, ground)
        return run

    return register


def run(
    fault: Fault,
    line: Line,
    random: Random,
    *,
    short: bool,
    people: int | None = None,
    say: Callable[[str], None] = print,
    grounds: Grounds | None = None,
) -> Row:
    """The fault under load, then rest, then everything that is written is checked. people: how many work; by the form without.
    grounds: what may lie here for the next fault as well."""
    if grounds is None:
        with Grounds(line) as own:
            return run(fault, line, random, short=short, people=people, say=say, grounds=own)
    chaos, busy = Chaos(line, random, short, say), people or (2 if short else 3)
    try:
        chaos.ground = grounds.lay(fault.ground, random)
        with Desks(line, random, busy) as desks:
            chaos.desks = desks
            desks.tell(1)
            fault.run(chaos)
            chaos.recover()
            desks.tell(busy)
    except NotRun as why:
        return Row(fault.name, not_run=str(why))
    except Exception:  # noqa: BLE001 - whatever it is, it is the finding
        chaos.complaints.append(traceback.format_exc(limit=-3))
    found = Counter[str]()
    sentences = [*chaos.complaints, *desks.complaints]
    try:
        line.rest(REST)
        broken = findings(line.snapshot())
        found.update(meaning for meaning, _ in broken)
        sentences += [sentence for _, sentence in broken]
    except AssertionError:
        sentences.append(f"the line does not come to rest: {line.moving()}")
    except psycopg.Error:
        sentences.append(traceback.format_exc(limit=-3))
    wrong = found["wrong"] + len(sentences) - found.total()
    return Row(
        fault.name,
        chaos.repetitions,
        found["lost"],
        found["doubled"],
        found["gaps"],
        wrong,
        tuple(chaos.recoveries),
        tuple(sentences),
        chaos.parts,
    )


def leaks(line: Line) -> Row:
    """After all faults: no word of a person lies in any file or table that the line left behind."""
    line.rest(REST)
    sentences = [sentence for _, sentence in findings(line.snapshot(MARK)) if sentence.startswith("no_word")]
    return Row("no word in plain anywhere, after all of it", 1, wrong=len(sentences), sentences=tuple(sentences))

"""One contest: contestants take turns for some rounds, and the median of each figure counts.

Ratios of one run are what can be compared: machines differ, and so do the hours of one machine. What a bench finds it puts into its
`Report` at once, so that a run that is cut short keeps what was measured.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Scale:
    """How much is measured: the whole run takes about ten minutes, a short one about two and proves only that it runs."""

    short: bool = False

    @property
    def rounds(self) -> int:
        return 1 if self.short else 3

    def of(self, full: int, short: int) -> int:
        """One number for either run."""
        return short if self.short else full


@dataclass(frozen=True)
class Measured:
    """A rate a second and, where single operations were timed, quantiles of their time in milliseconds."""

    rate: float
    p50_ms: float | None = None
    p99_ms: float | None = None


def measured(times: Sequence[float], seconds: float) -> Measured:
    """Operations that took these times (in seconds), all within so many seconds."""
    return Measured(len(times) / seconds, *quantiles(times))


def quantiles(times: Sequence[float]) -> tuple[float, float]:
    """Median and 99th percentile of times in seconds, as milliseconds. Raises ValueError where there is nothing to count."""
    if not times:
        raise ValueError("nothing was measured")
    cuts = statistics.quantiles(times, n=100, method="inclusive") if len(times) > 1 else [times[0]] * 99
    return cuts[49] * 1000, cuts[98] * 1000


async def closed_loop(clients: int, seconds: float, work: Callable[[], Awaitable[object]]) -> Measured:
    """So many clients that each ask again as soon as they were answered; a tenth of the time before counts as warming up."""
    times: list[float] = []
    begin = time.perf_counter() + seconds / 10
    end = begin + seconds

    async def client() -> None:
        while (asked := time.perf_counter()) < end:
            await work()
            if (now := time.perf_counter()) >= begin:
                times.append(now - asked)

    await asyncio.gather(*(client() for _ in range(clients)))
    return measured(times, time.perf_counter() - begin)


def contest(contestants: Mapping[str, Callable[[], Measured]], rounds: int) -> dict[str, Measured]:
    """Each contestant in each round, another one first every time; medians."""
    found: dict[str, list[Measured]] = {name: [] for name in contestants}
    for n in range(rounds):
        names = list(contestants)
        for name in names[n % len(names) :] + names[: n % len(names)]:
            found[name].append(contestants[name]())
    return {name: _median(each) for name, each in found.items()}


def _median(rounds: Sequence[Measured]) -> Measured:
    def of(figures: Sequence[float | None]) -> float | None:
        known = [figure for figure in figures if figure is not None]
        return statistics.median(known) if known else None

    rate = of([each.rate for each in rounds]) or 0.0
    return Measured(rate, of([each.p50_ms for each in rounds]), of([each.p99_ms for each in rounds]))


@dataclass(frozen=True)
class Target:
    """What a figure should reach: at least `bound`, or at most."""

    about: str
    value: float
    bound: float
    unit: str = "×"
    at_most: bool = False

    @property
    def held(self) -> bool:
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        return (
            f"{self.about}: {shown(self.value)} {self.unit}, target {sign} {shown(self.bound)}: {'held' if self.held else 'missed'}"
        )


@dataclass
class Report:
    """What one bench found. about: how it was measured, in a sentence or two."""

    name: str
    title: str
    about: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def row(self, **figures: Any) -> None:
        """One line of the table."""
        self.rows.append(figures)
        print("  " + "   ".join(f"{name.replace('_', ' ')} {shown(value)}" for name, value in figures.items()), flush=True)

    def target(self, about: str, value: float, bound: float, unit: str = "×", at_most: bool = False) -> None:
        """Compare a figure with what it should be."""
        self.targets.append(Target(about, value, bound, unit, at_most))
        print(f"  {self.targets[-1]}", flush=True)

    def note(self, text: str) -> None:
        """Something a reader of the table must know."""
        self.notes.append(text)
        print(f"  {text}", flush=True)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"targets": [asdict(target) | {"held": target.held} for target in self.targets]}

    def as_markdown(self) -> str:
        """A heading, what was done, the table, the targets."""
        parts = [f"### {self.title}", self.about]
        if self.rows:
            names = list(dict.fromkeys(name for row in self.rows for name in row))
            lines = [[name.replace("_", " ") for name in names], ["---"] + ["---:"] * (len(names) - 1)]
            lines += [[shown(row.get(name, "")) for name in names] for row in self.rows]
            parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
        if self.targets:
            parts.append("\n".join(f"* {target}" for target in self.targets))
        return "\n\n".join(parts + self.notes)


def figures(found: Measured, rival: Measured | None = None) -> dict[str, Any]:
    """The columns of one contestant; `ratio` to a rival's rate."""
    columns: dict[str, Any] = {"per_s": found.rate, "p50_ms": found.p50_ms, "p99_ms": found.p99_ms}
    return columns | ({"ratio": found.rate / rival.rate} if rival else {})


def shown(value: object) -> str:
    """Three digits that count; whole numbers in groups of three."""
    if value is None:
        return ""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return str(value)
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def say(line: str) -> None:
    """A line of progress."""
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)

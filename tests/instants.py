"""As-of over a long history: what was shown live is shown again, byte for byte, and every instant is closed, though clocks jump.

`python -m tests.instants` lets many stories grow side by side in five real logs, whose services' clocks jump to and fro by up to an
hour. Projections folds them with a lag of its own for each log. At random moments somebody reads a file over the API; the answer is
kept. Later all of these instants are asked for in another order. Then as many times of day are resolved, and each is held against
the rows: it is the last position of each log by then, and no fact in it lacks its cause.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

from chassis.log import Log, Row
from chassis.service import parts_of
from contracts.kernel import Fact
from deploy.local.postgres import Postgres
from services.projections.swaps import view_of
from services.projections.test_samples import (
    POLICE,
    Ids,
    approved,
    assessed,
    ended,
    measure,
    message,
    noted,
    opened,
    plan,
    reported,
    reviewed,
    sent,
    silent,
    taken,
)
from services.projections.views.history import LOGS
from services.projections.views.instants import note_end, text
from tests.desk import Desk, create_databases, desk, settings_for

WRITERS = ("intake", "cases", "referrals", "notifications")
AT_ONCE = 40  # stories that are being told at the same time
JUMP = 3600.0  # seconds
RECENT = 400  # facts that may be named as a cause
BASE = "/projections/v1"


@dataclass
class Story:
    """One case with its record, contact, hand-offs and messages; what is still to be told of each stream, in that stream's order."""

    ids: Ids
    left: dict[UUID, list[Fact]]
    told: dict[UUID, int] = field(default_factory=dict)

    @classmethod
    def of(cls, number: int, dice: Random) -> "Story":
        ids = Ids(number)
        steps = [noted(ids, step) for step in ("sent", "delivered", "escalated", "acknowledged")]
        dice.shuffle(steps)
        decided = [plan(ids, 1), plan(ids, 2), approved(ids, 2), reviewed(ids, 2), ended(ids, "risk_remains")]
        first = list(reported(ids))
        left = {
            ids.contact: [fact for stream, facts in first if stream == ids.contact for fact in facts],
            ids.record: [fact for stream, facts in first if stream == ids.record for fact in facts],
            ids.case: [*opened(ids), *steps, *measure(ids), assessed(ids), *decided],
            ids.other_case: opened(ids, ids.sibling),
            ids.to_commune: [*sent(ids), *silent(ids), *taken(ids)],
            ids.to_police: sent(ids, POLICE, "crime_report"),
            ids.thread: message(ids),
        }
        return cls(ids, left)


@dataclass(frozen=True)
class Shown:
    """An answer that somebody was given: as of this instant, these bytes."""

    path: str
    instant: str
    etag: str
    body: bytes


@dataclass
class Told:
    """What the logs hold, kept beside them: per log the stamps in order, and what each prefix of it needs of the others."""

    stamps: dict[str, list[datetime]] = field(default_factory=lambda: {log: [] for log in LOGS})
    needs: dict[str, list[dict[str, int]]] = field(default_factory=lambda: {log: [{}] for log in LOGS})
    recent: list[tuple[str, Row]] = field(default_factory=list)

    def take(self, log: str, row: Row) -> None:
        """The next row of a log."""
        assert row.position == len(self.stamps[log]) + 1, "the positions of a log are dense"
        assert not self.stamps[log] or self.stamps[log][-1] <= row.recorded_at, "its stamps never run back"
        self.stamps[log].append(row.recorded_at)
        before, (cause, _, position) = self.needs[log][-1], json.loads(row.state)["meta"]["cause"].partition(":")
        more = {cause: int(position)} if cause in LOGS and int(position) > before.get(cause, 0) else {}
        self.needs[log].append({**before, **more} if more else before)
        self.recent = [*self.recent[-RECENT:], (log, row)]

    def by(self, at: datetime) -> dict[str, int]:
        """The last position of each log by then."""
        return {log: bisect_right(stamps, at) for log, stamps in self.stamps.items()}

    def missing(self, vector: dict[str, int]) -> list[str]:
        """The causes that lie behind an instant; none if it is closed."""
        needed = [(cause, position) for log in LOGS for cause, position in self.needs[log][vector[log]].items()]
        return [f"{cause}:{position}" for cause, position in needed if position > vector[cause]]


@dataclass
class World:
    """Five logs that grow, a view that follows them, and a desk at which it is read."""

    dice: Random
    home: Path
    logs: dict[str, Log]
    worker: Desk
    reading: Desk
    told: Told = field(default_factory=Told)
    jumps: int = 0
    _pending: dict[str, list[Row]] = field(default_factory=lambda: {log: [] for log in LOGS})

    def __post_init__(self) -> None:
        self._view = view_of(self.worker.parts.pool, "127.0.0.1:1", self.worker.parts.log)
        self._mine = 0

    async def begin(self) -> None:
        """What the logs hold already: each its own creation, or nothing."""
        for log in LOGS:
            await self._view.begin(log)
        for name, log in self.logs.items():
            for row in await log.after(0, 1000):
                self._take(name, row)

    # -- growing -----------------------------------------------------------------------------------------------------------------

    async def grow(self, events: int, looks: int) -> list[Shown]:
        """Until so many facts are told; meanwhile so many answers are given."""
        stories, numbers, seen, shown = list[Story](), iter(range(1, events)), list[Story](), list[Shown]()
        moments = sorted(self.dice.randrange(events // 20, events) for _ in range(looks))
        count = 0
        while count < events:
            stories = [story for story in stories if story.left]
            while len(stories) < AT_ONCE:
                stories.append(await self._new(next(numbers)))
                seen.append(stories[-1])
            if self.dice.random() < 0.05:
                self._jump()
            count += await self._round(self.dice.sample(stories, self.dice.randint(5, AT_ONCE)))
            await self._follow()
            while moments and moments[0] <= count:
                moments.pop(0)
                shown.append(await self._look(seen))
        return shown

    async def _new(self, number: int) -> Story:
        story = Story.of(number, self.dice)
        ids = story.ids
        await self.worker.parts.keys.create({ids.child, ids.sibling, ids.caller, ids.informant, ids.alleged, ids.taker})
        return story

    async def _round(self, stories: list[Story]) -> int:
        """One fact of each of these stories, all at once: the logs commit them in groups."""
        told = await asyncio.gather(*(self._tell(story) for story in stories))
        for log, row in sorted(told, key=lambda each: each[1].position):
            self._take(log, row)
        return len(told)

    async def _tell(self, story: Story) -> tuple[str, Row]:
        stream = self.dice.choice(list(story.left))
        fact, version = story.left[stream].pop(0), story.told.get(stream, 0)
        if not story.left[stream]:
            del story.left[stream]
        story.told[stream] = version + 1
        cause, not_before = f"rest:{UUID(int=self.dice.getrandbits(128), version=4)}", None
        if self.told.recent and self.dice.random() < 0.6:
            log, row = self.dice.choice(self.told.recent)
            cause, not_before = f"{log}:{row.position}", row.recorded_at
        said = {
            "command": str(uuid4()),
            "actor": "TVV-01",
            "as": "counsellor",
            "cause": cause,
            "correlation": str(story.ids.contact),
        }
        said |= {"occurred_at": self.logs[fact.log].time.now().isoformat()}
        if stream == story.ids.case and version:
            said["seen"] = str(version)
        written = await self.logs[fact.log].record(stream, version, [fact], UUID(said["command"]), said, not_before)
        return fact.log, written.rows[0]

    def _take(self, log: str, row: Row) -> None:
        self.told.take(log, row)
        self._pending[log].append(row)

    def _jump(self) -> None:
        """The clock of one machine is set, ahead or back."""
        self.jumps += 1
        file = self.home / self.dice.choice(LOGS) / "clock"
        file.write_text(f"{self.dice.uniform(-JUMP, JUMP):.6f}", encoding="ascii")

    # -- following and looking ---------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """The view folds some of what it has not folded, or nothing, of each log for itself."""
        for row in await self.worker.parts.log.after(self._mine, 5000):
            self._mine = row.position
            self._take("projections", row)
        for log in self.dice.sample(LOGS, len(LOGS)):
            if len(self._pending[log]) > self.dice.randrange(150):
                await self._fold(log, self.dice.randint(1, len(self._pending[log])))

    async def _fold(self, log: str, most: int) -> int:
        done = await self._view.take(log, self._pending[log][:most])
        self._pending[log] = self._pending[log][done:]
        return done

    async def rest(self) -> None:
        """Everything is folded; the ends of the logs are known."""
        while any(self._pending.values()):
            assert sum([await self._fold(log, len(rows)) for log, rows in self._pending.items() if rows]), "a cause never came"
            await self._follow()
        last = max(stamps[-1] for stamps in self.told.stamps.values() if stamps)
        for log in LOGS:
            await note_end(self.worker.parts.pool, log, last + timedelta(minutes=1))

    async def _look(self, stories: list[Story]) -> Shown:
        """Somebody reads a file that there is."""
        while True:
            ids = self.dice.choice(stories[-5 * AT_ONCE :]).ids
            path = self.dice.choice([f"/cases/{ids.case}", f"/cases/{ids.case}/timeline", f"/records/{ids.record}"])
            answer = await self.ask(path)
            if answer.status_code == 200:
                return Shown(path, answer.headers["hotline-instant"], answer.headers["etag"], answer.content)
            assert 404 == answer.status_code, answer.text  # nothing of it is folded yet: another one
            await self._follow()

    async def ask(self, path: str):
        return await self.reading.get(BASE + path, hotline_purpose="duty")


@asynccontextmanager
async def world(postgres: Postgres, home: Path, dice: Random) -> AsyncIterator[World]:
    """A world over the empty databases of a server; each service reads its clock from a file of its own."""
    create_databases(postgres)
    for name in LOGS:
        (home / name).mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as open_:
        parts = {
            name: await open_.enter_async_context(parts_of(name, settings_for(postgres, name, home / name))) for name in WRITERS
        }
        worker = await open_.enter_async_context(desk(postgres, "projections", home / "projections", role="worker"))
        reading = await open_.enter_async_context(desk(postgres, "projections", home / "projections"))
        made = World(dice, home, {name: each.log for name, each in parts.items()}, worker, reading)
        await made.begin()
        yield made


# -- what must hold --------------------------------------------------------------------------------------------------------------


async def asked_again(made: World, shown: list[Shown]) -> tuple[list[str], list[float]]:
    """What reads otherwise than it did, or stands on something that is missing, and how long each answer took, in seconds."""
    wrong, times = list[str](), list[float]()
    for each in made.dice.sample(shown, len(shown)):
        began = time.perf_counter()
        answer = await made.ask(f"{each.path}?as_of={each.instant}")
        times.append(time.perf_counter() - began)
        if (each.body, each.etag, each.instant) != (
            answer.content,
            answer.headers.get("etag"),
            answer.headers.get("hotline-instant"),
        ):
            wrong.append(f"{each.path} as of {each.instant}: {answer.status_code}")
        wrong += [f"{each.instant} was shown without {cause}" for cause in made.told.missing(_vector(each.instant))]
    return wrong, times


async def times_of_day(made: World, shown: list[Shown], many: int) -> list[str]:
    """What is wrong with times that are resolved: another position than the last by then, a missing cause, another answer than that
    of the instant they are resolved to."""
    wrong, ends = list[str](), [stamps for stamps in made.told.stamps.values() if stamps]
    first, last = min(stamps[0] for stamps in ends), max(stamps[-1] for stamps in ends)
    for _ in range(many):
        at = first + (last - first) * made.dice.random()
        if made.dice.random() < 0.5:  # exactly at a stamp
            at = made.dice.choice(made.dice.choice(ends))
        expected, path = made.told.by(at), made.dice.choice(shown).path
        by_time = await made.ask(f"{path}?as_of={at.isoformat().replace('+', '%2B')}")
        by_vector = await made.ask(f"{path}?as_of={text(expected)}")
        if (by_time.status_code, by_time.content) != (by_vector.status_code, by_vector.content):
            wrong.append(f"{path} as of {at.isoformat()} is not that of {text(expected)}")
        if by_time.status_code == 200 and text(expected) != by_time.headers["hotline-instant"]:
            wrong.append(f"{at.isoformat()} is {text(expected)}, and was resolved to {by_time.headers['hotline-instant']}")
        wrong += [f"{at.isoformat()} lacks {cause}" for cause in made.told.missing(expected)]
    return wrong


def _vector(instant: str) -> dict[str, int]:
    return {log: int(position) for log, _, position in (part.partition(":") for part in instant.split(","))}


async def run(postgres: Postgres, home: Path, events: int, instants: int, seed: int) -> tuple[list[str], Iterator[str]]:
    """What is wrong, and the lines of a report."""
    began = time.perf_counter()
    async with world(postgres, home, Random(seed)) as made:
        shown = await made.grow(events, instants)
        await made.rest()
        grown = time.perf_counter() - began
        heads = {log: len(stamps) for log, stamps in made.told.stamps.items()}
        wrong, times = await asked_again(made, shown)
        wrong += await times_of_day(made, shown, instants)
        cuts = statistics.quantiles(times, n=100)
        report = (
            f"seed                    {seed}",
            f"events                  {sum(heads.values()):,}: {text(heads)}",
            f"clocks set              {made.jumps:,} times, by up to {JUMP:,.0f} s ahead or back",
            f"grown and folded in     {grown:,.0f} s",
            f"shown live, asked again {len(shown):,} instants of {len({each.path for each in shown}):,} files and timelines",
            f"times of day resolved   {instants:,}",
            f"an answer as of         median {1000 * statistics.median(times):.1f} ms, 99 of 100 within {1000 * cuts[98]:.1f} ms",
            f"wrong                   {len(wrong)}",
        )
        return wrong, iter(report)


def main() -> int:
    """Grow, ask, report. Ends with 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.instants", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--instants", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=Random().randrange(1_000_000))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Postgres(Path(folder) / "postgres") as postgres:
        wrong, report = asyncio.run(run(postgres, Path(folder), given.events, given.instants, given.seed))
    print("\n".join([*report, *wrong[:20]]), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

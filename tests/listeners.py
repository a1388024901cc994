"""A service that notes what it hears, for tests of hearing: its own log, its own database, one reaction and perhaps a copy."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import ClassVar
from uuid import UUID, uuid4

from psycopg_pool import AsyncConnectionPool

from chassis.commands import Commands
from chassis.follow import Follower
from chassis.hearing import Ears
from chassis.kafka import topic_of
from chassis.listening import Listening
from chassis.log import Log
from chassis.mapper import Recorded
from chassis.parked import parked_handlers, retries
from chassis.reaction import Reaction
from contracts import system
from contracts.ids import system_stream
from contracts.kernel import Command, Fact, Refused
from contracts.rules import LAW
from tests.topics import Said, number, running, until


class NotedFact(Fact):
    log: ClassVar[str] = "noted"


class Noted(NotedFact):
    word: str


class ParkedRetried(NotedFact, system.Retried):
    pass


class ParkedDiscarded(NotedFact, system.Discarded):
    pass


class Note(Command):
    creates: ClassVar[bool] = True
    word: str


def decide(command: Command, notes: tuple[str, ...] | None) -> Iterator[Fact]:
    assert isinstance(command, Note)
    match command.word:
        case "forbidden":
            raise Refused("forbidden-word")
        case "known":
            raise Refused("already-known")
        case "fault":
            raise ZeroDivisionError
        case word:
            yield Noted(word=word)


def decide_anything(command: Command, notes: tuple[str, ...] | None) -> Iterator[Fact]:
    """What refused is mended."""
    assert isinstance(command, Note)
    yield Noted(word=command.word)


def evolve(fact: Fact, notes: tuple[str, ...] | None) -> tuple[str, ...]:
    return (*(notes or ()), fact.word) if isinstance(fact, Noted) else notes or ()


def note(heard: Recorded) -> Iterator[tuple[UUID, Command]]:
    if isinstance(heard.fact, Said):
        yield heard.fact.to, Note(word=heard.fact.word)


NOTE = Reaction("note", Said, Note, note, done=frozenset({"already-known"}))


@dataclass
class Listener:
    """A service that notes what it hears, in a database of its own."""

    ears: Ears
    kafka: str
    log: Log
    pool: AsyncConnectionPool
    database: str

    @asynccontextmanager
    async def listening(self):
        up = asyncio.Event()
        async with running(Listening(self._anew(), self.kafka).run(up.set), up) as task:
            yield task

    @asynccontextmanager
    async def working(self):
        """It listens, and obeys what is decided about what it parked."""
        up, ears = asyncio.Event(), self._anew()
        follower = Follower("clocks", self.log, self.pool, parked_handlers("noted"))
        obeying = retries(self.pool, ears.again, lambda: None)
        async with (
            running(follower.run(lambda: None)),
            running(obeying),
            running(Listening(ears, self.kafka).run(up.set), up) as task,
        ):
            yield task

    def _anew(self):
        """The ears of a process that has just begun."""
        return replace(self.ears, _heard={}, _saved={}, _moved=asyncio.Condition())

    def mended(self):
        """The same service in a version that refuses nothing."""
        commands = replace(self.ears.commands, decide=decide_anything)
        return replace(self, ears=replace(self.ears, commands=commands))

    async def decide(self, kind, topic, position, stream):
        """As an operator's command would record it."""
        itself = system_stream("noted")
        fact = kind(source=topic.log, position=position, stream=stream, reason="cause_mended")
        meta = {"cause": f"rest:{uuid4()}", "correlation": str(itself)}
        return await self.log.record(itself, len(await self.log.events(itself)), [fact], uuid4(), meta)

    async def fetch(self, query, *args):
        async with self.pool.connection() as db:
            return await (await db.execute(query, args)).fetchall()

    async def heard(self, source):
        rows = await self.fetch("SELECT position FROM heard WHERE topic = %s", topic_of(source))
        return rows[0][0] if rows else 0

    async def has_heard(self, source, position):
        await until(lambda: self._heard(source, position))
        assert position == await self.heard(source)

    async def _heard(self, source, position):
        return await self.heard(source) >= position

    async def parked(self):
        return await self.fetch("SELECT position, reason FROM parked WHERE discarded_at IS NULL ORDER BY position")

    async def discarded(self):
        return await self.fetch("SELECT position, discarded_by FROM parked WHERE discarded_at IS NOT NULL ORDER BY position")

    async def words(self, stream):
        return list((await self.log.load(stream, evolve)).state or ())

    async def notes(self):
        """(cause, word) of everything it noted, in the order of its log."""
        facts = [json.loads(told.state) for told in await self.log.after(0, 1000)]
        return [(fact["meta"]["cause"], fact["fact"]["word"]) for fact in facts if "word" in fact["fact"]]


async def listener_to(world, *sources, copies=None):
    database, pool = await world.open_pool()
    log, names = Log("noted", pool), [source.log for source in sources]
    ears = Ears(f"listener{next(number)}", pool, Commands(log, decide, evolve, LAW), names, [NOTE], copies or {})
    return Listener(ears, world.kafka, log, pool, database)

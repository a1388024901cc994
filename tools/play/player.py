"""Playing a story: each step is done through the interface that a person, a program or a mail server would use, then looked at."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from smtplib import SMTPException
from typing import Any
from uuid import UUID, uuid4, uuid5

import httpx2
from pydantic import ValidationError

from tools.play import checks, client
from tools.play.client import Client, NoSuchCommand, NoSuchPerson
from tools.play.ears import Ears, Heard, from_the_beginning
from tools.play.looking import Finding, Seen, findings
from tools.play.printing import Checked, Printer, Result
from tools.play.story import (
    VERBS,
    Body,
    Facts,
    Mail,
    Mailbox,
    OpenLink,
    Processes,
    Read,
    Step,
    Story,
    StoryError,
    TakeOver,
    Zalo,
    arguments,
)
from tools.play.values import Missing, fill, select
from tools.play.world import Late, World, until, words_of

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"https?://\S+/acknowledgements/\S+")
GLANCE = 0.6  # seconds to let an answered command's facts come into the timeline before the next step
AT_REST = 30.0


CANNOT = (Missing, Late, ValidationError, LookupError, httpx2.HTTPError, SMTPException)
"""What keeps a step from being done: it is told as a check that did not hold."""


class StoryEnds(Exception):
    """A step could not be done as told, so those after it make no sense."""


@dataclass
class Player:
    """One play of one story."""

    story: Story
    world: World
    client: Client
    ears: Ears
    printer: Printer
    run: UUID = field(default_factory=uuid4)
    killed: dict[str, int] = field(default_factory=dict)
    acknowledged: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.result = Result(self.story.story, self.run.hex[:12], positions=self.ears.positions())
        persons = {person: str(uuid4()) for person in self.story.persons}
        self.names: dict[str, Any] = {**persons, "run": self.run.hex[:12]}
        self.names |= {name: fill(value, self.names, self.world.now) for name, value in self.story.names.items()}
        self.verbs: dict[str, Callable[[Step, Any], Awaitable[Seen]]] = {
            "read": self.read,
            "zalo": self.zalo,
            "mail": self.mail,
            "mailbox": self.mailbox,
            "open-link": self.open_link,
            "take-over": self.take_over,
            "wait-until": self.facts,
            "count": self.facts,
            "kill": self.kill,
            "recovered": self.recovered,
            "positions": self.positions,
            "invariants": self.invariants,
            "pass-time": self.pass_time,
        }

    async def play(self) -> Result:
        """Every step in order, until one cannot be done."""
        began = time.monotonic()
        self.printer.title(self.story)
        try:
            await self._set_up()
            self.ears.on_fact = self.printer.fact
            for number, step in enumerate(self.story.steps):
                await self._step(number, step)
            self.result.complete = True
        except StoryEnds as why:
            self.printer.note(f"{why}; {len(self.story.steps) - self.result.steps} steps were not played")
        self.result.positions, self.result.seconds = self.ears.positions(), time.monotonic() - began
        self.printer.table(self.result)
        return self.result

    # -- a step ----------------------------------------------------------------------------------------------------------------

    async def _set_up(self) -> None:
        await self.world.set_time(self.story.begins_at)
        known = [body for body in self.story.agencies if not await self._register(body)]
        if self.story.agencies:
            self.printer.note(f"{len(self.story.agencies) - len(known)} agencies registered, {len(known)} known")
        await self._rest()

    async def _register(self, body: Body) -> bool:
        """Whether the agency is new."""
        contacts = [{"channel": "email", "address": address} for address in body.email]
        said = {"role": body.role, "place": body.place, "label": body.label, "valid_from_on": body.since, "contacts": contacts}
        answer = await self.client.command(
            "RegisterAgency", None, said, who=body.by, key=uuid5(self.run, f"{body.role}@{body.place}")
        )
        if not answer.ok and answer.problem != "place-taken":
            raise StoryEnds(f"{body.label} could not be registered: {answer}")
        return answer.ok

    async def _step(self, number: int, step: Step) -> None:
        line = self.story.line(number)
        if step.at:
            await self._move_to(step.at)
        self.printer.step(step, self.world.now())
        try:
            seen = await (self._verb(step) if step.what in VERBS else self._command(number, step))
            held = self._look(step, seen, line)
            self._save(step, seen)
        except CANNOT as problem:
            self._check(step, line, Finding(step.say, str(problem) or type(problem).__name__))
            raise StoryEnds(f"line {line}: {problem}") from problem
        self.result.steps += 1
        is_needed = step.what not in VERBS or step.save
        if not held and is_needed and seen.answer and not seen.answer.ok and (step.expect.status or 200) < 400:
            raise StoryEnds(f"line {line}: {step.what} was refused")

    def _look(self, step: Step, seen: Seen, line: int) -> bool:
        held = [self._check(step, line, finding) for finding in findings(step, seen, self._filled)]
        return all(held)

    def _check(self, step: Step, line: int, finding: Finding) -> bool:
        checked = Checked(step.promise or "", finding.what, finding.held, finding.why, line)
        self.result.checks.append(checked)
        self.printer.checked(checked)
        return finding.held

    def _save(self, step: Step, seen: Seen) -> None:
        if isinstance(step.save, str):
            self.names[step.save] = seen.shown
        for name, path in step.save.items() if isinstance(step.save, dict) else ():
            self.names[name] = select(seen.shown, self._filled(path))

    def _filled(self, value: Any) -> Any:
        return fill(value, self.names, self.world.now)

    # -- time ------------------------------------------------------------------------------------------------------------------

    async def _move_to(self, at: datetime) -> None:
        """Let time pass until `at`, stopping wherever something falls due, so that it happens then."""
        await self._rest()
        while due := self.ears.due_between(self.world.now(), at):
            await self.world.set_time(due[0])
            await self._rest()
        if self.world.now() < at:
            await self.world.set_time(at)

    async def _rest(self) -> None:
        await self.ears.rest(self.world.now, AT_REST)

    async def _again(self, step: Step, look: Callable[[], Awaitable[Seen]]) -> Seen:
        """Look until what is expected holds, or the step's time is over; then whatever was seen last."""
        seen: list[Seen] = []

        async def holds() -> bool:
            seen.append(await look())
            return all(finding.held for finding in findings(step, seen[-1], self._filled))

        with suppress(Late):  # what was seen last is judged, and told
            await until(step.say, holds, step.within, every=0.1)
        return seen[-1]

    # -- verbs -----------------------------------------------------------------------------------------------------------------

    async def _verb(self, step: Step) -> Seen:
        return await self.verbs[step.what](step, arguments(step, self._filled(step.args)))

    async def _command(self, number: int, step: Step) -> Seen:
        key = uuid5(self.run, step.key or f"step {number}")
        of, seen = self._filled(step.of), self._filled(step.seen)
        body = self._filled(step.args)
        answer = await self.client.command(
            step.what, of, body, who=step.who or "", key=key, seen=seen, as_=self._filled(step.acts_as)
        )
        if answer.ok and answer.position:
            log, last = answer.position
            self.acknowledged += [(log, {**fact, "stream": answer.body["id"]}) for fact in answer.body["told"]]
            await self.ears.reached(log, last, GLANCE)
        return Seen(answer.shown(), answer, answer.text)

    async def read(self, step: Step, args: Read) -> Seen:
        """A query, asked again until what is expected holds or the time is over."""

        async def once() -> Seen:
            heard = {log: last for log, last in self.ears.positions().items() if last and log != "projections"}
            wait_for = ",".join(f"{log}:{last}" for log, last in heard.items()) if "/projections/" in args.path else ""
            answer = await self.client.read(
                args.path, who=step.who, purpose=args.purpose, reason=args.reason, wait_for=wait_for, as_=self._filled(step.acts_as)
            )
            return Seen(answer.shown(), answer, answer.text)

        return await once() if step.expect.status and step.expect.status >= 400 else await self._again(step, once)

    async def zalo(self, step: Step, args: Zalo) -> Seen:  # noqa: ARG002 - verbs look alike
        raw = (ROOT / args.file).read_bytes()
        raw = client.changed_payload(raw, args.changes) if args.changes else raw
        recorded = client.recorded_headers((ROOT / args.headers).read_text(encoding="utf-8")) if args.headers else None
        answer = await self.client.zalo(raw, recorded or client.zalo_headers(raw, args.sign))
        return Seen(answer.shown(), answer, answer.text)

    async def mail(self, step: Step, args: Mail) -> Seen:  # noqa: ARG002
        raw = client.changed_mail((ROOT / args.file).read_bytes(), args.changes)
        await asyncio.to_thread(client.send_mail, self.world.state["smtp_port"], "bao-tin@truong-mau.example", args.to, raw)
        return Seen({"bytes": len(raw)})

    async def mailbox(self, step: Step, args: Mailbox) -> Seen:
        async def look() -> Seen:
            mails = self.world.mails(args.address, args.about)
            text = "\n\n".join(map(words_of, mails))
            return Seen(
                {"mails": [{"subject": str(mail["Subject"]), "text": words_of(mail)} for mail in mails]}, None, text, len(mails)
            )

        if step.expect.count is not None:
            await self._rest()  # "exactly so many" means that no more are on their way
        return await self._again(step, look)

    async def open_link(self, step: Step, args: OpenLink) -> Seen:
        links: list[str] = []

        async def there() -> bool:
            links.extend(link for mail in self.world.mails(args.address, args.about) for link in LINK.findall(words_of(mail)))
            return bool(links)

        await until(f"a mail with a link to {args.address}", there, step.within, every=0.1)
        answer = await self.client.open(links[-1])
        return Seen({**answer.shown(), "link": links[-1]}, answer, answer.text)

    async def take_over(self, step: Step, args: TakeOver) -> Seen:
        page = self._filled(step.of)
        filled = args.model_dump(exclude_defaults=True)
        answer = await self.client.send_form(page["link"], page["text"], filled)
        return Seen({**answer.shown(), "link": page["link"]}, answer, answer.text)

    async def facts(self, step: Step, args: Facts) -> Seen:
        """`wait-until`: at least one such fact, or as many as expected. `count`: exactly so many, once all is at rest."""
        of = self._filled(step.of)
        least = step.expect.count or 1
        found: list[Heard] = []

        async def there() -> bool:
            found[:] = self.ears.matching(args.fact, of, args.where)
            return len(found) >= least

        if step.what == "wait-until":
            await self.ears.until(f"{args.fact} {args.where or ''}".strip(), there, step.within)
        else:
            await self._rest()
            await there()
        shown = found[-1].shown() if found else {}
        return Seen({**shown, "all": [heard.shown() for heard in found]}, None, "", len(found))

    async def kill(self, step: Step, args: Processes) -> Seen:  # noqa: ARG002
        killed = self.world.kill(args.processes)
        self.killed |= killed
        self.printer.note(f"kill -9 {' '.join(str(pid) for pid in killed.values())}; the logs stand at {self._where()}")
        return Seen(dict(killed), None, "", len(killed))

    async def recovered(self, step: Step, args: Processes) -> Seen:
        await self.world.recovered({name: self.killed[name] for name in args.processes}, step.within)
        await self._rest()
        self.printer.note(f"back, all caught up; the logs stand at {self._where()}")
        return Seen({}, None, "", len(args.processes))

    async def positions(self, step: Step, args: Any) -> Seen:  # noqa: ARG002
        await self._rest()
        self.printer.note(f"the logs stand at {self._where()}")
        return Seen({**self.ears.positions(), "vector": self._where()})

    async def invariants(self, step: Step, args: Any) -> Seen:  # noqa: ARG002
        """Read every topic anew from position 1, and hold what stands there against what was answered and heard."""
        await self._rest()
        told, gaps = await from_the_beginning(self.world.state["kafka"])
        broken = {name: list(check(told)) for name, check in checks.INVARIANTS.items()}
        broken["nothing that was answered is lost"] = list(checks.lost(self.acknowledged, told))
        broken["what was heard stands there still"] = [*gaps, *self.ears.gaps, *checks.differences(self.ears.told, told)]
        for name, problems in broken.items():
            self._check(step, self.story.line(self.result.steps), Finding(name, "; ".join(problems[:3])))
        counts = {log: len(facts) for log, facts in told.items()}
        self.printer.note(
            f"{sum(counts.values())} facts read anew: {', '.join(f'{log} 1–{count}' for log, count in counts.items())}"
        )
        return Seen({**counts, "acknowledged": len(self.acknowledged)})

    async def pass_time(self, step: Step, args: Any) -> Seen:  # noqa: ARG002
        await self._rest()
        return Seen({})

    def _where(self) -> str:
        return ",".join(f"{log}:{last}" for log, last in self.ears.positions().items())


async def play(story: Story, home: Path, printer: Printer | None = None) -> Result:
    """Play a story on the stack that runs in `home`.

    Raises StoryError for a story that names commands or people nobody knows, GoneError if the stack is not there.
    """
    world = World(home, began=time.time_ns())
    state = world.state
    door = Client(state["urls"]["front"], state["oidc_issuer"])
    await door.learn()
    for number, step in enumerate(story.steps):
        try:
            if step.what not in VERBS:
                door.route(step.what)
            if step.who:
                door.knows(step.who)
        except (NoSuchCommand, NoSuchPerson) as problem:
            raise StoryError(f"line {story.line(number)}: {problem}") from None
    try:
        await door.log_in({step.who for step in story.steps if step.who} | {body.by for body in story.agencies})
    except NoSuchPerson as problem:
        raise StoryError(str(problem)) from None
    async with Ears(state["kafka"]) as ears:
        return await Player(story, world, door, ears, printer or Printer(quiet=True)).play()

"""The timeline of a play on a terminal (colours there, plain text when piped), and the closing table."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import typer

from contracts import places
from contracts.calendar import ZONE
from contracts.rules import LAW
from tools.play.ears import Heard
from tools.play.story import Step, Story

Fields = Mapping[str, Any]
CLOCK_SIGNS = {
    "ClockStarted": ("◷", "cyan"),
    "ClockMet": ("✓", "green"),
    "ClockBreached": ("✗", "red"),
    "ClockWaived": ("–", "yellow"),
}


@dataclass(frozen=True)
class Checked:
    """One thing that was looked at. promise: what it is part of; line: of its step in the file."""

    promise: str
    check: str
    held: bool
    why: str = ""
    line: int = 0


@dataclass
class Result:
    """What became of a play. complete: every step was played."""

    story: str
    run: str
    checks: list[Checked] = field(default_factory=list)
    steps: int = 0
    complete: bool = False
    seconds: float = 0.0
    positions: dict[str, int] = field(default_factory=dict)

    @property
    def held(self) -> bool:
        return self.complete and all(check.held for check in self.checks)

    def as_json(self) -> str:
        return json.dumps({**asdict(self), "held": self.held}, ensure_ascii=False, indent=1)


class Printer:
    """Says what happens as it happens. A quiet one says nothing."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet

    def title(self, story: Story) -> None:
        """The story's name, what it is about, and what of its source is left out."""
        self._say(typer.style(f"\n{story.story}", bold=True))
        self._say(story.about.strip())
        for fact in story.left_out:
            self._say(typer.style(f"  left out: {fact}", dim=True))
        self._say("")

    def step(self, step: Step, at: datetime) -> None:
        """When, who, what."""
        who = typer.style(f"{step.who or '':<10}", fg="blue")
        self._say(f"{_day_and_time(at)}  {who} {typer.style(step.say, bold=True)}")

    def fact(self, heard: Heard) -> None:
        """What a log told: its position, and the one thing about it that a reader wants."""
        sign, colour = CLOCK_SIGNS.get(heard.name, ("·", None))
        line = f"    {heard.at:<18} {sign} {_about(heard)}"
        self._say(typer.style(line, fg=colour) + typer.style(_by(heard), dim=True))

    def note(self, text: str) -> None:
        """Something the player itself has to say."""
        self._say(typer.style(f"    {text}", dim=True))

    def checked(self, check: Checked) -> None:
        """A check right after its step; only what did not hold is told at length."""
        if not check.held:
            self._say(typer.style(f"    NOT SO: {check.check}: {check.why}", fg="red", bold=True))

    def table(self, result: Result) -> None:
        """Promise, check, result; then the verdict."""
        rows = _rows(result.checks)
        wide = max([len(promise) for promise, _, _ in rows] + [7])
        longest = max([len(check) for _, check, _ in rows] + [5])
        self._say(typer.style(f"\n{'promise':<{wide}}  {'check':<{longest}}  result", bold=True))
        for promise, check, verdict in rows:
            colour = "green" if verdict == "held" else "red"
            self._say(f"{promise:<{wide}}  {check:<{longest}}  {typer.style(verdict, fg=colour)}")
        positions = ", ".join(f"{log}:{last}" for log, last in result.positions.items())
        self._say(f"\n{len(result.checks)} checks, {result.steps} steps, {result.seconds:.0f} s; the logs stand at {positions}")
        verdict = (
            "every check held"
            if result.held
            else "NOT every check held"
            if result.complete
            else "the story did not come to its end"
        )
        self._say(typer.style(verdict, fg="green" if result.held else "red", bold=True))

    def _say(self, line: str) -> None:
        if not self._quiet:
            typer.echo(line)


def _rows(checks: list[Checked]) -> list[tuple[str, str, str]]:
    """A row a promise while everything held; what did not hold has a row of its own. Checks of no promise show when they failed."""
    rows: list[tuple[str, str, str]] = []
    for promise in dict.fromkeys(check.promise for check in checks):
        own = [check for check in checks if check.promise == promise]
        failed = [check for check in own if not check.held]
        if promise and not failed:
            first, more = own[0].check, len(own) - 1
            rows.append((_cut(promise, 60), _cut(first, 60) + (f" and {more} more" if more else ""), "held"))
        for check in failed:
            where = f"line {check.line}: " if check.line else ""
            rows.append((_cut(promise or "–", 60), _cut(f"{where}{check.check}", 72), "FAILED"))
    return rows


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _day_and_time(at: datetime) -> str:
    return at.astimezone(ZONE).strftime("%d %b %H:%M:%S")


def _by(heard: Heard) -> str:
    """Who told it, unless it is the person of the step: a reaction, a loop, the link; and who read a file."""
    actor = heard.meta.get("actor", "")
    kind, _, name = actor.partition(":")
    if kind in ("policy", "link"):
        return f"  by {name if kind == 'policy' else 'the link'}"
    return f"  {heard.fact['view']} by {actor}, {heard.fact['purpose']}" if heard.name == "CaseRead" else ""


def _about(heard: Heard) -> str:
    """What a fact says, in a line."""
    tell = _ABOUT.get(heard.name) or (_message if heard.name.startswith("Message") else None)
    return tell(heard.name, heard.fact) if tell else heard.name


def _started(_: str, fact: Fields) -> str:
    rule = fact["rule"].partition("@")[0]
    source = LAW.legal(rule) if LAW.has(rule) else None
    return f"{fact['clock']} runs, due {_due(fact)} for {_body(fact['responsible'])} · {source or 'internal'}"


def _met(_: str, fact: Fields) -> str:
    return f"{fact['clock']} met at {_day_and_time(datetime.fromisoformat(fact['met_at']))}{', late' if fact['late'] else ''}"


def _breached(_: str, fact: Fields) -> str:
    return f"{fact['clock']} BREACHED by {_body(fact['responsible'])}, was due {_due(fact)}"


def _recomputed(_: str, fact: Fields) -> str:
    return f"{fact['clock']} now due {_due(fact)}, because of {fact['because']}"


def _waived(_: str, fact: Fields) -> str:
    return f"{fact['clock']} no longer owed: {fact['reason']}"


def _hand_off(name: str, fact: Fields) -> str:
    return f"{name} {fact['of']['kind']} → {_body(fact['of']['addressee'])}" + (f" via {fact['via']}" if "via" in fact else "")


def _escalated(name: str, fact: Fields) -> str:
    return f"{name} rung {fact['level']} → {', '.join(map(_body, fact['to']))}, because of {fact['because']}"


def _noted(name: str, fact: Fields) -> str:
    return f"{name} {fact['kind']} {fact['step']} · {_body(fact['addressee'])}"


def _message(name: str, fact: Fields) -> str:
    letter = f" {fact['letter']['template']}" if "letter" in fact else ""
    way = f" over {fact['channel']}" if "channel" in fact else ""
    return f"{name}{letter} → {_body(fact['recipient'])}{way}" + (f": {fact['reason']}" if "reason" in fact else "")


_ABOUT: dict[str, Callable[[str, Fields], str]] = {
    "ClockStarted": _started,
    "ClockMet": _met,
    "ClockBreached": _breached,
    "ClockRecomputed": _recomputed,
    "ClockWaived": _waived,
    "ReferralSent": _hand_off,
    "ReferralDelivered": _hand_off,
    "ReferralAcknowledged": _hand_off,
    "ReferralEscalated": _escalated,
    "HandOffNoted": _noted,
}


def _due(fact: Mapping[str, Any]) -> str:
    return _day_and_time(datetime.fromisoformat(fact["due_at"]))


def _body(addressee: Mapping[str, Any]) -> str:
    return f"{addressee['role']} {places.label(addressee['place'])}"

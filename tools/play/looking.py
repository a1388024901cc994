"""Looking at what a step brought: every expectation of it is one finding, which holds or says why not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tools.play.client import Answer
from tools.play.story import Step
from tools.play.values import Missing, same, select

Fill = Callable[[Any], Any]


@dataclass(frozen=True)
class Seen:
    """What a step brought. shown: what paths of the story look into; text: what a person would read; count: mails or facts."""

    shown: dict[str, Any]
    answer: Answer | None = None
    text: str = ""
    count: int | None = None


@dataclass(frozen=True)
class Finding:
    """Something that was looked at. why: what is wrong with it, "" if nothing."""

    what: str
    why: str

    @property
    def held(self) -> bool:
        return not self.why


def findings(step: Step, seen: Seen, fill: Fill) -> list[Finding]:
    """Everything that the step expects, in the order of the format."""
    return [*_of_answer(step, seen), *_of_content(step, seen, fill)]


def _of_answer(step: Step, seen: Seen) -> Iterator[Finding]:
    expect, answer = step.expect, seen.answer
    if answer:
        right = answer.status == expect.status if expect.status else answer.ok
        yield Finding(step.say if right else f"{step.say} [{expect.status or 'done'}]", "" if right else str(answer))
    if expect.code:
        yield Finding(f"refused: {expect.code}", "" if answer and answer.problem == expect.code else str(answer))
    if expect.told is not None:
        told = [fact["type"].partition(".")[2] for fact in seen.shown.get("told", [])]
        yield Finding(f"told: {', '.join(expect.told) or 'nothing'}", "" if told == expect.told else f"told: {', '.join(told)}")
    if expect.count is not None:
        yield Finding(f"{step.say} [{expect.count}]", "" if seen.count == expect.count else f"it is {seen.count}")
    elif answer is None and seen.count is not None:
        yield Finding(step.say, "")


def _of_content(step: Step, seen: Seen, fill: Fill) -> Iterator[Finding]:
    for path, wanted in step.expect.answer.items():
        yield Finding(f"{path} = {wanted}", _difference(seen.shown, fill(path), fill(wanted)))
    for text in step.expect.has:
        yield Finding(f"has {text}", "" if fill(text) in seen.text else "it has not")
    for text in step.expect.lacks:
        yield Finding(f"does not have {text}", "it has" if fill(text) in seen.text else "")


def _difference(shown: Any, path: str, wanted: Any) -> str:
    try:
        actual = select(shown, path)
    except Missing as why:
        return str(why)
    return "" if same(wanted, actual) else f"it is {actual}"

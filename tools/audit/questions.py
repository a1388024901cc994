"""The questions of an auditor about one case, each with how it is folded and how it is shown."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from rich.console import RenderableType

from chassis.transient import StoreGone
from services.projections.views.files import Files
from services.projections.views.instants import text
from services.projections.views.timeline import By
from tools.audit import pages
from tools.audit.records import LogRecords
from tools.audit.running_logs import RunningLogs, running_logs
from tools.recovery.running import CannotAsk, Running


class Answer(Protocol):
    """What all of them answer. incomplete: something of the case cannot be read."""

    @property
    def incomplete(self) -> bool: ...

    def model_dump(self, *, mode: str) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Question:
    """What is asked of a case, at which instants; until is the one that is shown."""

    case: str
    since: str | None
    until: str | None
    fold: Callable[[Files, UUID], Awaitable[Any]]
    page: Callable[[Any, str], RenderableType]


class Answered(NamedTuple):
    """What is known, as of the instant, and how it looks in a terminal."""

    answer: Answer
    instant: str
    page: RenderableType


def file_of(case: str, as_of: str | None) -> Question:
    """The file as it stood."""
    return Question(case, None, as_of, lambda at, id_: at.case(id_), pages.replayed)


def timeline_of(case: str, by: By, as_of: str | None) -> Question:
    """Every fact in one order."""
    return Question(case, None, as_of, lambda at, id_: at.timeline(id_, by), pages.told_in_time)


def changes_of(case: str, since: str, until: str | None) -> Question:
    """What became otherwise in between."""
    return Question(case, since, until, lambda at, id_: at.diff(id_), pages.compared)


def reads_of(case: str, since: str | None, until: str | None) -> Question:
    """Who looked in between."""
    return Question(case, since, until, lambda at, id_: at.reads(id_), pages.looked_at)


def answered(stack: Running, question: Question) -> Answered:
    """The answer out of the logs of the running stack. Raises CannotAsk, or what a part ends with that is down."""
    try:
        with running_logs(stack) as logs:
            return asyncio.run(_folded(logs, question))
    except StoreGone:
        raise CannotAsk("a database does not answer: hotline doctor says which") from None


async def _folded(logs: RunningLogs, question: Question) -> Answered:
    case, id_ = question.case, logs.case(question.case)
    begins = logs.begins(id_)
    if begins is None:
        raise CannotAsk(f"there is no case {case}")
    since, until = logs.stretch(question.since, question.until)
    files = Files(LogRecords(logs.logs, until), sealed=False, since=since)
    answer = await question.fold(files, id_)
    if answer is None:
        raise CannotAsk(f"at that instant there was no case {case}: it begins with {begins}")
    return Answered(answer, text(until), question.page(answer, text(until)))

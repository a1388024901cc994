"""The format of a story, and reading it: whatever is wrong with a file is said with its line before anything is played.

Steps that are no commands are *verbs*; what stands in their `with` is one of the models below.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError

from contracts import cases, intake, notifications, projections, referrals
from contracts.kernel import Fact
from tools.play.values import local_time, names_in

FOLDER = Path(__file__).parents[2] / "stories"
BUILT_IN = {"now", "run"}
TOLD = frozenset(
    f"{module.__name__.removeprefix('contracts.')}.{name}"
    for module in (intake, cases, referrals, notifications, projections)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, Fact) and hasattr(kind, "TOPIC")
)
"""Every type of fact that there is, as `cases.CaseOpened`."""


class StoryError(Exception):
    """The file is no story; the message names file and line."""


class Part(BaseModel):
    """A part of a story; a misspelt name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


LocalTime = Annotated[datetime, BeforeValidator(lambda text: local_time(str(text)) or text)]


class Read(Part):
    """GET. Waits until projections has heard everything that was told so far."""

    path: str
    purpose: str | None = None
    reason: str | None = Field(None, pattern=r"^[ -~]+$")  # a header: ASCII


class Zalo(Part):
    """A delivery of the webhook: the exact bytes of a file under the headers recorded beside it, or changed and signed again."""

    file: str
    headers: str | None = None
    changes: dict[str, Any] = Field(default_factory=dict)
    sign: Literal["ours", "foreign", "not"] = "ours"


class Mail(Part):
    """A mail to the line by SMTP; `changes` replace whole header lines."""

    file: str
    to: str = "tongdai@hotline.example"
    changes: dict[str, str] = Field(default_factory=dict)


class Mailbox(Part):
    """Mails that an address got since the play began, with this text in subject or body."""

    address: str
    about: str = ""


class OpenLink(Mailbox):
    """The link in the newest such mail, opened."""


class TakeOver(Part):
    """The form of the opened page, filled in and sent."""

    name: str
    office: str
    phone: str = ""


class Facts(Part):
    """Facts told since the play began. `where`: paths into the fact; the envelope lies under `envelope`."""

    fact: str
    where: dict[str, Any] = Field(default_factory=dict)


class Processes(Part):
    """Processes of the stack, as `cases.worker`."""

    processes: list[str] = Field(min_length=1)


class Nothing(Part):
    """No argument."""


VERBS: dict[str, type[Part]] = {
    "read": Read,
    "zalo": Zalo,
    "mail": Mail,
    "mailbox": Mailbox,
    "open-link": OpenLink,
    "take-over": TakeOver,
    "wait-until": Facts,
    "count": Facts,
    "kill": Processes,
    "recovered": Processes,
    "positions": Nothing,
    "invariants": Nothing,
    "pass-time": Nothing,
}


class Expect(Part):
    """What must come of a step. `answer`: path → value. `told`: fact types of the answer, in order. has, lacks: texts in it.

    count: how many mails or facts. Without `status`, a success is expected.
    """

    status: int | None = None
    code: str | None = None
    answer: dict[str, Any] = Field(default_factory=dict)
    told: list[str] | None = None
    has: list[str] = Field(default_factory=list)
    lacks: list[str] = Field(default_factory=list)
    count: int | None = None


class Step(Part):
    """One thing that somebody does, or that is looked at."""

    at: LocalTime | None = None
    who: str | None = None
    acts_as: str | None = Field(None, alias="as")
    say: str
    what: str
    of: str | None = None
    args: dict[str, Any] = Field(default_factory=dict, alias="with")
    seen: str | int | None = None
    key: str | None = None
    save: str | dict[str, str] | None = None
    expect: Expect = Field(default_factory=Expect)
    promise: str | None = None
    within: float = Field(20, gt=0, le=600)

    @property
    def saved(self) -> list[str]:
        """The names that later steps may use."""
        return [self.save] if isinstance(self.save, str) else list(self.save or ())


class Body(Part):
    """An agency to register before the story begins, unless it is known."""

    role: str
    place: str
    label: str
    email: list[str] = Field(default_factory=list)
    since: str = "2025-07-01"
    by: str = "GS-01"


class Story(Part):
    """A whole story. `left_out`: facts of the source that the product cannot play yet, and why."""

    story: str
    about: str
    rules: Literal["law", "demo"]
    left_out: list[str] = Field(default_factory=list)
    names: dict[str, Any] = Field(default_factory=dict)
    persons: list[str] = Field(default_factory=list)
    agencies: list[Body] = Field(default_factory=list)
    steps: list[Step] = Field(min_length=1)
    _lines: list[int] = PrivateAttr(default_factory=list)

    def line(self, step: int) -> int:
        """The line of a step in the file; 0 for a story that was not read from one."""
        return self._lines[step] if self._lines else 0

    @property
    def begins_at(self) -> datetime | None:
        """Its first instant; None for a story that runs in real time."""
        return self.steps[0].at


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core types: dates, `7_15`, `22:40` and `no` are text, as a story's author means them."""


_Loader.yaml_implicit_resolvers = dict[str, Any]()
for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("int", r"-?[0-9]+", "-0123456789"),
    ("float", r"-?[0-9]+\.[0-9]+", "-0123456789"),
    ("null", r"null|~|", ["n", "~", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})$"), list(_first))


def find(name: str) -> Path:
    """A path, or the name of a story in `stories/`: `demo`, `S01`. StoryError if there is none, or more than one."""
    if Path(name).is_file():
        return Path(name)
    found = [path for path in sorted(FOLDER.glob("*.yaml")) if path.stem == name or path.stem.startswith(f"{name}-")]
    if len(found) != 1:
        known = ", ".join(path.stem for path in sorted(FOLDER.glob("*.yaml")))
        raise StoryError(f"{name}: {'more than one story has' if found else 'no story has'} this name; there are {known}")
    return found[0]


def load(path: Path) -> Story:
    """Read a story. StoryError names file and line of the first thing that is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=_Loader)
        _no_key_twice(path, tree)
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except OSError as problem:
        raise StoryError(f"{path}: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise StoryError(f"{path}: not UTF-8") from None
    except yaml.MarkedYAMLError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else 1
        raise StoryError(f"{path}:{line}: {problem.problem}") from None
    try:
        story = Story.model_validate(data)
    except ValidationError as problem:
        first = problem.errors()[0]
        raise StoryError(f"{path}:{_line(tree, first['loc'])}: {_words(first)}") from None
    story._lines = [_line(tree, ("steps", number)) for number in range(len(story.steps))]
    for number, problem in _wrong_with(story):
        raise StoryError(f"{path}:{story.line(number)}: {problem}")
    return story


def arguments(step: Step, values: dict[str, Any]) -> Any:
    """What stands in `with`, in the shape of the step's verb. Raises ValidationError."""
    return VERBS[step.what].model_validate(values)


def _wrong_with(story: Story) -> Iterator[tuple[int, str]]:
    """What the shapes cannot say: names used before they are saved, times that run backwards, arguments of verbs."""
    known = BUILT_IN | set(story.names) | set(story.persons)
    before: datetime | None = None
    for number, step in enumerate(story.steps):
        used = [step.of, step.args, step.seen, step.expect.model_dump(), step.who, step.acts_as]
        for name in names_in(used):
            if name not in known:
                yield number, f"${{{name}}} is used before it is saved"
        known |= set(step.saved)
        if problem := _wrong_with_arguments(step):
            yield number, problem
        if step.at and not story.begins_at:
            yield number, "`at` needs that the first step has one: a story runs at its own instants or in real time"
        if step.at and before and step.at < before:
            yield number, "time does not run backwards"
        before = step.at or before


def _wrong_with_arguments(step: Step) -> str | None:
    if step.what not in VERBS:
        return None if step.who else f"{step.what} is a command, so the step must say who gives it"
    try:
        given = arguments(step, step.args)
    except ValidationError as problem:
        return f"with: {_words(problem.errors()[0])}"
    return f"no service tells {given.fact}" if isinstance(given, Facts) and given.fact not in TOLD else None


def _words(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    return f"{where}: {error['msg']}" if where else str(error["msg"])


def _no_key_twice(path: Path, node: Any) -> None:
    if isinstance(node, yaml.MappingNode):
        known: set[str] = set()
        for key, _ in node.value:
            if key.value in known:
                raise StoryError(f"{path}:{key.start_mark.line + 1}: {key.value} stands here twice")
            known.add(key.value)
    for child in node.value if isinstance(node, yaml.CollectionNode) else ():
        for part in child if isinstance(child, tuple) else (child,):
            _no_key_twice(path, part)


def _line(node: Any, place: tuple[str | int, ...]) -> int:
    """The line of the deepest part of this place that the file has."""
    line = node.start_mark.line + 1 if node else 1
    for part in place:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == part), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line

"""The words a domain is written in: facts, commands, refusals and the marks on personal fields.

Domains import this module and nothing of the machinery. A fact carries no id, no version and no actor: those belong to the
envelope, which the chassis writes.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Self, TypeVar, Union, get_args, get_origin
from uuid import UUID

from eventsourcing.utils import register_topic
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, PrivateAttr
from pydantic_core import PydanticCustomError

from contracts.rules import Rules

NS = UUID("b7a4d6bb-ef15-564d-a36d-c91e3ecf4ef5")
"""Name space of every derived id: uuid5(NAMESPACE_URL, "urn:hotline111")."""

S = TypeVar("S")
EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _in_utc(at: datetime) -> datetime:
    """Clocks and calendars add and subtract: near the ends of what a datetime can say that would overflow."""
    if not EARLIEST <= at < LATEST:
        raise PydanticCustomError("unlikely-instant", "from 1900 to 2199")
    return at.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A point in time from 1900 to 2199, told with its offset and kept in UTC."""


@dataclass(frozen=True, slots=True)
class Personal:
    """Marks a sealed field: `name: Annotated[str | None, Personal("child_id")] = None`.

    `of` names the UUID field of the *same* model that holds the person whose key seals the value. A sealed field accepts None and
    defaults to it, because after that person is forgotten the fact must still fold.
    """

    of: str


class Shape(BaseModel):
    """A value that crosses a border: immutable, and strict about fields nobody agreed on."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    personal: ClassVar[dict[str, str]] = {}
    """Sealed field → field of the person, as declared on this class and its bases."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        marks = {name: mark.of for name, field in cls.model_fields.items() for mark in field.metadata if isinstance(mark, Personal)}
        for name, of in marks.items():
            field = cls.model_fields[name]
            if field.is_required() or field.get_default() is not None or NoneType not in _alternatives(field.annotation):
                raise TypeError(f"{cls.__name__}.{name} is personal, so it must accept None and default to it")
            person = cls.model_fields.get(of)
            if person is None or UUID not in _alternatives(person.annotation) or of in marks:
                raise TypeError(f"{cls.__name__}.{name} names {of!r}, which is no clear UUID field of the same model")
        cls.personal = marks


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


class Fact(Shape):
    """Something that happened, in the past tense, and nothing else.

    `log` names the service whose log holds it; `TOPIC` = `<log>.<ClassName>` is its stable name in rows and records, so modules may
    move. Raise `class_version` on a breaking change and add a static `upcast_v1_v2(state)` that edits the old dict in place.
    """

    log: ClassVar[str]
    TOPIC: ClassVar[str]
    class_version: ClassVar[int] = 1

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "log" not in cls.__dict__ and hasattr(cls, "log"):  # a base that sets `log` is no fact itself
            cls.TOPIC = f"{cls.log}.{cls.__name__}"
            register_topic(cls.TOPIC, cls)


def changed(state: S, /, **fields: Any) -> S:
    """A state of a stream with these fields and everything else as it was: `dataclasses.replace`, which calls the constructor, is
    most of what folding a long case takes. For frozen dataclasses without slots. Raises TypeError for a field it has not."""
    if not fields.keys() <= state.__dict__.keys():
        raise TypeError(f"{type(state).__name__} has no field {sorted(fields.keys() - state.__dict__.keys())}")
    other = object.__new__(type(state))
    other.__dict__.update(state.__dict__, **fields)
    return other


@dataclass(frozen=True, slots=True)
class Given:
    """What the chassis hands to a decision beside the command's body; the body can never say it.

    actor: opaque subject id, `policy:<reaction>` or `link:<referral>`. as_: the capacity, `<role>@<place>`. now: UTC.
    stream: the stream decided about. salt: 16 random bytes for a digest over sealed text, the same in every re-decision.
    """

    actor: str
    as_: str
    now: datetime
    rules: Rules
    stream: UUID
    salt: bytes


class Command(Shape):
    """Something somebody wants. `occurred_at` is when they say it happened; without it, now."""

    creates: ClassVar[bool] = False
    """True for a command that may be the first of its stream."""
    needs_if_match: ClassVar[bool] = False
    """True where people decide on what they saw: without `If-Match` the answer is 428."""
    filled: ClassVar[frozenset[str]] = frozenset()
    """Fields that the service fills from a directory before it decides; a body that brings one is refused."""

    occurred_at: Instant | None = None
    _given: Given | None = PrivateAttr(default=None)

    def knowing(self, given: Given) -> Self:
        """The same command with what the chassis knows."""
        copy = self.model_copy()
        copy._given = given
        return copy

    @property
    def given(self) -> Given:
        if self._given is None:
            raise LookupError("a command is decided only after `knowing(given)`")
        return self._given

    @property
    def actor(self) -> str:
        return self.given.actor

    @property
    def now(self) -> datetime:
        return self.given.now

    @property
    def story(self) -> UUID | None:
        """The contact this command belongs to, where the body says so: its correlation. Else the stream's own is copied."""
        return None

    @property
    def happened_at(self) -> datetime:
        """When it happened by the teller's word, else now."""
        return self.occurred_at or self.given.now


class Refused(Exception):
    """The rules do not allow it. `code` is part of the contract: kebab case, said as a sentence; details go into the answer."""

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(code)
        self.code, self.details = code, details

"""The code as it stands: facts and their fields, commands, reactions, and the services as they are wired."""

import ast
import inspect
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

from psycopg_pool import AsyncConnectionPool
from pydantic import AwareDatetime, SecretStr

from chassis.identity import Identity
from chassis.keys import KeyStore
from chassis.listening import Listening
from chassis.log import Log
from chassis.reaction import Reaction
from chassis.service import Parts, Service
from chassis.settings import Settings
from chassis.timing import Time
from contracts import system
from contracts.codes import Code
from contracts.kernel import Command, Fact, Shape
from contracts.places import PlaceText
from contracts.rules import LAW, LOGS

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "contracts"
WORDS: Mapping[Any, str] = {UUID: "uuid", AwareDatetime: "instant", date: "day", str: "text", int: "integer", bool: "yes or no"}


def facts_of(log: str) -> list[type[Fact]]:
    """The facts of a log, in the order in which its module tells them."""
    named = vars(import_module(f"contracts.{log}")).values()
    return [
        kind
        for kind in named
        if inspect.isclass(kind) and issubclass(kind, Fact) and getattr(kind, "TOPIC", "").startswith(f"{log}.")
    ]


def all_facts() -> list[type[Fact]]:
    return [fact for log in LOGS for fact in facts_of(log)]


def source_files(*folders: str) -> list[Path]:
    """The Python files below these folders, without tests and their fixtures."""
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    return [file for file in files if not file.name.startswith(("test_", "conftest", "examples"))]


@cache
def words_in(folder: str) -> frozenset[str]:
    """Every text constant in the source of a folder."""
    nodes = [node for file in source_files(folder) for node in ast.walk(ast.parse(file.read_bytes()))]
    return frozenset(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def meaning(kind: type) -> str:
    """What the docstring says, or that of the shape it only refers to."""
    docs = (inspect.cleandoc(base.__doc__ or "") for base in kind.__mro__ if base not in (Fact, Command, Shape))
    return " ".join(next(doc for doc in docs if doc and not doc.startswith("See `")).split())


# -- fields ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Type:
    """A field's type without its wrapping. `marks` are the metadata of all `Annotated` layers."""

    kind: Any
    marks: tuple[Any, ...]
    many: bool
    optional: bool

    def __str__(self) -> str:
        code = next((mark.list_id for mark in self.marks if isinstance(mark, Code)), None)
        place = any(isinstance(mark, PlaceText) for mark in self.marks)
        word = (
            f"code `{code}`"
            if code
            else "place"
            if place
            else WORDS.get(self.kind) or f"[{self.kind.__name__}](#{self.kind.__name__.lower()})"
        )
        return ("list of " if self.many else "") + word + (", optional" if self.optional else "")


def type_of(annotation: Any, marks: tuple[Any, ...] = (), *, many: bool = False, optional: bool = False) -> Type:
    """Look through `Annotated`, `| None` and `list`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_of(arguments[0], (*marks, *arguments[1:]), many=many, optional=optional)
    if origin in (Union, UnionType):
        (inner,) = (argument for argument in arguments if argument is not NoneType)
        return type_of(inner, marks, many=many, optional=True)
    if origin is list:
        return type_of(arguments[0], marks, many=True, optional=optional)
    return Type(annotation, marks, many, optional)


def fields_of(shape: type[Shape]) -> dict[str, Type]:
    return {name: type_of(field.annotation, tuple(field.metadata)) for name, field in shape.model_fields.items()}


def shape_in(field: Type) -> type[Shape] | None:
    return field.kind if inspect.isclass(field.kind) and issubclass(field.kind, Shape) else None


def shapes_below(shape: type[Shape]) -> Iterator[type[Shape]]:
    """Every shape that the fields of this one lead to, in their order."""
    for field in fields_of(shape).values():
        if inner := shape_in(field):
            yield inner
            yield from shapes_below(inner)


# -- services --------------------------------------------------------------------------------------------------------------------


def is_wired(service: str) -> bool:
    return find_spec(f"services.{service}.bootstrap") is not None


@contextmanager
def built(service: str) -> Iterator[Service]:
    """The real service from its own composition root, over pools that are never opened and keys that open nothing."""
    with tempfile.TemporaryDirectory() as folder:
        build = import_module(f"services.{service}.bootstrap").build
        yield build(_unopened(service, Path(folder)))


def _unopened(service: str, folder: Path) -> Parts:
    files = {"key": "00" * 32, "secret": f"whsec_{'A' * 32}", "groups": "groups: []"}
    for name, content in files.items():
        (folder / name).write_text(content, encoding="ascii")
    key, secret, groups = (folder / name for name in files)
    settings = Settings.model_construct(  # not from the environment: the answer is the same everywhere
        environment="test",
        port=0,
        database=SecretStr(""),
        keys=SecretStr(""),
        master_key_file=key,
        fingerprint_key_file=key,
        link_key_file=key,
        kafka="",
        oidc_issuer="",
        roles_file=groups,
        public_url="",
        zalo_app_id="app",
        zalo_secret_file=secret,
        mail_secret_file=secret,
    )
    pool = AsyncConnectionPool("", open=False)
    keys, time = KeyStore(pool, bytes(32)), Time()
    return Parts(service, settings, pool, keys, Log(service, pool, keys, time), time, LAW, Identity("", "", groups))


def commands_of(service: str) -> list[type[Command]]:
    """What the service decides, by name: its composition root wires one `decide`."""
    if not is_wired(service):
        return []
    decide = import_module(f"services.{service}.bootstrap").decide
    kinds: Mapping[type, Any] = decide.registry
    own = {kind for kind in kinds if issubclass(kind, Command) and kind is not Command}
    return sorted(own | set(system.COMMANDS), key=lambda kind: kind.__name__)


def reactions_of(service: str) -> list[Reaction]:
    if find_spec(f"services.{service}.reactions") is None:
        return []
    reactions: list[Reaction] = import_module(f"services.{service}.reactions").REACTIONS
    return reactions


@dataclass(frozen=True, slots=True)
class Hearing:
    """How a service hears a log.

    facts: those it acts on. copied: those of them by which it keeps a table or a cache. group: None for a view.
    """

    facts: list[type[Fact]]
    copied: list[type[Fact]]
    group: str | None


def hearing_of(service: Service) -> dict[str, Hearing]:
    """Log → how the service, as wired, hears it."""
    me = service.parts.name
    listen = service.loops.get("hearing")
    listening = getattr(listen, "__self__", None)
    heard = {log: Hearing(facts_of(log), [], None) for log in LOGS if log != me and f"view of {log}" in service.loops}
    if isinstance(listening, Listening):
        ears = listening.ears
        wanted = {reaction.hears for reaction in ears.reactions} | set(ears.copies)
        for log in ears.sources:
            facts = [fact for fact in facts_of(log) if fact in wanted]
            heard[log] = Hearing(facts, [fact for fact in facts if fact in ears.copies], f"{me}.{log}")
    return heard

"""Which problem codes the code can answer, read from its source: `contracts/problems.yaml` must say a sentence for each."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from chassis.problems import CODES, refused
from contracts.kernel import Refused
from tools.generate.model import ROOT, source_files

FOLDERS = ("contracts", "chassis", "services")
CODE_AT = {"Refused": 0, "Problem": 1, "PydanticCustomError": 0}
"""What carries a code to the outside, and at which argument; classes derived from these are found."""


class Found(NamedTuple):
    """One place that raises a code. code: None where it is computed there. status: None where the status is computed.

    service: `chassis` and `contracts` raise for every service.
    """

    kind: str
    code: str | None
    status: int | None
    service: str
    where: str


@cache
def found() -> tuple[Found, ...]:
    """Every place; `where` is `<path>:<line>`. Tests and their fixtures answer nobody."""
    trees = {file: ast.parse(file.read_bytes()) for file in source_files(*FOLDERS)}
    kinds = {name: (name, at) for name, at in CODE_AT.items()}
    for tree in trees.values():
        classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        kinds |= {node.name: kinds[base] for node in classes for base in _bases(node) if base in kinds}
    framework = (Found("Problem", code, status, "chassis", "chassis/problems.py") for status, code in CODES.items())
    return *framework, *(place for file, tree in trees.items() for place in _places(file.relative_to(ROOT), tree, kinds))


class Answer(NamedTuple):
    """How a code is answered: with these statuses, or 422 beside a pointer in `errors`; by these services, none for every one."""

    statuses: list[int]
    in_errors: bool
    services: list[str]


def answers() -> dict[str, Answer]:
    """Code → how it is answered."""
    by_code: dict[str, list[Found]] = {}
    for place in found():
        if place.code:
            by_code.setdefault(place.code, []).append(place)
    return {code: _answer(places) for code, places in sorted(by_code.items())}


def _answer(places: Sequence[Found]) -> Answer:
    own = [place for place in places if place.kind == "Problem"]  # a refusal that an adapter answers with a status of its own
    statuses = {place.status for place in own or places if place.status}
    services = {place.service for place in places}
    everywhere = services & {"chassis", "contracts"}
    in_errors = {"PydanticCustomError"} == {place.kind for place in places}
    return Answer(sorted(statuses), in_errors, [] if everywhere else sorted(services))


def _bases(node: ast.ClassDef) -> Iterator[str]:
    return (base.id for base in node.bases if isinstance(base, ast.Name))


def _places(file: Path, tree: ast.Module, kinds: Mapping[str, tuple[str, int]]) -> Iterator[Found]:
    service = file.parts[1] if file.parts[0] == "services" else file.parts[0]
    for kind, arguments, at, line in _calls(tree, kinds):
        status = arguments[0] if kind == "Problem" else None
        for code in _texts(arguments[at]):
            yield Found(kind, code, _status(kind, code, status), service, f"{file}:{line}")


def _calls(tree: ast.Module, kinds: Mapping[str, tuple[str, int]]) -> Iterator[tuple[str, list[ast.expr], int, int]]:
    """Each construction of a kind: kind, arguments, which of them is the code, line."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name), args=arguments) if name in kinds and len(arguments) > kinds[name][1]:
                yield kinds[name][0], arguments, kinds[name][1], node.lineno
            case ast.ClassDef() if kinds.keys() & set(_bases(node)):  # says its code itself: super().__init__("not-found")
                for call in ast.walk(node):
                    match call:
                        case ast.Call(func=ast.Attribute(attr="__init__"), args=[first, *_]):
                            yield "Refused", [first], 0, call.lineno
            case _:
                continue


def _texts(argument: ast.expr) -> Iterator[str | None]:
    match argument:
        case ast.Constant(value=str(code)):
            yield code
        case ast.IfExp(body=one, orelse=other):
            yield from _texts(one)
            yield from _texts(other)
        case _:
            yield None


def _status(kind: str, code: str | None, status: ast.expr | None) -> int | None:
    match kind, status:
        case "Problem", ast.Constant(value=int(number)):
            return number
        case "PydanticCustomError", _:
            return 422
        case "Refused", _ if code:
            return refused(Refused(code)).status
        case _:
            return None

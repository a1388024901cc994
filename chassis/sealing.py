"""Personal fields leave the process only sealed, one box a person an event, under a key of the person they are about.

Box, format 1 = base64 of `nonce(12) ‖ AES-256-GCM(key, plaintext, associated data) ‖ tag`. The associated data binds a box to its
event, so a box moved elsewhere does not open. The plaintext maps JSON Pointers to values and is padded with spaces to 64 bytes.
"""

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterator
from functools import reduce
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.kernel import Shape

PADDING = 64
S = TypeVar("S", bound=Shape)


class Place(NamedTuple):
    """Where a box stands: stream, version and type of its event."""

    stream: UUID
    version: int
    type: str


Part = dict[str, Any]
Path = tuple[str | int, ...]


def split(fact: Shape) -> tuple[dict[str, Any], dict[UUID, Part]]:
    """The clear fields as JSON-ready data, and per person the sealed ones as JSON Pointer → value."""
    clear: dict[str, Any] = fact.model_dump(mode="json")
    parts: dict[UUID, Part] = {}
    for path, shape in _shapes(fact):
        data = _at(clear, path)
        for name, of in shape.personal.items():
            if (value := data.pop(name)) is not None:
                pointer = "".join(f"/{step}" for step in (*path, name))
                parts.setdefault(_person(shape, name, of), {})[pointer] = value
    return clear, parts


def without(shape: S) -> S:
    """The same with every sealed field None: what somebody without any key reads. Deciders fold only this."""
    changed: dict[str, Any] = dict.fromkeys(shape.personal)
    for name, value in shape:
        if name in changed:
            continue
        if isinstance(value, Shape):
            inner: Any = without(value)
        elif isinstance(value, list):
            inner = [without(item) if isinstance(item, Shape) else item for item in value]
        else:
            continue
        changed[name] = inner
    return shape.model_copy(update=changed) if changed else shape


def people(fact: Shape) -> set[UUID]:
    """The persons whose keys sealing this fact needs."""
    return {
        _person(shape, name, of)
        for _, shape in _shapes(fact)
        for name, of in shape.personal.items()
        if getattr(shape, name) is not None
    }


def _at(data: Any, path: Path) -> Any:
    return reduce(lambda inside, step: inside[step], path, data)


def _person(shape: Shape, name: str, of: str) -> UUID:
    person = getattr(shape, of)
    if person is None:
        raise ValueError(f"{type(shape).__name__}.{name} is given, but the person it is about is not")
    return person


def _shapes(shape: Shape, path: Path = ()) -> Iterator[tuple[Path, Shape]]:
    """Every shape inside a fact and the path to it; a sealed field is one value and not entered."""
    yield path, shape
    for name, value in shape:
        if name in shape.personal:
            continue
        if isinstance(value, Shape):
            yield from _shapes(value, (*path, name))
        elif isinstance(value, (list, tuple)):
            for n, item in enumerate(value):
                if isinstance(item, Shape):
                    yield from _shapes(item, (*path, name, n))


def put_back(clear: dict[str, Any], part: Part) -> None:
    """Write opened values to their places; a place that an altered fact no longer has is passed over."""
    for pointer, value in part.items():
        *path, name = pointer.split("/")[1:]
        target: Any = clear
        try:
            for step in path:
                target = target[int(step)] if isinstance(target, list) else target[step]
            target[name] = value
        except (KeyError, IndexError, ValueError, TypeError):
            continue


def seal(key: bytes, part: Part, place: Place, person: UUID) -> str:
    """A box that only this key opens, and only in this place."""
    plain = json.dumps(part, ensure_ascii=False, separators=(",", ":")).encode()
    plain += b" " * (-len(plain) % PADDING)
    nonce = os.urandom(12)  # random: one person's fields are far too few for a repeat
    return b64encode(nonce + AESGCM(key).encrypt(nonce, plain, _bound_to(place, person))).decode()


def open_box(key: bytes, box: str, place: Place, person: UUID) -> Part:
    """Raises cryptography's InvalidTag for a foreign key, an altered box or another place."""
    raw = b64decode(box)
    part: Part = json.loads(AESGCM(key).decrypt(raw[:12], raw[12:], _bound_to(place, person)))
    return part


def _bound_to(place: Place, person: UUID) -> bytes:
    return f"1|{place.stream}|{place.version}|{place.type}|{person}".encode("ascii")

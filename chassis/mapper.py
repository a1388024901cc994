"""Between a fact in its envelope and the stored bytes: the `eventsourcing` library's mapper over our envelope.

State = `{"v": 1, "meta": {…}, "fact": {…}, "sealed": {"<person>": "<box>"}}`: UTF-8 JSON, hashed and published byte for byte.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Annotated, Any, cast
from uuid import UUID

from eventsourcing.persistence import JSONTranscoder, Mapper, MapperDeserialisationError, StoredEvent
from eventsourcing.utils import get_topic, resolve_topic
from pydantic import BaseModel, Field, Strict, create_model

from chassis import sealing
from contracts.kernel import Fact

HEARD = {"heard": True}
Meta = Mapping[str, str]
"""command, actor, as, occurred_at, cause, correlation, seen?, traceparent?"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A fact in its envelope, as told or as heard. Satisfies the library's event protocol without inheriting anything."""

    originator_id: UUID
    originator_version: int
    fact: Fact
    meta: Meta = field(default_factory=dict)
    log: str = ""
    position: int = 0
    recorded_at: datetime | None = None
    state: bytes = b""
    """The stored bytes, where it was read from a log or a topic."""

    @property
    def stream(self) -> UUID:
        return self.originator_id

    @property
    def version(self) -> int:
        return self.originator_version

    @property
    def cause(self) -> str:
        """How a reaction to this fact names it: `<log>:<position>`."""
        return f"{self.log}:{self.position}"


class FactMapper(Mapper[UUID]):
    """Seals personal fields going in; opens them coming out for whoever has the keys, and leaves them None for whoever has not."""

    def __init__(self, keys: Callable[[UUID], bytes | None] = lambda _: None) -> None:
        """keys: the key of a person from a cache that was filled before, None if it is destroyed or was not asked for."""
        super().__init__(JSONTranscoder())
        self._keys = keys

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """The event as bytes. Raises LookupError if a sealed field's person has no key: a key is durable before its first event."""
        fact: Fact = domain_event.fact
        topic = get_topic(type(fact))
        place = sealing.Place(domain_event.originator_id, domain_event.originator_version, topic)
        state: dict[str, Any] = {"v": type(fact).class_version, "meta": dict(domain_event.meta)}
        state["fact"], parts = sealing.split(fact)
        if parts:
            state["sealed"] = {str(person): sealing.seal(self._key(person), part, place, person) for person, part in parts.items()}
        return StoredEvent(domain_event.originator_id, domain_event.originator_version, topic, self.transcoder.encode(state))

    def to_domain_event(self, stored_event: StoredEvent) -> Recorded:
        """Raises MapperDeserialisationError for bytes that are no fact of ours, or newer than this reader."""
        try:
            kind: type[Fact] = resolve_topic(stored_event.topic)
            state = self.transcoder.decode(stored_event.state)
            version, fact, meta = state["v"], state["fact"], state["meta"]
        except Exception as problem:
            raise MapperDeserialisationError(f"{stored_event.topic} cannot be read: {type(problem).__name__}") from problem
        if not isinstance(version, int) or version > kind.class_version:
            raise MapperDeserialisationError(f"{stored_event.topic} version {version!r} is newer than this reader")
        stream = cast("UUID", stored_event.originator_id)  # the library also knows streams named by text; ours never are
        place = sealing.Place(stream, stored_event.originator_version, stored_event.topic)
        for person, box in state.get("sealed", {}).items():
            if key := self._keys(UUID(person)):
                sealing.put_back(fact, sealing.open_box(key, box, place, UUID(person)))
        for old in range(version, kind.class_version):
            getattr(kind, f"upcast_v{old}_v{old + 1}")(fact)
        try:  # strict when told, tolerant when heard: readers deploy first
            told = kind.model_validate(fact, extra="ignore", context=HEARD)
        except ValueError as problem:
            raise MapperDeserialisationError(f"{stored_event.topic} has an unexpected shape") from problem
        return Recorded(stream, stored_event.originator_version, told, meta)

    def _key(self, person: UUID) -> bytes:
        if key := self._keys(person):
            return key
        raise LookupError("a personal field is sealed under a person whose key was not fetched")


def clear_fact(topic: str, state: bytes) -> tuple[Fact, Meta]:
    """Fact and envelope of a stored state, sealed fields left None; raises as `to_domain_event` does.

    Bytes in the version of this build, which are nearly all, are parsed and checked in one pass.
    """
    try:
        read: Any = _as_told(topic).__pydantic_validator__.validate_json(state, extra="ignore", context=HEARD)
    except Exception:  # noqa: BLE001 - another version, or bytes that cannot be read: the long way tells which
        event = FactMapper().to_domain_event(StoredEvent(UUID(int=0), 1, topic, state))
        return event.fact, event.meta
    return read.fact, read.meta


@cache
def _as_told(topic: str) -> type[BaseModel]:
    """The stored state of a fact in the version of this build. Raises if there is no such fact."""
    kind: type[Fact] = resolve_topic(topic)
    now = Annotated[int, Strict(), Field(ge=kind.class_version, le=kind.class_version)]
    return create_model("AsTold", v=(now, ...), meta=(dict[str, Any], ...), fact=(kind, ...))


def people_in(state: bytes) -> list[UUID]:
    """The persons under whose keys a stored state is sealed; empty for bytes that are no state."""
    try:
        return [UUID(person) for person in JSONTranscoder().decode(state).get("sealed", {})]
    except (ValueError, AttributeError):
        return []

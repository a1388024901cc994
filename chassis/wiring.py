"""What the composition roots of the services share: an API over a domain, and the loops that every worker runs."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from types import ModuleType
from typing import Any

from psycopg import AsyncConnection

from chassis.about_itself import heartbeat
from chassis.clocks import clock_handlers, timer
from chassis.commands import Commands, Enrich
from chassis.follow import Follower, Handler, Handlers
from chassis.hearing import Ears
from chassis.identity import Relations
from chassis.keys import KeyStore
from chassis.listening import Listening
from chassis.mapper import Recorded
from chassis.parked import parked_handlers, retries
from chassis.parked_board import parked_board
from chassis.reaction import Reaction
from chassis.relay import Acknowledged, relay
from chassis.service import Loop, Parts
from chassis.settings import key_from
from chassis.signer import Signer
from chassis.web import Api, new_app
from contracts.kernel import Fact


def commands_of(
    parts: Parts,
    decide: Callable[[Any, Any], Iterable[Fact]],
    evolve: Callable[[Any, Any], Any],
    enrich: Enrich | None = None,
) -> Commands:
    """The one use case over this service's log and domain."""
    return Commands(parts.log, decide, evolve, parts.rules, enrich)


def api_of(parts: Parts, commands: Commands, relations: Relations) -> Api:
    """The REST side, what is parked among it; add the routes, then call `document()`."""
    key = key_from(parts.settings.fingerprint_key_file)
    api = Api(parts.name, new_app(parts.name), commands, parts.identity, relations, key)
    parked_board(api, parts)
    return api


def flushing(keys: KeyStore) -> Handler:
    """Whoever hears that a person was forgotten forgets every key at once; the place it heard moves with it."""

    async def flush(_: AsyncConnection[Any], __: Recorded) -> None:
        keys.flush()

    return flush


def loops_of(
    parts: Parts,
    commands: Commands,
    contracts: ModuleType,
    *,
    hears: Sequence[str] = (),
    reactions: Sequence[Reaction] = (),
    copies: Handlers | None = None,
    follows: Handlers | None = None,
    decided: Handlers | None = None,
) -> dict[str, Loop]:
    """relay tells the log, signer signs what was told, heartbeat breaks a silence, clocks and timer keep due times, hearing reacts
    to other logs.

    copies: small tables filled from what is heard. follows: small tables filled from the service's own log. decided: who obeys what
    is decided about parked facts, where that is not what hears here.
    """
    obeys = parked_handlers(parts.name) if decided is None else decided
    clocks = Follower("clocks", parts.log, parts.pool, {**clock_handlers(contracts), **obeys})
    ears = Ears(parts.name, parts.pool, commands, hears, reactions, copies or {})

    acknowledged = Acknowledged()

    def tell(up: Callable[[], None]) -> Awaitable[None]:
        return relay(parts.log, parts.settings.kafka, up, acknowledged)

    def beat(up: Callable[[], None]) -> Awaitable[None]:
        return heartbeat(parts.log, parts.settings.origin(parts.name), parts.settings.heartbeat_seconds, up)

    def keep_time(up: Callable[[], None]) -> Awaitable[None]:
        return timer(parts.pool, commands, up)

    def retry(up: Callable[[], None]) -> Awaitable[None]:
        return retries(parts.pool, ears.again, up)

    loops: dict[str, Loop] = {
        "relay": tell,
        "signer": signer_of(parts, acknowledged),
        "heartbeat": beat,
        "clocks": clocks.run,
        "timer": keep_time,
    }
    if follows:
        loops["tables"] = Follower("tables", parts.log, parts.pool, follows).run
    if hears:
        loops |= {"hearing": Listening(ears, parts.settings.kafka).run, "retries": retry}
    return loops


def signer_of(parts: Parts, acknowledged: Acknowledged) -> Loop:
    """The loop that signs this service's log; the keys are read when it begins, so in the worker only."""
    signers: list[Signer] = []

    async def sign(up: Callable[[], None]) -> None:
        if not signers:
            signers.append(Signer.of(parts.log, parts.settings, acknowledged))
        await signers[0].run(up)

    return sign

"""Who is asking, and may they: tokens of the configured OIDC issuer, and the table `contracts/roles.yaml` as an evaluator."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import yaml
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from chassis.problems import Problem
from contracts.kernel import Command

ALGORITHMS = ["RS256"]
TYPES = ("at+jwt", "jwt")  # RFC 9068; some providers still write JWT
LEEWAY, REFETCH, LONGEST = 60, 30.0, 16_384  # seconds, seconds, bytes
TRUSTED, MOST = 30.0, 10_000  # seconds for which a verified token is not verified again, and how many of them
ROLES = Path(__file__).parent.parent / "contracts" / "roles.yaml"


@dataclass(frozen=True, slots=True)
class Capacity:
    """One role a person acts in: `commune_officer` at `99801@2025-07-01`, or an agency `police@99801@2025-07-01`."""

    subject: str
    role: str
    place: str | None = None
    agency: str | None = None

    def __str__(self) -> str:
        if self.agency:
            return self.agency
        return f"{self.role}@{self.place}" if self.place else self.role


@dataclass(frozen=True, slots=True)
class Actor:
    """A person: an opaque subject id, and the capacities the provider vouches for."""

    subject: str
    capacities: tuple[Capacity, ...]


Relations = Callable[[Any, Capacity, Command | None], Iterable[str]]
"""A service's `policy.relations`: how this capacity stands to this state."""


@cache
def roles() -> dict[str, dict[str, dict[str, str]]]:
    """`commands` and `views`: action → role → the relation it needs."""
    table: dict[str, dict[str, dict[str, str]]] = yaml.safe_load(ROLES.read_text(encoding="utf-8"))
    return table


def may(actor: Actor, action: str, table: Mapping[str, Mapping[str, str]]) -> list[tuple[Capacity, str]]:
    """The capacities in which this could be done, each with the relation that must hold; an empty list is a no. Default deny."""
    row = table.get(action, {})
    return [(capacity, row[capacity.role]) for capacity in actor.capacities if capacity.role in row]


class Identity:
    """Verifies access tokens of one issuer for one audience, RS256 only. Keys named in a token's header are never looked at."""

    def __init__(self, issuer: str, audience: str, groups: Path) -> None:
        self._issuer, self._audience = issuer, audience
        self._groups = groups_from(groups)
        self._keys: KeySet | None = None
        self._fetched = 0.0
        self._known: OrderedDict[str, tuple[Actor, float, float]] = OrderedDict()

    async def actor(self, authorization: list[str]) -> Actor:
        """The person behind the request. Raises Problem 401 for anything but one valid bearer token."""
        if len(authorization) != 1 or not authorization[0].lower().startswith("bearer ") or len(authorization[0]) > LONGEST:
            raise _unknown()
        token = authorization[0][7:].strip()
        actor, expires, until = self._known.get(token, (None, 0.0, 0.0))
        if actor and time.monotonic() < until and time.time() <= expires + LEEWAY:
            return actor
        claims = await self._claims(token)
        subject = str(claims["sub"])
        actor = Actor(subject, tuple(self._capacities(subject, claims)))
        self._known[token] = actor, float(claims["exp"]), time.monotonic() + TRUSTED
        self._known.move_to_end(token)
        if len(self._known) > MOST:
            self._known.popitem(last=False)
        return actor

    async def _claims(self, token: str) -> dict[str, Any]:
        try:
            claims = self._decoded(token, await self._key_set())
        except (JoseError, ValueError):  # perhaps a key that is newer than those we know
            try:
                claims = self._decoded(token, await self._key_set(fresh=True))
            except (JoseError, ValueError):
                raise _unknown() from None
        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._audience},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )
        try:
            registry.validate(claims)
        except JoseError:
            raise _unknown() from None
        return claims

    @staticmethod
    def _decoded(token: str, keys: KeySet) -> dict[str, Any]:
        decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
        if str(decoded.header.get("typ", "")).lower().removeprefix("application/") not in TYPES or "nonce" in decoded.claims:
            raise ValueError("an ID token tells a console who logged in; it is no key to an API")
        return decoded.claims

    async def _key_set(self, fresh: bool = False) -> KeySet:
        """The issuer's keys; fetched anew for an unknown key id, at most every 30 s. Old keys serve while the provider is down."""
        if self._keys is None or (fresh and time.monotonic() - self._fetched > REFETCH):
            self._fetched = time.monotonic()
            try:
                async with httpx2.AsyncClient(timeout=5) as http:
                    about = (await http.get(f"{self._issuer}/.well-known/openid-configuration")).raise_for_status().json()
                    self._keys = KeySet.import_key_set((await http.get(about["jwks_uri"])).raise_for_status().json())
            except (httpx2.HTTPError, KeyError, ValueError) as problem:
                if self._keys is None:
                    raise Problem(503, "try-again", headers={"Retry-After": "5"}) from problem
        return self._keys

    def _capacities(self, subject: str, claims: Mapping[str, Any]) -> Iterable[Capacity]:
        for group in claims.get("groups", []):
            for pattern, role, place, agency in self._groups:
                if found := pattern.fullmatch(str(group)):
                    yield Capacity(subject, role, place and found.expand(place), agency and found.expand(agency))


def chosen(actor: Actor, wanted: str | None) -> Actor:
    """Somebody with several capacities says in `Hotline-As` which one acts."""
    if wanted is None:
        return actor
    return Actor(actor.subject, tuple(capacity for capacity in actor.capacities if str(capacity) == wanted))


def groups_from(file: Path) -> list[tuple[re.Pattern[str], str, str | None, str | None]]:
    """Which group of the provider is which role, where. Raises OSError, or ValueError for a file that says something else."""
    try:
        lines: list[dict[str, str]] = yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        return [(re.compile(line["match"]), line["role"], line.get("place"), line.get("agency")) for line in lines]
    except (yaml.YAMLError, re.error, KeyError, TypeError):
        raise ValueError("no groups and their roles") from None


def _unknown() -> Problem:
    return Problem(401, "who-are-you", headers={"WWW-Authenticate": "Bearer"})

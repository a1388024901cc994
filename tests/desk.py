"""A service's API over a real PostgreSQL, asked in process, with tokens signed by a key of the test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from chassis.migrate import migrate
from chassis.service import Parts, Service, parts_of
from chassis.settings import Settings
from deploy.local.postgres import Postgres, key_role

ROOT = Path(__file__).parent.parent
SERVICES = ("intake", "cases", "referrals", "notifications", "projections")
ISSUER, AUDIENCE = "https://issuer.example", "hotline111-api"
KEY = RSAKey.generate_key(2048, {"kid": "test", "alg": "RS256", "use": "sig"})


def create_databases(postgres: Postgres) -> None:
    """The databases of all services with their schema; again is nothing."""
    postgres.create_service_databases(SERVICES)
    sql = ROOT / "chassis" / "sql"
    migrate(postgres.uri("keys", "keys_owner"), [sql / "keys"])
    for service in SERVICES:
        own = ROOT / "services" / service / "sql"
        migrate(postgres.uri(service, f"{service}_owner"), [sql / "log", *([own] if own.exists() else [])])


def settings_for(postgres: Postgres, service: str, home: Path, role: str = "api") -> Settings:
    """Settings of a process of this service; keys are made once a home folder."""
    files = {}
    for name in ("master", "fingerprint", "link"):
        files[name] = home / f"{name}-key"
        if not files[name].exists():
            files[name].write_text(f"{len(name):02x}" * 32)
    zalo = home / "zalo"
    zalo.write_text("zalo-oa-secret-for-tests-only")
    mail = home / "mail"
    mail.write_text("whsec_" + "bWFpbC1ob3N0LXNlY3JldC1mb3ItdGVzdHMtb25seQ==")
    return Settings(
        environment="test",
        port=0,
        database=postgres.uri(service, f"{service}_{role}"),
        keys=postgres.uri("keys", key_role(service, role)),
        master_key_file=files["master"],
        fingerprint_key_file=files["fingerprint"],
        link_key_file=files["link"],
        kafka="127.0.0.1:1",
        oidc_issuer=ISSUER,
        roles_file=ROOT / "deploy" / "local" / "groups.yaml",
        public_url="https://hotline.example",
        zalo_app_id="3600000000000000111",
        zalo_secret_file=zalo,
        mail_secret_file=mail,
        clock_file=home / "clock",
    )


def token(subject: str, *groups: str, **changes: Any) -> str:
    """An access token as the provider signs it; `changes` break one claim at a time."""
    now = int(datetime.now(UTC).timestamp())
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": [AUDIENCE],
        "sub": subject,
        "iat": now,
        "exp": now + 600,
        "groups": list(groups),
    } | changes
    return jwt.encode({"alg": "RS256", "kid": "test", "typ": "at+jwt"}, {k: v for k, v in claims.items() if v is not None}, KEY)


@dataclass
class Desk:
    """An HTTP client of one service."""

    service: Service
    http: httpx2.AsyncClient

    @property
    def parts(self) -> Parts:
        return self.service.parts

    async def post(
        self, path: str, body: Any, who: str = "TVV-01", groups: tuple[str, ...] = ("counsellor",), **headers: str
    ) -> httpx2.Response:
        """POST a command as somebody; headers by name with underscores."""
        given = {"authorization": f"Bearer {token(who, *groups)}", "idempotency-key": str(uuid4())}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        raw = {"content": body} if isinstance(body, bytes) else {"json": body}
        given = {"content-type": "application/json"} | given
        return await self.http.post(path, headers={name: value for name, value in given.items() if value}, **raw)

    async def get(
        self, path: str, who: str = "TVV-01", groups: tuple[str, ...] = ("counsellor",), **headers: str
    ) -> httpx2.Response:
        """GET as somebody."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.get(path, headers={"authorization": f"Bearer {token(who, *groups)}"} | given)


@asynccontextmanager
async def desk(postgres: Postgres, service: str, home: Path, role: str = "api") -> AsyncIterator[Desk]:
    """The API of a service over the real database; tokens are verified against the test's key."""
    create_databases(postgres)
    async with parts_of(service, settings_for(postgres, service, home, role)) as parts:
        parts.identity._keys = KeySet([KEY])
        built = import_module(f"services.{service}.bootstrap").build(parts)
        transport = httpx2.ASGITransport(built.app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://desk.example") as http:
            yield Desk(built, http)

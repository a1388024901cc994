"""A real OpenID Connect provider for demo and tests: Canaille, in a process of its own, everything in memory.

Two kinds of token leave it. The **ID token** is for the console that logged the person in (`aud` is its client id). The
**access token** is for the API: a JWT of RFC 9068 (`typ: at+jwt`, `aud: hotline111-api`) that carries the groups. As
delivered, Canaille gives both the same type and audience, and its memory store finds what matches *any* condition, so that
a code nobody redeemed would be taken for another person's; the three functions below set that right.

Started by the supervisor: `python -m deploy.local.oidc_provider PORT KEY_FILE`.
"""

import json
import secrets
import sys
import time
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import canaille
import yaml
from canaille.app import models as store_models
from canaille.backends import Backend
from canaille.backends.memory.backend import MemoryBackend
from canaille.oidc import provider
from flask import Flask
from joserfc import jwt
from joserfc.jwk import RSAKey
from typing_extensions import override

from deploy.local.oidc import AUDIENCE, CLIENT, REDIRECT, USERS

LIFETIME = 3600  # seconds an access token is good for
models: Any = store_models  # its classes exist once a store is chosen
_matching_any = MemoryBackend.do_query


def access_token(client: Any, grant_type: str, user: Any, scope: str) -> str:
    """An access token after RFC 9068. Canaille calls this for every grant of a person."""
    del grant_type
    key, algorithm = provider._get_signing_key(client)
    now = int(time.time())
    claims = {
        "iss": provider.get_issuer(),
        "aud": [audience.client_id for audience in client.audience],
        "sub": user.user_name,
        "client_id": client.client_id,
        "iat": now,
        "exp": now + LIFETIME,
        "jti": secrets.token_urlsafe(16),
        "scope": scope,
        "groups": [group.display_name for group in user.groups],
    }
    return jwt.encode({"alg": algorithm, "kid": key.kid, "typ": "at+jwt"}, claims, key)


def id_token_claims(self: provider.OIDCGrantMixin, client: Any) -> dict[str, Any]:
    """What an ID token says beside the person: it is for the client that asked (OpenID Connect Core, 2)."""
    del self
    return {"iss": provider.get_issuer(), "aud": [client.client_id]}


def matching_all(store: MemoryBackend, model: Any, *_: object, **conditions: Any) -> list[Any]:
    """The stored instances that match every condition."""
    if not conditions:
        return _matching_any(store, model)
    first, *others = [_matching_any(store, model, **{name: value}) for name, value in conditions.items()]
    return [one for one in first if all(any(one.id == other.id for other in found) for found in others)]


def application(port: int, key_file: Path) -> Flask:
    """The provider, with the users of `users.yaml` and one public client that must use PKCE."""
    provider.generate_access_token = access_token
    grants: Any = provider.OIDCGrantMixin
    grants.get_client_claims = id_token_claims
    store: Any = MemoryBackend
    store.do_query = matching_all
    app = canaille.create_app(
        {
            "SECRET_KEY": secrets.token_hex(32),
            "SERVER_NAME": f"127.0.0.1:{port}",
            "PREFERRED_URL_SCHEME": "http",
            "OAUTH2_TOKEN_EXPIRES_IN": {"authorization_code": LIFETIME},
            "CANAILLE": {"SMTP": None, "HTMX": False, "JAVASCRIPT": False, "NAME": "hotline111"},
            "CANAILLE_OIDC": {"ACTIVE_JWKS": [_signing_key(key_file)]},
        }
    )
    with app.app_context():
        _fill(yaml.safe_load(USERS.read_text(encoding="utf-8")))
    return app


def _fill(content: dict[str, Any]) -> None:
    groups: dict[str, list[Any]] = {}
    for name, about in content["users"].items():
        user = models.User(
            user_name=name,
            formatted_name=about["name"],
            family_name=about["name"],
            emails=[f"{name.lower()}@nguoi-dung.example"],
            password=content["password"],
        )
        Backend.instance.save(user)
        for group in about["groups"]:
            groups.setdefault(group, []).append(user)
    for name, members in groups.items():
        Backend.instance.save(models.Group(display_name=name, members=members))
    api = models.Client(client_id=AUDIENCE, client_name=AUDIENCE)
    Backend.instance.save(api)
    console = models.Client(
        client_id=CLIENT,
        client_name="hotline111",
        client_uri="http://127.0.0.1",  # a trusted domain: no consent page
        redirect_uris=[REDIRECT],
        grant_types=["authorization_code"],
        response_types=["code"],
        scope=["openid", "profile", "groups"],
        token_endpoint_auth_method="none",  # noqa: S106 - a public client has no secret
        id_token_signed_response_alg="RS256",  # noqa: S106 - an algorithm
        audience=[api],
    )
    Backend.instance.save(console)


def _signing_key(file: Path) -> dict[str, str]:
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        key = RSAKey.generate_key(2048, {"alg": "RS256", "use": "sig"}, auto_kid=True)
        file.touch(mode=0o600)
        file.write_text(json.dumps(key.as_dict(private=True)))
    return json.loads(file.read_text())


class _Quiet(WSGIRequestHandler):
    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the lines would hold authorization codes."""


def main() -> None:
    """Serve until ended."""
    port, key_file = int(sys.argv[1]), Path(sys.argv[2])
    make_server("127.0.0.1", port, application(port, key_file), handler_class=_Quiet).serve_forever()


if __name__ == "__main__":
    main()

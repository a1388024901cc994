"""Log in as a person through the browser's way: authorization code and PKCE over HTTP, the login form filled in."""

import base64
import hashlib
import html
import re
import secrets
from dataclasses import dataclass
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2

from deploy.local.oidc import CLIENT, REDIRECT


class LoginFailedError(RuntimeError):
    """The provider did not give a token; the message says at which step."""


@dataclass(frozen=True)
class Tokens:
    """What the provider answered. Only the access token is for the API; the ID token is for the console."""

    access: str
    identity: str
    expires_in: int
    """Seconds."""


def log_in(issuer: str, user: str, password: str, *, verifier: str | None = None) -> Tokens:
    """Tokens of a person. Raises LoginFailedError. `verifier`: another one than was announced, which must be refused."""
    code_verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).rstrip(b"=").decode()
    state = secrets.token_urlsafe(16)
    question = {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": REDIRECT,
        "scope": "openid profile groups",
        "state": state,
        "nonce": secrets.token_urlsafe(16),
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    with httpx2.Client(timeout=30) as browser:
        metadata = browser.get(f"{issuer}/.well-known/openid-configuration").raise_for_status().json()
        page = browser.get(metadata["authorization_endpoint"], params=question)
        answer = _walk(browser, page, [{"login": user}, {"password": password}])
        if answer.get("state") != [state] or "code" not in answer:
            raise LoginFailedError(f"no authorization code for {user}: {answer.get('error')}")
        token = browser.post(
            metadata["token_endpoint"],
            data={
                "grant_type": "authorization_code",
                "code": answer["code"][0],
                "redirect_uri": REDIRECT,
                "client_id": CLIENT,
                "code_verifier": verifier or code_verifier,
            },
        )
        if not token.is_success:
            raise LoginFailedError(f"no token for {user}: {token.json().get('error')}")
        body = token.json()
        return Tokens(body["access_token"], body["id_token"], body["expires_in"])


def _walk(browser: httpx2.Client, page: httpx2.Response, forms: list[dict[str, str]]) -> dict[str, list[str]]:
    """Follow redirects and fill in one form after the other; the query of the redirect that leads back to us."""
    for _ in range(20):
        if page.is_redirect:
            target = urljoin(str(page.url), page.headers["location"])
            if target.startswith(REDIRECT):
                return parse_qs(urlsplit(target).query)
            page = browser.get(target)
            continue
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
        if token is None or not forms:
            raise LoginFailedError(f"the provider answered {page.status_code} at {page.url.path} instead of going on")
        form = {**forms.pop(0), "csrf_token": html.unescape(token[1])}
        page = browser.post(str(page.url), data=form, headers={"referer": str(page.url)})
    raise LoginFailedError("the provider redirects in circles")

"""The HTTP side of a story: commands found in the OpenAPI documents, reads, the webhook, the acknowledgement page."""

import asyncio
import json
import smtplib
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import yaml
from typing_extensions import override

from deploy.local.oidc import USERS
from tools.oidc_login import LoginFailedError, log_in

WRITERS = ("intake", "cases", "referrals", "notifications")
ZALO_SECRET = Path(__file__).parents[2] / "deploy" / "local" / "zalo-oa-secret"
PEOPLE: dict[str, Any] = yaml.safe_load(USERS.read_text(encoding="utf-8"))
TRIES = 5  # of a command whose author looks at the newest state first
PATIENCE = 10.0  # seconds during which a 503 is asked again, as its Retry-After says


class NoSuchCommand(LookupError):
    """No service has a route for it, or several have; the message says which."""


class NoSuchPerson(LookupError):
    """The identity provider knows nobody of this id."""


@dataclass(frozen=True)
class Answer:
    """What an interface said. `body`: JSON, or None; `text`: what a person would see."""

    status: int
    body: Any
    text: str
    headers: Mapping[str, str]

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def problem(self) -> str | None:
        """The code of a problem."""
        return (
            str(self.body.get("type", "")).removeprefix("urn:hotline111:") if isinstance(self.body, dict) and not self.ok else None
        )

    @property
    def position(self) -> tuple[str, int] | None:
        """Where in which log the command stands."""
        log, _, position = self.headers.get("hotline-position", "").partition(":")
        return (log, int(position)) if position.isdigit() else None

    def shown(self) -> dict[str, Any]:
        """As a story's paths see it: the members of the body, and what the headers say."""
        said = {"status": self.status, "text": self.text, "etag": self.headers.get("etag", "").strip('"')}
        said |= {"position": self.headers.get("hotline-position", ""), "instant": self.headers.get("hotline-instant", "")}
        return said | (self.body if isinstance(self.body, dict) else {"items": self.body})

    def __str__(self) -> str:
        if self.ok or not isinstance(self.body, dict):
            return str(self.status)
        more = {name: value for name, value in self.body.items() if name not in ("type", "title", "status", "detail")}
        return f"{self.status} {self.problem}: {self.body.get('detail', '')}{f' {json.dumps(more)}' if more else ''}"


@dataclass
class Client:
    """A person at a time, by the token the identity provider gave. Every service is reached through the front door."""

    front: str
    issuer: str
    routes: dict[str, list[str]] = field(default_factory=dict)
    _tokens: dict[str, str] = field(default_factory=dict)

    async def learn(self) -> None:
        """Which commands there are, from what the services document of themselves."""
        for service in WRITERS:
            document = (await self._ask("GET", f"/{service}/v1/openapi.json")).body or {}
            for path, operations in document.get("paths", {}).items():
                content = operations.get("post", {}).get("requestBody", {}).get("content", {})
                schema = content.get("application/json", {}).get("schema", {}).get("$ref", "")
                if schema:
                    self.routes.setdefault(schema.rpartition("/")[2], []).append(path)

    def route(self, command: str) -> str:
        """The path of a command; `records/WaiveClock` chooses among several. Raises NoSuchCommand."""
        kind, _, name = command.rpartition("/")
        paths = [path for path in self.routes.get(name, []) if not kind or path.split("/")[3:4] == [kind]]
        if len(paths) != 1:
            known = ", ".join(f"{path.split('/')[3]}/{name}" for path in paths) or ", ".join(sorted(self.routes))
            raise NoSuchCommand(f"{command}: {'say which' if paths else 'no such command or verb'}; there are {known}")
        return paths[0]

    def knows(self, user: str) -> None:
        """Raises NoSuchPerson for somebody the identity provider of the stack was not told of."""
        if user not in PEOPLE["users"]:
            raise NoSuchPerson(f"nobody is called {user}; there are {', '.join(PEOPLE['users'])}")

    async def log_in(self, users: set[str]) -> None:
        """Get everybody's token before the story begins. Raises NoSuchPerson."""
        for user in sorted(users - set(self._tokens)):
            try:
                self._tokens[user] = (await asyncio.to_thread(log_in, self.issuer, user, PEOPLE["password"])).access
            except (LoginFailedError, httpx2.HTTPError) as problem:
                raise NoSuchPerson(f"{user} cannot log in: {problem}") from problem

    async def command(
        self, command: str, of: str | None, body: dict[str, Any], *, who: str, key: UUID, seen: Any = None, as_: str | None = None
    ) -> Answer:
        """`POST` a command. seen: version for If-Match, or `current`: looked up just before, again if that was too slow."""
        path = self.route(command).replace("{id}", of or "")
        headers = self._of(who, as_) | {"idempotency-key": str(key)}
        if seen != "current":
            return await self._ask(
                "POST", path, headers=headers | ({"if-match": f'"{seen}"'} if seen is not None else {}), json=body
            )
        for _ in range(TRIES):
            state = await self._ask("GET", path.rpartition("/")[0], headers=self._of(who, as_))
            answer = await self._ask("POST", path, headers=headers | {"if-match": state.headers.get("etag", "")}, json=body)
            if answer.status != 412:
                break
        return answer

    async def read(
        self, path: str, *, who: str | None, purpose: str | None, reason: str | None, wait_for: str, as_: str | None = None
    ) -> Answer:
        """`GET` a query."""
        headers = self._of(who, as_) if who else {}
        for name, value in (("hotline-purpose", purpose), ("hotline-reason", reason), ("hotline-wait-for", wait_for)):
            if value:
                headers[name] = value
        return await self._ask("GET", path.replace("+", "%2B"), headers=headers)  # of an offset: a bare plus would be a space

    async def zalo(self, raw: bytes, headers: Mapping[str, str]) -> Answer:
        """Deliver to the webhook of the Zalo Official Account."""
        return await self._ask("POST", "/intake/v1/channels/zalo", content=raw, headers=dict(headers))

    async def open(self, link: str) -> Answer:
        """Open a link from a mail, as a browser without an account."""
        return await self._ask("GET", link)

    async def send_form(self, link: str, page: str, filled: Mapping[str, str]) -> Answer:
        """Send the one form of a page. Raises LookupError for a field that the page does not have."""
        form = _Form()
        form.feed(page)
        if strangers := sorted(filled.keys() - form.fields.keys()):
            raise LookupError(f"the page has no field {', '.join(strangers)}, but {', '.join(form.fields)}")
        return await self._ask("POST", link, data={**form.fields, **filled})

    def _of(self, who: str, as_: str | None) -> dict[str, str]:
        headers = {"authorization": f"Bearer {self._tokens[who]}"}
        return headers | ({"hotline-as": as_} if as_ else {})

    async def _ask(self, method: str, path: str, **request: Any) -> Answer:
        """One request. 503 is asked again, with the same key: the service is away for a moment, and nothing happens twice."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        url = path if path.startswith("http") else f"{self.front}{path}"
        async with httpx2.AsyncClient(timeout=30) as http:
            while True:
                answer = await http.request(method, url, **request)
                if answer.status_code != 503 or asyncio.get_running_loop().time() > deadline:
                    break
                await asyncio.sleep(min(float(answer.headers.get("retry-after", 1)), 0.5))
        is_json = "json" in answer.headers.get("content-type", "")
        return Answer(answer.status_code, answer.json() if is_json else None, answer.text, dict(answer.headers))


class _Form(HTMLParser):
    """The input fields of a page with their values."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "input" and (name := given.get("name")):
            self.fields[name] = given.get("value") or ""


def zalo_headers(raw: bytes, sign: str) -> dict[str, str]:
    """The headers of a delivery: SHA-256 over app id, body, timestamp and the account's secret; `foreign`: of another secret."""
    body = json.loads(raw)
    secret = ZALO_SECRET.read_text(encoding="utf-8").strip() if sign == "ours" else "somebody else's secret"
    stamp = str(body["timestamp"])
    mac = sha256(str(body["app_id"]).encode() + raw + stamp.encode() + secret.encode()).hexdigest()
    signature = {"x-zevent-signature": f"mac={mac}"} if sign != "not" else {}
    return {"content-type": "application/json", "x-zevent-timestamp": stamp, **signature}


def recorded_headers(text: str) -> dict[str, str]:
    """The headers recorded beside a payload, but for those the connection decides."""
    lines = [line.split(":", 1) for line in text.splitlines()[1:] if ":" in line]
    return {name.lower(): value.strip() for name, value in lines if name.lower() not in ("host", "content-length")}


def changed_payload(raw: bytes, changes: Mapping[str, Any]) -> bytes:
    """The same delivery with other values at these dotted paths, as compact JSON."""
    body = json.loads(raw)
    for path, value in changes.items():
        *inner, last = path.split(".")
        place = body
        for name in inner:
            place = place[name]
        place[last] = value
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def changed_mail(raw: bytes, changes: Mapping[str, str]) -> bytes:
    """The same bytes with other header lines. Raises LookupError for a header the mail does not have."""
    head, gap, body = raw.partition(b"\r\n\r\n" if b"\r\n\r\n" in raw else b"\n\n")
    lines = head.splitlines(keepends=True)
    for name, value in changes.items():
        found = [place for place, line in enumerate(lines) if line.lower().startswith(name.lower().encode() + b":")]
        if not found:
            raise LookupError(f"the mail has no header {name}")
        ending = lines[found[0]][len(lines[found[0]].rstrip(b"\r\n")) :]
        lines[found[0]] = f"{name}: {value}".encode() + ending
    return b"".join(lines) + gap + body


def send_mail(port: int, sender: str, to: str, raw: bytes) -> None:
    """Hand the bytes to the mail server of the line."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as smtp:
        smtp.sendmail(sender, [to], raw)

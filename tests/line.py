"""The line while it runs: people at their desks over HTTP, what the logs hold, the mail that came, the time, and one way to wait."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from importlib import import_module
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx2
import psycopg
import yaml
from eventsourcing.persistence import MapperDeserialisationError

from chassis.log import Row, recorded
from chassis.mapper import FactMapper, Recorded
from deploy.local.oidc import USERS
from deploy.local.stack import ROLES, SERVICES, Stack
from tests.faults.snapshot import Attempt, Snapshot, Unreadable
from tests.faults.taking import take
from tools.oidc_login import log_in

T = TypeVar("T")
HOUR = 3600.0  # seconds
PASSWORD = yaml.safe_load(USERS.read_text(encoding="utf-8"))["password"]
COMMUNE, PROVINCE, CENTRE = "99801@2025-07-01", "98@2025-07-01", "hanoi@2025-07-01"
OTHER_COMMUNE = "99803@2025-07-01"
REFUSED, ACCEPTED = "khong-co-hom-thu@suoi-mau.example", "truc@suoi-mau.example"
MAIL = {
    ("supervisor_desk", CENTRE): ["giam-sat@truc-111.example"],
    ("operator_desk", CENTRE): ["van-hanh@truc-111.example"],
    ("central_department", "vn@2025-07-01"): ["truc@cuc-mau.example"],
    ("province_health", PROVINCE): ["truc@soyte-mau.example"],
    ("police", COMMUNE): ["truc@cong-an-mau.example"],
    ("hospital", PROVINCE): ["xa-hoi@benhvien-mau.example"],
    ("social_facility", PROVINCE): ["tiep-nhan@ctxh-mau.example"],
    ("commune_pc", COMMUNE): [REFUSED, ACCEPTED],
    ("commune_pc", OTHER_COMMUNE): ["truc@cau-mau.example"],
}
"""Who fills which role where, and where their mail goes, in the order to be tried. Everybody is invented."""
QUERY = (
    "SELECT originator_id, originator_version, topic, state, position, recorded_at FROM event WHERE position > %s ORDER BY position"
)


def eventually(wanted: Callable[[], T], seconds: float = 45, every: float = 0.03) -> T:
    """Ask until the answer is true, and give it."""
    deadline = time.monotonic() + seconds
    while not (answer := wanted()):  # a response is true, whatever its status
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {seconds:g} s: {getattr(wanted, '__qualname__', wanted)}, last answer {answer!r}")
        time.sleep(every)
    return answer


@dataclass
class Line:
    """A running stack as people and testers see it. Every attempt at a command is kept in `attempts`, every look in `looked`.

    door: the address at which people knock, if not the front door itself.
    """

    stack: Stack
    door: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    looked: list[tuple[str, str]] = field(default_factory=list)
    http: httpx2.Client = field(default_factory=lambda: httpx2.Client(timeout=30))
    _tokens: dict[str, str] = field(default_factory=dict)
    _logs: dict[str, list[Recorded]] = field(default_factory=lambda: {log: [] for log in SERVICES})
    _databases: dict[str, psycopg.Connection[Any]] = field(default_factory=dict)

    # -- people ----------------------------------------------------------------------------------------------------------------

    def token(self, who: str) -> str:
        if who not in self._tokens:
            self._tokens[who] = log_in(self.stack.oidc.issuer, who, PASSWORD).access
        return self._tokens[who]

    def post(
        self, path: str, body: Any, who: str = "TVV-01", *, key: UUID | None = None, seen: Any = None, **headers: str
    ) -> httpx2.Response:
        """One attempt at a command through the front door."""
        given = {"authorization": f"Bearer {self.token(who)}", "idempotency-key": str(key or uuid4())}
        given |= {"if-match": f'"{seen}"'} if seen is not None else {}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        answer = None
        try:
            answer = self.http.post(self._address(path), json=body, headers=given)
        finally:
            self.attempts.append(Attempt.of(path, given["idempotency-key"], answer))
        return answer

    def surely(self, path: str, body: Any, who: str = "TVV-01", *, seen: Any = None, seconds: float = 90) -> httpx2.Response:
        """As a careful console does: the same command under the same key until somebody answers."""
        key, deadline = uuid4(), time.monotonic() + seconds
        while True:
            try:
                answer = self.post(path, body, who, key=key, seen=seen)
            except httpx2.TransportError:
                answer = None
            if answer is not None and answer.status_code != 503:
                return answer
            assert time.monotonic() < deadline, f"nobody answered {path} for {seconds:g} s"
            time.sleep(0.1)

    def done(self, path: str, body: Any, who: str = "TVV-01", *, seen: Any = None) -> dict[str, Any]:
        """A command that must succeed, and what it answered."""
        answer = self.surely(path, body, who, seen=seen)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def decided(self, path: str, body: Any, who: str, *, of: str) -> httpx2.Response:
        """As somebody who decides on what is on the screen, and looks again if that has changed: the answer that is no 412."""

        def decide() -> httpx2.Response | None:
            answer = self.surely(path, body, who, seen=self.state(of, who)["version"])
            return None if answer.status_code == 412 else answer

        return eventually(decide)

    def get(self, path: str, who: str | None = "TVV-01", **headers: str) -> httpx2.Response:
        given = {"authorization": f"Bearer {self.token(who)}"} if who else {}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.http.get(self._address(path), headers=given)
        if answer.is_success and "hotline-instant" in answer.headers:
            self.looked.append((path.split("/")[4], answer.headers["hotline-instant"]))
        return answer

    def search(self, query: str, who: str = "TVV-01", **headers: str) -> httpx2.Response:
        """What somebody finds, as soon as everything heard can be found."""
        given = {"authorization": f"Bearer {self.token(who)}", "hotline-purpose": "duty"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        address = self._address("/projections/v1/searches")
        return eventually(
            lambda: (answer := self.http.post(address, json={"query": query}, headers=given)).status_code != 503 and answer
        )

    def _address(self, path: str) -> str:
        return path if path.startswith("http") else f"{self.door or self.stack.urls['front']}{path}"

    def state(self, path: str, who: str = "TVV-01") -> dict[str, Any]:
        """What a write service shows of a stream, with its version."""
        answer = self.get(path, who)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()["state"] | {"version": answer.json()["version"]}

    # -- time ------------------------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._shift())

    def forward(self, seconds: float) -> None:
        """Time jumps ahead for every service, or back."""
        part = self.stack.clock_file.with_suffix(".part")
        part.write_text(f"{self._shift() + seconds:.6f}", encoding="ascii")
        part.replace(self.stack.clock_file)

    def _shift(self) -> float:
        file = self.stack.clock_file
        return float(file.read_text(encoding="ascii")) if file.exists() else 0.0

    # -- what is written ---------------------------------------------------------------------------------------------------------

    def rows(self, database: str, query: str, *args: Any) -> list[tuple[Any, ...]]:
        """As the superuser; over a new connection where the server was gone meanwhile."""
        for _ in range(2):
            if database not in self._databases or self._databases[database].closed:
                self._databases[database] = psycopg.connect(self.stack.postgres.uri(database), autocommit=True)
            try:
                return self._databases[database].execute(query, args).fetchall()
            except psycopg.OperationalError:
                self._databases[database].close()
        raise AssertionError(f"{database} does not answer")

    def close(self, database: str) -> None:
        """Let go of a database."""
        if connection := self._databases.pop(database, None):
            connection.close()

    def log(self, name: str) -> list[Recorded]:
        """Everything in a log, from position 1; sealed fields stay sealed."""
        known = self._logs[name]
        known += [read(name, Row(*row)) for row in self.rows(name, QUERY, known[-1].position if known else 0)]
        return known

    def facts(self, topic: str, stream: Any = None, **where: Any) -> list[Recorded]:
        """Facts of a type, `cases.CaseOpened`, on a stream, with these values in these fields (`of__kind` is `of.kind`)."""
        return [
            event
            for event in self.log(topic.partition(".")[0])
            if event.fact.TOPIC == topic and str(stream or event.stream) == str(event.stream) and _fits(event.fact, where)
        ]

    def fact(self, topic: str, stream: Any = None, **where: Any) -> Recorded:
        """The first such fact, as soon as there is one."""
        return eventually(lambda: self.facts(topic, stream, **where))[0]

    def mails(self, address: str, about: str = "") -> list[EmailMessage]:
        """What an address has received, oldest first, if it speaks of that."""
        read = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in self.stack.smtp.mailbox(address)]
        return [mail for mail in read if about in text_of(mail)]

    def mail(self, address: str, about: str) -> EmailMessage:
        """The first such mail, as soon as it is there."""
        return eventually(lambda: self.mails(address, about))[0]

    # -- rest --------------------------------------------------------------------------------------------------------------------

    def heads(self) -> dict[str, int]:
        return {log: self.rows(log, "SELECT position FROM head")[0][0] for log in SERVICES}

    def rest(self, seconds: float = 60) -> datetime:
        """Wait until every service has heard and followed everything there is, no clock is due and no mail is owed; when it was so."""
        return eventually(self.still_at, seconds, every=0.1)

    def still_at(self) -> datetime | None:
        """Now, if nothing moves."""
        now, before = self.now(), self.heads()
        return now if not self.moving() and before == self.heads() else None

    def moving(self) -> list[str]:
        """What somebody has still to do."""
        heads, now = self.heads(), self.now()
        left = [f"{service} has heard {log} to {at}" for (service, log), at in self.heard().items() if at < heads[log]]
        for service in SERVICES:
            behind = self.rows(service, "SELECT name, position FROM follower WHERE position < %s", heads[service])
            left += [f"{service} follows itself to {position}" for _, position in behind]
            due = self.rows(service, "SELECT clock FROM clock_due WHERE due_at < %s", now)
            left += [f"{service} owes the breach of {clock}" for (clock,) in due]
        left += ["a mail is on its way" for _ in self.rows("notifications", "SELECT FROM outgoing")]
        return left + ["a delivery is unread" for _ in self.rows("intake", "SELECT FROM inbox WHERE state = 'new'")]

    def heard(self) -> dict[tuple[str, str], int]:
        """(service, log) → position, as the service says it; projections also folds what it tells itself."""
        found: dict[tuple[str, str], int] = {}
        for service in SERVICES:
            told = dict(self.rows(service, "SELECT split_part(topic, '.', 2), position FROM heard"))
            hears = {*import_module(f"services.{service}.bootstrap").HEARS, *told}
            found |= {(service, log): told.get(log, 0) for log in hears}
        return found

    def flush_traces(self) -> None:
        """Ask every process something, and wait until each has told the span of it: then all earlier ones are told."""
        trace = uuid4().hex
        for name in (f"{service}{suffix}" for service in SERVICES for suffix in ("", ".worker")):
            self.http.get(f"{self.stack.urls[name]}/readyz", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
        files = [self.stack.home / "traces" / f"{service}-{role}.jsonl" for service in SERVICES for role in ROLES]
        eventually(lambda: all(file.exists() and trace in file.read_text(encoding="utf-8") for file in files))

    def spans(self) -> list[dict[str, Any]]:
        """Every span that was told, with `process`: `cases-worker`."""
        files = (self.stack.home / "traces").glob("*.jsonl")
        return [
            json.loads(text) | {"process": file.stem} for file in files for text in file.read_text(encoding="utf-8").splitlines()
        ]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Time goes back an hour, so that no clock runs out while somebody looks; then it is as late as before."""
        self.forward(-HOUR)
        try:
            yield
        finally:
            self.forward(HOUR)

    def snapshot(self, *words: str) -> Snapshot:
        """Everything that is written, at rest; words: of persons, looked for in every file and table."""
        return take(self, *words)


def read(log: str, row: Row) -> Recorded:
    """A row as a fact in its envelope; what cannot be read, too, has its place."""
    try:
        return recorded(log, row, FactMapper())
    except MapperDeserialisationError:
        meta = json.loads(row.state)["meta"]
        return Recorded(row.stream, row.version, Unreadable(row.type), meta, log, row.position, row.recorded_at, row.state)


def text_of(mail: EmailMessage) -> str:
    """Subject and text, as a person reads them."""
    body = mail.get_body(("plain",))
    return f"{mail['Subject']}\n{body.get_content() if body else ''}"


def link_in(mail: EmailMessage) -> str:
    """The acknowledgement link of a hand-off's mail."""
    return next(word for word in text_of(mail).split() if "/acknowledgements/" in word)


def _fits(fact: Any, where: Mapping[str, Any]) -> bool:
    return all(wanted == _at(fact, name) for name, wanted in where.items())


def _at(fact: Any, path: str) -> Any:
    for name in path.split("__"):
        fact = getattr(fact, name, None)
    return str(fact) if isinstance(fact, UUID) else fact


# -- what people say -------------------------------------------------------------------------------------------------------------


def call(line: Line, **more: Any) -> dict[str, Any]:
    """The body of a telephone call that comes in just now."""
    body = {"channel": "phone", "line": "child", "form": "call", "centre": CENTRE, "caller_id": str(uuid4())}
    return body | {"received_at": line.now().isoformat()} | more


def child(**more: Any) -> dict[str, Any]:
    return {"child_id": str(uuid4()), "age_band": "7_15", "age_basis": "stated", "sex": "unknown"} | more


def report(
    line: Line, contact: Mapping[str, Any], *children: dict[str, Any], commune: str = COMMUNE, **more: Any
) -> dict[str, Any]:
    """The body of Form 01 about these children."""
    body = {"contacts": [contact["id"]], "source": "neighbour", "centre": CENTRE, "received_at": contact["state"]["received_at"]}
    body |= {"incident_commune": commune, "residence_commune": commune, "children": list(children), "alleged": []}
    return body | {"emergency": True, "procedures": ["child_protection", "criminal"]} | more


def screening(commune: str = COMMUNE, **more: Any) -> dict[str, Any]:
    """The body of a screening that opens cases and tells commune, province and police."""
    body = {"decision": "open_case", "risk": "high", "protection_level": "INTERVENTION", "emergency": True}
    told = [("commune_pc", commune), ("province_health", PROVINCE), ("police", COMMUNE)]
    body |= {"procedures": ["child_protection", "criminal"], "send_to": [{"role": role, "place": place} for role, place in told]}
    return body | more


def register_agencies(line: Line) -> None:
    """Everybody of MAIL, known to whoever writes to them."""
    for (role, place), addresses in MAIL.items():
        contacts = [{"channel": "email", "address": address} for address in addresses]
        body = {"role": role, "place": place, "label": f"{role} (mẫu)", "valid_from_on": "2025-07-01", "contacts": contacts}
        line.done("/referrals/v1/agencies", body, "GS-01")
    for service in ("referrals", "notifications"):
        eventually(lambda service=service: len(MAIL) == line.rows(service, "SELECT count(*) FROM agency")[0][0])

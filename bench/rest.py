"""Whole commands over HTTP against an empty POST of FastAPI: a contact taken down, and a measure applied to a case with a past."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import uuid4

from bench import history
from bench.api import Server, serving, token
from bench.contest import Measured, Report, Scale, contest, say
from bench.ground import Ground
from bench.load import ID, load, request

CONNECTIONS = 16
CONTACT = {
    "channel": "phone",
    "line": "child",
    "form": "call",
    "received_at": "2026-01-05T02:41:00Z",
    "centre": history.HANOI,
    "caller_id": "{caller}",
    "text": "Có cháu bé bị đánh, nhà bên cạnh nghe thấy cháu khóc nhiều đêm (mẫu)",
}
MEASURE = {
    "measure": "removal",
    "by": {"role": "police", "place": history.COMMUNE},
    "applied_at": "2026-01-05T02:41:00Z",
    "note": history.NOTE,
}
LENGTHS = (20, 1000)
CASES = {20: 1500, 1000: 100}
"""Length → how many cases take turns, for each answer makes its case longer by one; fewer than a process keeps in mind."""
NEW = {20: 2000, 1000: 60}
"""Length → how many cases are touched for the first time in a round."""


@dataclass
class _Shot:
    """One kind of request at one server, and what was seen of it beside the rate."""

    server: Server
    template: str
    seconds: float
    targets: Sequence[str] = (ID,)
    new: Iterator[Sequence[str]] | None = None
    """Targets of each round that no process has seen, each asked once."""
    seen: list[dict[str, Any]] = field(default_factory=list)

    def fire(self) -> Measured:
        before = self.server.cpu()
        targets = next(self.new) if self.new else self.targets
        found = load(self.server.port, self.template, CONNECTIONS, self.seconds, targets, once=bool(self.new))
        statuses: dict[str, int] = found["statuses"]
        if strange := {status: times for status, times in statuses.items() if status[0] != "2" and status != "503"}:
            raise RuntimeError(f"answers that are no success: {strange}")
        answered = len(targets) if self.new else found["rate"] * self.seconds * 1.1  # the warm-up too
        cpu = (self.server.cpu() - before) / answered * 1000
        self.seen.append({"server_ms": cpu, "client_cpu": found["client_cpu"], "put_off": statuses.get("503", 0)})
        return Measured(found["rate"], found["p50_ms"], found["p99_ms"])

    def last(self, name: str) -> float:
        return self.seen[-1][name]


def run(ground: Ground, scale: Scale) -> Iterator[Report]:
    """Requests a second over 16 kept connections to one process."""
    report = Report(
        "rest",
        "A whole command over REST",
        f"Requests a second over {CONNECTIONS} kept connections, closed loop, to one process of one worker. `empty`: a FastAPI"
        " route in an equal process that checks the same body and answers nothing. `contact`: token checked, text sealed under"
        " the new key of a new caller, durable; `known caller`: the key exists. `case of n`: a measure applied to a case of n"
        " events, cases in turns, `cold`: each for the first time. `spans`: every span written to a file, as the local stack"
        " does. `server ms`: processor time of the process a request; `client cpu`: share of one core of the load generator.",
    )
    yield report
    bearer = {"authorization": f"Bearer {token(ground, 'TVV-01')}", "idempotency-key": "{key}"}
    seconds = scale.of(40, 10) / 10
    contact = request("/intake/v1/contacts", CONTACT, bearer)
    known = request("/intake/v1/contacts", CONTACT | {"caller_id": str(uuid4())}, bearer)
    measure = request("/cases/v1/cases/{target}/emergency-measures", MEASURE, bearer)
    intake, cases = ground.database("intake"), ground.database("cases")
    empty = partial(serving, ground, "intake", intake, module="bench.empty")
    with (
        empty(profile="empty") as nothing,
        empty(traces=True) as nothing_spans,
        serving(ground, "intake", intake, profile="contact") as ours,
        serving(ground, "intake", intake, traces=True) as ours_spans,
        serving(ground, "cases", cases, profile="cases") as protecting,
    ):
        shots = {
            "empty": _Shot(nothing, contact, seconds),
            "contact": _Shot(ours, contact, seconds),
            "contact, known caller": _Shot(ours, known, seconds),
            "empty, spans": _Shot(nothing_spans, contact, seconds),
            "contact, spans": _Shot(ours_spans, contact, seconds),
        }
        for length in LENGTHS:
            shots[f"case of {length:,}"] = _Shot(protecting, measure, seconds, _seed(ground, cases, length, CASES[length]))
            fresh = [_seed(ground, cases, length, scale.of(NEW[length], NEW[length] // 4)) for _ in range(scale.rounds)]
            shots[f"case of {length:,}, cold"] = _Shot(protecting, measure, 60.0, new=iter(fresh))
        _warm(ground, shots, (intake, cases))
        found = contest({name: _named(name, shot.fire) for name, shot in shots.items()}, scale.rounds)
    _tell(report, found, shots)


def _named(name: str, fire: Callable[[], Measured]) -> Callable[[], Measured]:
    def fired() -> Measured:
        say(f"rest, {name}")
        return fire()

    return fired


def _seed(ground: Ground, database: str, length: int, cases: int) -> list[str]:
    streams = [uuid4() for _ in range(cases)]
    ground.fill(database, history.cases(streams, length))
    return [str(stream) for stream in streams]


def _warm(ground: Ground, shots: dict[str, _Shot], databases: Sequence[str]) -> None:
    """A second each, or every case once, then statistics, so that no plan was made for an empty table."""
    for shot in [shot for shot in shots.values() if not shot.new]:
        several = len(shot.targets) > 1
        load(shot.server.port, shot.template, CONNECTIONS, 60.0 if several else 1.0, shot.targets, once=several)
    for database in databases:
        ground.analyze(database)
    for shot in shots.values():
        shot.server.watch()


def _tell(report: Report, found: dict[str, Measured], shots: dict[str, _Shot]) -> None:
    for name, each in found.items():
        rival = found["empty, spans" if name.endswith("spans") else "empty"]
        shot = shots[name]
        report.row(
            request=name,
            per_s=each.rate,
            p50_ms=each.p50_ms,
            p99_ms=each.p99_ms,
            of_empty=f"{each.rate / rival.rate:.0%}",
            server_ms=shot.last("server_ms"),
            client_cpu=f"{shot.last('client_cpu'):.0%}",
        )
    put_off = {name: sum(seen["put_off"] for seen in shot.seen) for name, shot in shots.items()}
    if any(put_off.values()):
        report.note(
            f"Answered 503, to be tried again, and not counted: {', '.join(f'{n} {name}' for name, n in put_off.items() if n)}."
        )
    share = {name: each.rate / found["empty"].rate * 100 for name, each in found.items()}
    report.target("creating command, new caller, of the empty POST", share["contact"], 40, "%")
    for how in ("", ", cold"):
        short, long = share[f"case of 20{how}"], share[f"case of 1,000{how}"]
        report.target(f"command on a case of 20{how}, of the empty POST", short, 25, "%")
        report.target(f"command on a case of 1,000{how} ÷ one of 20{how}", long / short * 100, 100 / 3, "%")

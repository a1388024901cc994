"""The reference page: facts, commands, reactions, clocks and errors of every service, as the code has them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fastapi.routing import APIRoute

from chassis.identity import roles
from chassis.kafka import topic_of
from chassis.problems import sentences
from chassis.reaction import Reaction
from contracts import data
from contracts.kernel import Command, Fact, Shape
from contracts.rules import LAW, LOGS
from tools.generate import problems
from tools.generate.model import (
    all_facts,
    built,
    commands_of,
    facts_of,
    fields_of,
    hearing_of,
    is_wired,
    meaning,
    reactions_of,
    shapes_below,
    words_in,
)

INTRO = """# Reference

Generated from the code by `make contracts`; do not edit. The same in machine-readable form stands in `contracts/`:
`schemas/` (JSON Schema of each fact), `asyncapi/` (topics and records), `openapi/` (routes and bodies), `register.yaml`
(personal fields), `golden/` (a stored example of each fact version).

**Facts** stand in the log of their service and are told on its topic, sealed fields under the key of the person named
beside them. **Commands** are `POST`ed with an `Idempotency-Key`; where `If-Match` is needed, the answer without it is 428,
and 412 if the version is not the latest. A command without a route is given by reactions, timers and channels only. Every
command also takes `occurred_at`. **Who may**: the role and, in brackets, how it must stand to what is commanded;
`contracts/roles.yaml` says what each relation means.
"""
ERRORS = """`application/problem+json` with `type` `urn:hotline111:<code>` and `detail`, the sentence below; never the input. A
422 `invalid-command` lists `errors`, each a pointer and a code: one of those marked *in errors*, or the name of a plain error
of shape (`missing`, `extra-forbidden`, `uuid-parsing` …).
"""
UNITS = {"working_days": "working days", "calendar_days": "calendar days", "cap_days": "days, never longer"}


def text() -> str:
    """The page as Markdown."""
    parts = [INTRO, *(part for log in LOGS for part in _service(log)), *_every_log(), *_shapes(), *_errors()]
    return "\n".join(parts).rstrip() + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |\n" for line in lines)


def _service(log: str) -> Iterator[str]:
    wiring = _wiring(log)
    yield f"## {log}\n"
    hears = f" Hears {', '.join(wiring.hears)}." if wiring.hears else ""
    yield f"Tells on `{topic_of(log)}`: the facts below and those of [every log](#facts-of-every-log).{hears}\n"
    yield f"### Facts of {log}\n"
    yield from (_fact(fact) for fact in facts_of(log) if not _is_shared(fact))
    if commands := commands_of(log):
        rows = [_command(log, kind, wiring.commands.get(kind.__name__, [])) for kind in commands]
        yield f"### Commands of {log}\n"
        yield table(("command", "route: `POST`", "If-Match", "who may", "what"), rows)
    if wiring.others:
        yield f"### Other routes of {log}\n"
        yield table(("route", "what"), wiring.others)
    if reactions := reactions_of(log):
        rows = [_reaction(reaction) for reaction in reactions]
        yield f"### Reactions of {log}\n"
        yield table(("hears", "commands", "as", "nothing to do if"), rows)
    if wiring.copies:
        yield f"Keeps a table or a cache of its own by {', '.join(wiring.copies)}.\n"
    if wiring.views:
        yield f"Folds every fact of {', '.join(wiring.views)} into its views.\n"
    yield f"### Clocks of {log}\n"
    rules = [row["id"] for row in data.read("rules", f"{log}.yaml")]
    yield table(("clock", "limit", "source", "counted from", "warned before", "a breach tells"), map(_clock, rules))
    if idle := [f"`{rule}`" for rule in rules if not _is_started(rule, log)]:
        yield f"Rules whose clock nothing starts yet: {', '.join(idle)}.\n"


def _is_shared(fact: type[Fact]) -> bool:
    return any(base.__module__ in ("contracts.clocks", "contracts.system") for base in fact.__mro__)


def _fact(fact: type[Fact], title: str | None = None) -> str:
    version = f", version {fact.class_version}" if fact.class_version > 1 else ""
    return f"#### `{title or fact.TOPIC}`{version}\n\n{meaning(fact)}\n\n{_fields(fact)}"


def _fields(shape: type[Shape]) -> str:
    sealed = shape.personal
    rows = [(f"`{name}`", str(field), f"`{sealed[name]}`" if name in sealed else "") for name, field in fields_of(shape).items()]
    return table(("field", "type", "sealed under"), rows)


@dataclass(frozen=True, slots=True)
class Wiring:
    """What only the wired service knows.

    commands: name → paths. others: (method and path, summary). hears, views: logs, the latter folded whole. copies: facts.
    """

    commands: Mapping[str, list[str]]
    others: list[tuple[str, str]]
    hears: list[str]
    copies: list[str]
    views: list[str]


def _wiring(log: str) -> Wiring:
    if not is_wired(log):
        return Wiring({}, [], [], [], [])
    with built(log) as service:
        routes = [route for route in service.app.routes if isinstance(route, APIRoute) and route.include_in_schema]
        hearing = hearing_of(service)
    known = {kind.__name__ for kind in commands_of(log)}
    commands: dict[str, list[str]] = {}
    others: list[tuple[str, str]] = []
    for route in sorted(routes, key=lambda route: route.path):
        if route.name in known:
            commands.setdefault(route.name, []).append(f"`{route.path}`")
        else:
            others += [
                (f"`{method} {route.path}`", route.summary or route.description or route.name)
                for method in sorted(route.methods or ())
            ]
    copies = [f"`{fact.TOPIC}`" for heard in hearing.values() for fact in heard.copied]
    views = [log for log, heard in hearing.items() if heard.group is None]
    return Wiring(commands, others, list(hearing), copies, views)


def _command(log: str, kind: type[Command], paths: list[str]) -> tuple[str, ...]:
    row = roles()["commands"].get(f"{log}.{kind.__name__}", {})
    who = ", ".join(role if relation == "any" else f"{role} ({relation})" for role, relation in row.items())
    return f"`{kind.__name__}`", "<br>".join(paths) or "–", "needed" if kind.needs_if_match else "", who, meaning(kind)


def _reaction(reaction: Reaction) -> tuple[str, ...]:
    done = ", ".join(f"`{code}`" for code in sorted(reaction.done))
    return f"`{reaction.hears.TOPIC}`", f"`{reaction.wants.__name__}`", f"`policy:{reaction.name}`", done


def _clock(rule: str) -> tuple[str, ...]:
    entry, legal, warn = LAW.book[rule], LAW.legal(rule), LAW.warn(rule)
    versions = [f"from {version['from']}: {_limits(version, LAW.kind_of(rule))}" for version in entry["versions"]]
    own = [
        f"province {version['province']} from {version['from']}: {_limits(version, LAW.kind_of(rule))}"
        for version in entry["where"]
    ]
    source = f"**{legal}**" if legal else "internal"
    return (
        f"`{rule}`",
        "<br>".join(versions + own),
        source,
        LAW.reading(rule),
        _span(warn) if warn else "",
        ", ".join(LAW.tell(rule)),
    )


def _is_started(rule: str, log: str) -> bool:
    """Whether the service names it at all: a clock is started under the name of its rule, `<rule>` or `<rule>/<number>`."""
    words = {word.partition("/")[0] for word in words_in(f"services/{log}")}
    return rule in words


def _limits(version: Mapping[str, Any], kind: str) -> str:
    """Each limit with what it is for, the general one last."""
    rows = [*version["limits"], *([version] if "limit" in version else [])]
    return "; ".join(_condition(row) + _limit(row["limit"], row.get("kind", kind)) for row in rows)


def _condition(row: Mapping[str, Any]) -> str:
    emergency = {True: ["emergency"], False: ["no emergency"], None: []}[row.get("emergency")]
    named = [*row.get("hand_off", []), *row.get("right", []), *emergency]
    return ", ".join(named) + " " if named else ""


def _limit(limit: timedelta | int, kind: str) -> str:
    """Hours stay hours: 72 h run through nights and holidays, three days would not."""
    return _hours(limit) if isinstance(limit, timedelta) else f"{limit} {UNITS[kind]}".replace("1 working days", "1 working day")


def _hours(span: timedelta) -> str:
    minutes = span // timedelta(minutes=1)
    return f"{minutes // 60} h" if minutes and minutes % 60 == 0 else f"{minutes} min"


def _span(span: timedelta) -> str:
    return f"{span.days} d" if span.days and span == timedelta(span.days) else _hours(span)


def _every_log() -> Iterator[str]:
    yield "## Facts of every log\n"
    yield from (_fact(fact, f"<log>.{fact.__name__}") for fact in facts_of(LOGS[0]) if _is_shared(fact))


def _shapes() -> Iterator[str]:
    yield "## Shapes\n\nValues inside facts; a sealed field names the person in the same shape.\n"
    shapes = {shape.__name__: shape for fact in all_facts() for shape in shapes_below(fact)}
    yield from (f"### {name}\n\n{meaning(shape)}\n\n{_fields(shape)}" for name, shape in sorted(shapes.items()))


def _errors() -> Iterator[str]:
    yield "## Errors\n"
    yield ERRORS
    rows = [
        (
            f"`{code}`",
            ", ".join(map(str, found.statuses)) + (", in errors" if found.in_errors else ""),
            sentences().get(code, ""),
            ", ".join(found.services) or "every service",
        )
        for code, found in problems.answers().items()
    ]
    yield table(("code", "status", "what to mend", "answered by"), rows)

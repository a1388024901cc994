"""Are the databases durable, who may write, what does each log say of itself, and what was parked?"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from chassis.timing import Time
from deploy.local.postgres import ERASER
from deploy.local.stack import SERVICES
from tools.recovery.findings import Finding
from tools.recovery.running import Running

DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
LITTLE = 1_000_000_000  # bytes
LATE, APART = timedelta(seconds=10), timedelta(seconds=2)
OVERDUE, BEHIND = 900.0, 60.0
"""Seconds after which a newest checkpoint is too old: in any case, and if the topic tells more than it covers."""
OF_THE_LOG = ("event", "command", "head")
"""Tables into which nobody writes but `append()`."""
KEPT = ("checkpoint", "heard", "parked", "follower", "put_aside", "clock_due")
"""Tables that the worker keeps beside the log."""


@dataclass
class Measured:
    """What a service's database says. heard: log → position. own: follower → position. parked: log → how many wait. aside:
    follower → how many. signed: how many entries the newest checkpoint covers, and signed_before: seconds since it was signed.
    open: whether it was written on this server last."""

    head: int
    recorded_at: datetime | None
    last: int
    environment: str
    heard: dict[str, int] = field(default_factory=dict)
    own: dict[str, int] = field(default_factory=dict)
    due: int = 0
    parked: dict[str, int] = field(default_factory=dict)
    aside: dict[str, int] = field(default_factory=dict)
    signed: int = 0
    signed_before: float = 0.0
    open: bool = True


def look_at_server(stack: Running) -> Iterator[Finding]:
    """Settings that durability rests on, room, time. Raises psycopg.Error if it does not answer."""
    rows = stack.rows("postgres", "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", list(DURABLE))
    off = sorted(row["name"] for row in rows if row["setting"] != "on")
    overridden = stack.rows("postgres", "SELECT unnest(setconfig) AS setting FROM pg_db_role_setting")
    off += sorted({row["setting"] for row in overridden if row["setting"].partition("=")[0] in DURABLE})
    if off:
        wrong = f"what is answered as done may be lost in a power cut: {', '.join(off)}"
        yield Finding("postgresql", wrong, "switch it on for everybody and reload", "settings-changed")
    free = shutil.disk_usage(Path(stack.state["postgres"])).free
    if free < LITTLE:
        yield Finding("postgresql", f"only {free // 1_000_000} MB are left on its disk", "make room before it stops", "disk-full")
    apart = stack.rows("postgres", "SELECT clock_timestamp() AS now")[0]["now"] - datetime.now(UTC)
    if abs(apart) > APART:
        wrong = f"its clock is {apart.total_seconds():.0f} s away from this machine's"
        yield Finding("postgresql", wrong, "synchronise the clocks", "clock-wrong")


def measured(stack: Running, service: str) -> Measured:
    """Raises psycopg.Error."""
    with stack.connect(service) as db:
        at = "SELECT position, nullif(recorded_at, '-infinity') AS recorded_at, incarnation = incarnation_here() AS open FROM head"
        (head,) = db.execute(at).fetchall()
        (last,) = db.execute("SELECT coalesce(max(position), 0) AS last FROM event").fetchall()
        first = db.execute("SELECT state FROM event WHERE position = 1").fetchall()
        found = Measured(head["position"], head["recorded_at"], last["last"], _environment(first))
        found.open = head["open"]
        for row in db.execute("SELECT split_part(topic, '.', 2) AS log, position FROM heard").fetchall():
            found.heard[row["log"]] = row["position"]
        for row in db.execute("SELECT name, position FROM follower").fetchall():
            found.own[row["name"]] = row["position"]
        newest = "SELECT size, clock_timestamp() - signed_at AS age FROM checkpoint ORDER BY size DESC LIMIT 1"
        for row in db.execute(newest).fetchall():
            found.signed, found.signed_before = row["size"], row["age"].total_seconds()
        late = Time(Path(stack.state["clock_file"])).now() - LATE
        (due,) = db.execute("SELECT count(*) AS due FROM clock_due WHERE due_at < %s", [late]).fetchall()
        found.due = due["due"]
        waiting = "SELECT split_part(topic, '.', 2) AS log, count(*) AS n FROM parked WHERE discarded_at IS NULL GROUP BY topic"
        found.parked = {row["log"]: row["n"] for row in db.execute(waiting).fetchall()}
        aside = "SELECT follower, count(*) AS n FROM put_aside GROUP BY follower"
        found.aside = {row["follower"]: row["n"] for row in db.execute(aside).fetchall()}
    return found


def _environment(first: list[dict[str, Any]]) -> str:
    """As the first entry of the log says: the middle of `<authority>/<environment>/<log>`."""
    try:
        return str(json.loads(bytes(first[0]["state"]))["fact"]["origin"]).split("/")[-2]
    except (LookupError, ValueError):
        return ""


def look_at_log(stack: Running, service: str, of: Measured, deep: bool) -> Iterator[Finding]:
    """Is the log whole, and does its time run? Raises psycopg.Error."""
    if not of.open:
        wrong = "its log was written on another server and is closed here: commands are answered 503"
        yield Finding(service, wrong, f"start {service}.worker, which compares it with its topic; its log says more", "log-closed")
    holes = of.last != of.head
    if deep and not holes:
        query = "SELECT count(*) AS n, count(DISTINCT (originator_id, originator_version)) AS places FROM event"
        (counted,) = stack.rows(service, query)
        holes = counted["n"] != of.head or counted["places"] != of.head
    if holes:
        wrong = f"the log has a hole: its head is {of.head} and its last fact {of.last}"
        yield Finding(service, wrong, "stop the service and find out who removed rows", "hole-in-the-log")
    time = Time(Path(stack.state["clock_file"]))
    if of.environment == "prod" and time.shift():
        wrong = f"time is moved by {time.shift().total_seconds():.0f} s in production"
        yield Finding(service, wrong, "unset H111_CLOCK_FILE", "clock-wrong")
    if of.recorded_at and of.recorded_at - time.now() > LATE:
        wrong = f"the last fact is stamped {of.recorded_at - time.now()} after now: a clock was wrong, or was set back"
        yield Finding(service, wrong, "set the clock right; stamps stand still until it has caught up", "clock-wrong")
    if of.due:
        do = f"is the loop `timer` of {service}.worker ready, and its follower `clocks` at the end?"
        yield Finding(service, f"{of.due} clocks are due and not breached", do, "worker-keeps-ending")
    for log, count in of.parked.items():
        wrong = f"{count} facts of {log} are parked"
        yield Finding(service, wrong, f"hotline parked list --service {service}", "parked-facts")
    for follower, count in of.aside.items():
        wrong = f"{count} facts of its own log are put aside by `{follower}`"
        yield Finding(service, wrong, f"deploy what can read them; {service}.worker tries again when it starts", "parked-facts")


def look_at_checkpoint(service: str, of: Measured, told: int) -> Iterator[Finding]:
    """Is what the topic tells signed in time? told: the last position that it tells."""
    do = f"is the loop `signer` of {service}.worker ready? its log says why not"
    if not of.signed and told:
        yield Finding(service, "nothing of its log was ever signed", do, "evidence")
    elif of.signed_before > OVERDUE:
        yield Finding(service, f"its newest checkpoint is {of.signed_before / 60:.0f} minutes old", do, "evidence")
    elif of.signed < told and of.signed_before > BEHIND:
        yield Finding(service, f"its newest checkpoint covers {of.signed} of {told} entries that its topic tells", do, "evidence")


def look_at_grants(stack: Running, service: str) -> Iterator[Finding]:
    """Who may write where. Raises psycopg.Error."""
    query = """
        SELECT role, name FROM unnest(%s::text[]) AS role, unnest(%s::text[]) AS name
        WHERE has_table_privilege(role, to_regclass(name), 'INSERT, UPDATE, DELETE, TRUNCATE')"""
    found = stack.rows(service, query, [f"{service}_api"], [*OF_THE_LOG, *KEPT])
    found += stack.rows(service, query, [f"{service}_worker"], list(OF_THE_LOG))
    for row in found:
        do = f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {row['name']} FROM {row['role']}, and ask who granted it"
        yield Finding(service, f"{row['role']} may write into {row['name']}", do, "settings-changed")
    triggers = "SELECT FROM pg_trigger WHERE tgname LIKE '%%_is_append_only' AND tgenabled = 'O'"
    if len(stack.rows(service, triggers)) < 3:
        do = "ask who did that, enable them, and compare the log with its topic: hotline doctor --deep"
        yield Finding(service, "the triggers that keep the log from being rewritten are off", do, "settings-changed")


def look_at_monitor(stack: Running) -> Iterator[Finding]:
    """Did anybody sign something else than what was told? Raises psycopg.Error."""
    query = "SELECT log, min(size) AS size FROM audit_note WHERE NOT agrees GROUP BY log ORDER BY log"
    for row in stack.rows("projections", query):
        wrong = f"its checkpoint of {row['size']} entries was signed over something else than what its topic tells"
        yield Finding(row["log"], wrong, "keep database, topic and file as they are, and find out who holds the key", "evidence")


def look_at_keys(stack: Running) -> Iterator[Finding]:
    """Raises psycopg.Error."""
    query = "SELECT role FROM unnest(%s::text[]) AS role WHERE has_table_privilege(role, 'person_key', 'SELECT, UPDATE, DELETE')"
    for row in stack.rows("keys", query, [*(f"{service}_keys" for service in SERVICES), ERASER]):
        do = f"REVOKE ALL ON person_key FROM {row['role']}, and ask who granted it"
        yield Finding("keys", f"{row['role']} may reach into the table of keys", do, "settings-changed")

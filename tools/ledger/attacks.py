"""The ways to tamper with a bundle, and which of them a reader must find with what he has."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

from chassis.ledger.note import SigningKey
from chassis.log import Row
from tools.ledger.forgery import Forgery

Change = Callable[[Forgery], None]
NOTHING = frozenset({"OK"})
HEAD = frozenset({"fork", "rollback"})
LOG = "cases"
READS = "projections"
AT = 150
"""The row that is tampered with: in the middle of a tile, with others of its stream around it."""
STRANGER = bytes(32)  # the seed of the forger's own key


@dataclass(frozen=True)
class Attack:
    """files: what somebody does who can only write files; stolen: what the thief of the log's key does, None where that is all.

    found: the codes that a reader gets who has his policy alone, held heads, a limit of age; key_…: the same against the thief, and
    by a reader whose policy asks for witnesses.
    """

    number: str
    what: str
    files: Change | None
    stolen: Change | None
    found: frozenset[str] = frozenset({"root"})
    found_held: frozenset[str] = frozenset()
    found_age: frozenset[str] = frozenset()
    key_found: frozenset[str] = NOTHING
    key_held: frozenset[str] = HEAD
    key_quorum: frozenset[str] = frozenset({"signature"})


def _rows(change: Callable[[list[Row]], None], *, careful: bool = True, log: str = LOG) -> Change:
    """Change the rows of a log; a careful forger then makes them fit."""

    def do(forgery: Forgery) -> None:
        change(forgery.rows[log])
        if careful:
            forgery.refit(log)

    return do


def _edit(rows: list[Row]) -> None:
    rows[AT] = rows[AT]._replace(stream=next(row.stream for row in rows[1:] if row.stream != rows[AT].stream))


def _drop(rows: list[Row]) -> None:
    del rows[AT]


def _swap(rows: list[Row]) -> None:
    rows[AT], rows[AT + 1] = rows[AT + 1], rows[AT]


def _duplicate(rows: list[Row]) -> None:
    rows.insert(AT + 1, rows[AT])


def _insert(forgery: Forgery) -> None:
    forgery.rows[LOG].insert(AT, forgery.invented(LOG, AT))


def _inserted(forgery: Forgery) -> None:
    _insert(forgery)
    forgery.refit(LOG)


def _renumber(rows: list[Row]) -> None:
    for n, row in enumerate(rows[AT:], AT):
        if row.stream == rows[AT].stream:
            rows[n] = row._replace(version=row.version + 1)


def _reorder(rows: list[Row]) -> None:
    """What was the later of two events of a stream becomes the earlier: the versions stay dense."""
    other = next(n for n in range(AT + 1, len(rows)) if rows[n].stream == rows[AT].stream)
    a, b = rows[AT], rows[other]
    rows[AT], rows[other] = a._replace(type=b.type, state=b.state), b._replace(type=a.type, state=a.state)


def _back_date(rows: list[Row]) -> None:
    rows[AT] = rows[AT]._replace(recorded_at=rows[AT - 1].recorded_at - timedelta(seconds=1))


def _back_date_unseen(rows: list[Row]) -> None:
    n = next(n for n in range(AT, len(rows)) if rows[n].recorded_at > rows[n - 1].recorded_at)
    rows[n] = rows[n]._replace(recorded_at=rows[n - 1].recorded_at)


def _type(rows: list[Row]) -> None:
    rows[AT] = rows[AT]._replace(type=next(row.type for row in rows if row.type != rows[AT].type))


def _state(change: Callable[[Any], None], *, key: bool) -> Change:
    """Another content of a state: under the name of the old one, or with its entry made to fit."""

    def do(forgery: Forgery) -> None:
        row = forgery.rows[LOG][AT]
        state = json.loads(row.state)
        change(state)
        raw = json.dumps(state, separators=(",", ":"), ensure_ascii=False).encode()
        if key:
            forgery.rows[LOG][AT] = row._replace(state=raw)
        else:
            forgery.contents[_name(row)] = raw

    return do


def _actor(state: Any) -> None:
    state["meta"]["actor"] = "TVV-02"


def _class_version(state: Any) -> None:
    state["v"] += 1


def moved_pair(rows: list[Row]) -> tuple[int, int]:
    """Two rows with sealed parts, of one type if there are such: the state of one will stand at the other."""
    sealed = [n for n, row in enumerate(rows) if b'"sealed"' in row.state]
    pairs = ((a, b) for a in sealed for b in sealed if a < b and rows[a].type == rows[b].type)
    return next(pairs, (sealed[0], sealed[1]))


def _move_files(forgery: Forgery) -> None:
    a, b = (forgery.rows[LOG][n] for n in moved_pair(forgery.rows[LOG]))
    forgery.contents |= {_name(a): b.state, _name(b): a.state}


def _move(rows: list[Row]) -> None:
    a, b = moved_pair(rows)
    rows[a], rows[b] = rows[a]._replace(state=rows[b].state), rows[b]._replace(state=rows[a].state)


def _withhold(forgery: Forgery) -> None:
    forgery.withheld |= set(forgery.history.of_case.values())


def _leave_out(forgery: Forgery) -> None:
    gone = set(forgery.history.of_case.values())
    for log, rows in forgery.rows.items():
        forgery.rows[log] = [row for row in rows if row.stream not in gone]
        forgery.refit(log)


def _cut_tail(forgery: Forgery) -> None:
    forgery.put_back(READS, len(forgery.rows[READS]) - 20)


def _cut_and_fill(forgery: Forgery) -> None:
    forgery.rows[READS] = forgery.rows[READS][:-20]
    forgery.refit(READS)


def _old_sizes(forgery: Forgery) -> dict[str, int]:
    """All logs as of one instant, which is causally closed."""
    instant = forgery.rows[LOG][AT].recorded_at
    return {log: sum(row.recorded_at <= instant for row in rows) for log, rows in forgery.rows.items()}


def _old(forgery: Forgery) -> None:
    for log, size in _old_sizes(forgery).items():
        forgery.put_back(log, size)


def _old_and_fill(forgery: Forgery) -> None:
    for log, size in _old_sizes(forgery).items():
        forgery.rows[log] = forgery.rows[log][:size]
        forgery.refit(log)


def _second_view(forgery: Forgery) -> None:
    _rows(_edit)(forgery)
    forgery.sign(LOG, SigningKey.of_seed(forgery.history.keys[LOG].key.name, STRANGER))


def _own_policy(forgery: Forgery) -> None:
    """Everything signed by the forger, and a policy in the bundle that says that this is right."""
    logs = ""
    for n, log in enumerate(forgery.rows):
        key = SigningKey.of_seed(forgery.history.keys[log].key.name, bytes([n + 1]) * 32)
        forgery.sign(log, key)
        logs += f"log {key.verifier}\n"
    forgery.policy = f"{logs}quorum none\n".encode()


def _name(row: Row) -> str:
    return sha256(row.state).hexdigest()


STATE, MISSING, SIGNATURE = frozenset({"state"}), frozenset({"missing"}), frozenset({"signature"})
ROLLBACK, STALE = frozenset({"rollback"}), frozenset({"stale"})
ATTACKS = [
    Attack("1", "byte of a state", _state(_actor, key=False), _state(_actor, key=True), STATE),
    Attack("2", "entry edited", _rows(_edit), _rows(_edit)),
    Attack("3", "dropped from the middle", _rows(_drop), _rows(_drop)),
    Attack("4", "tail cut, genuine old checkpoint", _cut_tail, _cut_and_fill, NOTHING, ROLLBACK, STALE),
    Attack("5", "two swapped", _rows(_swap), _rows(_swap)),
    Attack("6", "forged one inserted", _inserted, _inserted),
    Attack("7", "duplicated", _rows(_duplicate), _rows(_duplicate)),
    Attack("8a", "states of a case left out", _withhold, _leave_out, MISSING),
    Attack("8b", "entries of a case left out", _leave_out, _leave_out),
    Attack("9", "versions renumbered", _rows(_renumber, careful=False), _rows(_reorder)),
    Attack("10", "state moved to another event", _move_files, _rows(_move), STATE),
    Attack("11", "back-dated", _rows(_back_date, careful=False), _rows(_back_date_unseen)),
    Attack("12", "second view for one auditor", _second_view, _rows(_edit), SIGNATURE),
    Attack("13", "old checkpoint as current", _old, _old_and_fill, NOTHING, ROLLBACK, STALE),
    Attack("14a", "type exchanged", _rows(_type), _rows(_type)),
    Attack("14b", "class version exchanged", _state(_class_version, key=False), _state(_class_version, key=True), STATE),
    Attack("14c", "policy exchanged", _own_policy, None, SIGNATURE),
]
SHAPE, VERSIONS = frozenset({"shape"}), frozenset({"versions"})
CARELESS = [
    Attack("3", "… carelessly", None, _rows(_drop, careful=False), key_found=SHAPE, key_held=SHAPE),
    Attack("5", "… carelessly", None, _rows(_swap, careful=False), key_found=SHAPE, key_held=SHAPE),
    Attack("6", "… carelessly", None, _insert, key_found=SHAPE, key_held=SHAPE),
    Attack("7", "… carelessly", None, _rows(_duplicate, careful=False), key_found=SHAPE, key_held=SHAPE),
    Attack("9", "… carelessly", None, _rows(_renumber, careful=False), key_found=VERSIONS, key_held=VERSIONS),
    Attack("11", "… carelessly", None, _rows(_back_date, careful=False), key_found=SHAPE, key_held=SHAPE),
]
CONTROL = Attack("–", "nothing altered", lambda _: None, lambda _: None, *[NOTHING] * 6)

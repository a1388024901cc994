"""Whether states are what their names say, and what they name as their causes."""

import json
import re
from hashlib import sha256
from typing import Any, NamedTuple

from chassis.ledger.errors import LedgerError
from tools.ledger.files import Place

LARGEST = 16 * 1024 * 1024
"""Bytes of a state that is looked at. A command's body has at most 1,000,000; it may double when sealed."""
DEEPEST = 100
"""Objects and lists inside each other."""
STATES = 2_000
"""States of one run."""
_SHA256 = re.compile("[0-9a-f]{64}")
_CAUSE = re.compile(r"([a-z]{1,40}):(?:([1-9][0-9]{0,17})|.*)", re.DOTALL)


class Shown(NamedTuple):
    digest: bytes
    place: Place


class Judged(NamedTuple):
    """wrong: (digest, code, reason); causes: (digest, name, position) of those that begin as the name of a log does.

    position: 0 where no plain number stands behind the name.
    """

    wrong: list[tuple[bytes, str, str]]
    causes: list[tuple[bytes, str, int]]
    read: int


def judge(states: list[Shown]) -> Judged:
    """Reads the states of one run."""
    wrong: list[tuple[bytes, str, str]] = []
    causes: list[tuple[bytes, str, int]] = []
    for digest, place in states:
        try:
            raw = place.read(LARGEST)
            if sha256(raw).digest() != digest:
                raise LedgerError("state", "the content of a state has not the SHA-256 that its entry names")
            if found := _cause(raw):
                causes.append((digest, *found))
        except LedgerError as problem:
            wrong.append((digest, "state" if problem.code == "malformed" else problem.code, problem.reason))
        except OSError as problem:
            wrong.append((digest, "state", f"a state cannot be read ({type(problem).__name__})"))
    return Judged(wrong, causes, sum(place.size for _, place in states))


def adopted_in(raw: bytes) -> tuple[int, str] | None:
    """Epoch and SHA-256 of the policy that a log adopted, as the state of that fact says; None where it does not."""
    try:
        fact = json.loads(raw)["fact"]
        return (int(fact["epoch"]), fact["sha256"]) if _SHA256.fullmatch(fact["sha256"]) else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _of_one_meaning(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError for an object that names a member twice: of which one reader takes the first, another the last."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member is named twice")
    return members


def _no_number(name: str) -> None:
    """Raises ValueError for NaN and the infinities, which are not of JSON."""
    raise ValueError(f"{name} is no number")


def _strict(raw: bytes) -> Any:
    """JSON as RFC 8259 has it; numbers of any length, no integer exact. Raises ValueError, RecursionError."""
    value = json.loads(raw.decode(), object_pairs_hook=_of_one_meaning, parse_constant=_no_number, parse_int=float)
    if raw.count(b"{") + raw.count(b"[") > DEEPEST and _is_deep(value):
        raise ValueError("nested too deeply")
    if b"\\ud" in raw or b"\\uD" in raw:
        json.dumps(value, ensure_ascii=False).encode()  # half a pair of surrogates is no text
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)]
        level = [inner for inner in level if isinstance(inner, (dict, list))]
        if not level:
            return False
    return True


def _cause(raw: bytes) -> tuple[str, int] | None:
    """Raises LedgerError `cause` for bytes that are no state: what caused it cannot be known."""
    try:
        found = _CAUSE.fullmatch(_strict(raw).get("meta", {}).get("cause", ""))
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise LedgerError("cause", "a state is not the envelope of a fact, so its cause cannot be read") from None
    return (found[1], int(found[2] or 0)) if found else None

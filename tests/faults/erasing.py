"""Persons who are forgotten while the worker that does it is killed: first the key, then the word, each once."""

from typing import Any
from uuid import uuid4

from contracts.intake import PersonForgotten
from tests.faults.chaos import Chaos, fault
from tests.faults.kills import arm
from tests.line import Line, eventually

PLACES = ("erasure.after-destroy", "erasure.after-command")
KEY = "SELECT FROM create_keys(ARRAY[%s::uuid], ARRAY['1'], ARRAY['\\x00'::bytea])"


def approve(line: Line, person: Any) -> None:
    """Two data officers want a person to be forgotten."""
    base = f"/intake/v1/persons/{person}"
    line.done(f"{base}/erasure-requests", {"basis": "subject"}, "DL-01")
    line.decided(f"{base}/erasure-approvals", {"decision": "12/QĐ"}, "DL-02", of=base).raise_for_status()


def is_told(line: Line, person: Any) -> int:
    """How often the person was told to be forgotten."""
    return len(line.facts(PersonForgotten.TOPIC, person))


def key_lives(line: Line, person: Any) -> bool:
    return line.rows("keys", "SELECT wrapped IS NOT NULL FROM person_key WHERE person = %s", person) == [(True,)]


def die_at(line: Line, place: str) -> Any:
    """Intake's worker dies when it comes to this place; answers the file that is there once it has."""
    file = line.stack.home / "failpoints" / "intake-worker"
    hit = file.with_suffix(".hit")
    hit.unlink(missing_ok=True)
    arm(file, place, 1, "kill")
    return hit


@fault(
    "persons forgotten, and killed in between",
    "the erasure of a person is approved; intake's worker dies after the key is destroyed, then after that is told",
    "nobody is told to be forgotten while the key lives, and everybody once",
)
def forgotten(chaos: Chaos) -> None:
    for _ in chaos.times(1, 10):
        for place in PLACES:
            person = uuid4()
            chaos.line.rows("keys", KEY, person)
            with chaos.strike():
                hit = die_at(chaos.line, place)
                approve(chaos.line, person)
                eventually(hit.exists, 60)
                chaos.expect(not key_lives(chaos.line, person), "the key lives although it was destroyed")
            eventually(lambda person=person: is_told(chaos.line, person), 60)
            chaos.expect(is_told(chaos.line, person) == 1, "somebody was told twice to be forgotten")

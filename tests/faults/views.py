"""Faults of a rebuild: killed while it fills, while it compares, in the middle of the swap, and after it; people read all the while."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from tests.faults.chaos import Chaos, fault
from tests.faults.desks import looked_at, reported
from tests.faults.kills import arm
from tests.line import Line

PLACES = ("rebuild.before-commit", "swap.before", "swap.before-commit", "swap.after-commit")
HOTLINE = [sys.executable, "-c", "from tools.hotline import main; main()", "views", "rebuild"]


@fault(
    "views rebuilt, and killed in the middle",
    "the views are rebuilt beside the live ones under load; the rebuild dies at each of its places, and is started again",
    "it goes on and swaps; every read meanwhile is answered, and none is older than the one before",
)
def rebuilt(chaos: Chaos) -> None:
    record = reported(chaos.line)
    looked_at(chaos.line, record)
    for _ in chaos.times(1, 5):
        live = _live(chaos)
        *before, after = PLACES
        for place in [chaos.random.choice(before), after] if chaos.short else PLACES:  # each time it goes on where it died
            with chaos.strike(), _reading(chaos, record):
                died = _rebuild(chaos, place)
                chaos.expect(died.returncode == -9, f"the rebuild did not die at {place}: {died.stdout}{died.stderr}")
        chaos.expect(_live(chaos) > live, "the new build is not live")


def _live(chaos: Chaos) -> int:
    return chaos.line.rows("projections", "SELECT build FROM live")[0][0]


def _rebuild(chaos: Chaos, place: str) -> subprocess.CompletedProcess[str]:
    """`hotline views rebuild`, which dies at a place."""
    file = chaos.stack.home / "failpoints" / "projections-rebuild"
    file.with_suffix(".hit").unlink(missing_ok=True)
    arm(file, place, 1, "kill")
    env = (chaos.stack.process("projections", "worker").env or {}) | {"H111_FAILPOINTS": str(file)}
    return subprocess.run(HOTLINE, env=env, capture_output=True, text=True, check=False, timeout=300)


@contextmanager
def _reading(chaos: Chaos, record: dict[str, Any]) -> Iterator[None]:
    """Somebody who looks at one file again and again."""
    enough = Event()
    reader = Thread(target=_read, args=(chaos, chaos.line, record["id"], enough), daemon=True)
    reader.start()
    try:
        yield
    finally:
        enough.set()
        reader.join()


def _read(chaos: Chaos, line: Line, record: str, enough: Event) -> None:
    before: dict[str, int] = {}
    while not enough.wait(0.1):
        answer = line.get(f"/projections/v1/records/{record}", hotline_purpose="duty")
        chaos.expect(answer.is_success, f"a read was answered {answer.status_code} {answer.text}")
        if answer.is_success:
            instant = dict(each.split(":") for each in answer.headers["hotline-instant"].split(","))
            now = {log: int(position) for log, position in instant.items()}
            chaos.expect(all(now.get(log, 0) >= position for log, position in before.items()), f"read {now} after {before}")
            before = now

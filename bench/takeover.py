"""A worker is killed: how long until its successor does what was asked meanwhile."""

import time
from collections.abc import Iterator
from uuid import UUID

from bench.contest import Report, Scale, quantiles, say
from bench.ground import Ground
from contracts.ids import case_of
from tests.line import Line, call, child, eventually, report, screening

KILLED = {"cases": "cases.CaseOpened", "referrals": "referrals.ReferralSent"}
"""Worker → the fact that tells its reaction to a screening."""
STEADY = 11.0  # seconds a worker must have lived for its supervisor to start it again without delay
FIRST_PAUSE = 0.2


def run(ground: Ground, scale: Scale) -> Iterator[Report]:
    """The workers of cases and referrals in turns, for each needs some seconds of life between two deaths."""
    times = scale.of(5, 1)
    found = Report(
        "takeover",
        "From kill -9 to the first reaction",
        "A screening is answered just after the worker that must react to it was killed with SIGKILL; until its successor has"
        f" appended the reaction. Included: the supervisor notices ({FIRST_PAUSE} s pause), Python starts, the advisory lock,"
        " Kafka's group.",
    )
    yield found
    line = ground.line
    seconds: dict[str, list[float]] = {worker: [] for worker in KILLED}
    lived = dict.fromkeys(KILLED, 0.0)
    for n in range(times * len(KILLED)):
        worker = list(KILLED)[n % len(KILLED)]
        time.sleep(max(0.0, lived[worker] + STEADY - time.monotonic()))
        seconds[worker].append(_kill(line, worker))
        lived[worker] = time.monotonic()
        say(f"{worker} killed, its successor reacted after {seconds[worker][-1]:.2f} s")
    for worker, each in seconds.items():
        found.row(worker=worker, kills=len(each), median_s=quantiles(each)[0] / 1000, longest_s=max(each))


def _kill(line: Line, worker: str) -> float:
    contact = line.done("/intake/v1/contacts", call(line))
    of = child()
    record = line.done("/intake/v1/records", report(line, contact, of))
    line.stack.process(worker, "worker").kill9()
    killed = time.perf_counter()
    line.done(f"/intake/v1/records/{record['id']}/screening", screening(), seen=record["version"])
    reaction = case_of(UUID(record["id"]), UUID(of["child_id"])) if worker == "cases" else None
    query = (
        "SELECT FROM event WHERE topic = %s AND (originator_id = %s OR (%s::uuid IS NULL AND position(%s IN state) > 0)) LIMIT 1"
    )
    given = (KILLED[worker], reaction, reaction, record["id"].encode())
    eventually(lambda: line.rows(worker, query, *given), seconds=120, every=0.005)
    return time.perf_counter() - killed

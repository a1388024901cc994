"""Faults of processes: killed between any two steps, frozen, doubled."""

from deploy.local.environment import python
from deploy.local.process import Process, free_port
from deploy.local.stack import ROLES, SERVICES
from tests.faults.chaos import Chaos, fault
from tests.faults.kills import REACHED_BY, Killer, arm, freeze
from tests.line import eventually

KILLS, ROUNDS = 1_000, 4
"""Over all places, in the full form, and on how many stacks."""


@fault(
    "SIGKILL at every named place",
    "processes of all services die by themselves at their places, any number at a time",
    "their successors go on; nobody else notices",
    rounds=ROUNDS,
)
def killed(chaos: Chaos) -> None:
    killer = Killer(chaos.stack, chaos.random)
    times = 1 if chaos.short else -(-KILLS // len(REACHED_BY) // ROUNDS)
    left = killer.kill(times, say=chaos.say, seconds=chaos.seconds(240, 1500))
    chaos.expect(not left, f"not reached as often as wanted: {left}")
    chaos.repetitions += len(killer.recoveries)
    chaos.recoveries += killer.recoveries
    chaos.parts = dict(sorted(killer.hits.items()))


@fault(
    "each process frozen",
    "SIGSTOP and, 30 s later (1 s in the short form), SIGCONT for each process of each service in turn",
    "its work waits or is done by nobody else twice",
)
def frozen(chaos: Chaos) -> None:
    for name in [(service, role) for service in SERVICES for role in ROLES]:
        with chaos.strike():
            freeze(chaos.stack.process(*name).pid, chaos.seconds(1, 30))


@fault(
    "frozen at every place, and gone on",
    "a process stops by itself at a named place, in the middle of its work, and goes on after 3 s",
    "what it was about to do is done once",
)
def frozen_at_places(chaos: Chaos) -> None:
    for place in chaos.random.sample(list(REACHED_BY), 4 if chaos.short else len(REACHED_BY)):
        service, role = REACHED_BY[place][0]
        file = chaos.stack.home / "failpoints" / f"{service}-{role}"
        arm(file, place, 1, "stop")
        eventually(lambda file=file: file.with_suffix(".hit").exists(), 60)
        file.with_suffix(".hit").unlink()
        with chaos.strike():
            freeze(chaos.stack.process(service, role).pid, 3)


@fault(
    "two workers of each service at once",
    "a second worker of every service that does not ask whether it is the only one: two relays, two timers, two of everything",
    "they do no harm: the fence is economy, not correctness",
)
def two_workers(chaos: Chaos) -> None:
    twins = [_twin(chaos, service) for service in SERVICES]
    try:
        for twin in twins:
            twin.start()
        chaos.desks.tell(3 if chaos.short else 100)
        for service in SERVICES:
            chaos.stack.process(service, "worker").kill9()
        chaos.desks.tell(2 if chaos.short else 50)
        chaos.repetitions += len(twins)
    finally:
        for twin in twins:
            twin.stop()


def _twin(chaos: Chaos, service: str) -> Process:
    env = chaos.stack.process(service, "worker").env or {}
    own = {"H111_PORT": str(free_port()), "H111_FAILPOINTS": str(chaos.stack.home / "failpoints" / f"{service}-twin")}
    own["H111_TRACES"] = str(chaos.stack.home / "traces" / f"{service}-twin.jsonl")
    log = chaos.stack.home / "logs" / f"{service}-twin.log"
    return Process(f"{service}.twin", python("tests.faults.unfenced", service, "--role=worker"), log, env=env | own)

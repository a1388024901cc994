"""What the relations of `contracts/roles.yaml` mean in intake: whose something is, and whose commune or province."""

from chassis.identity import Capacity
from contracts.kernel import Command
from contracts.places import province_of
from services.intake.domain import Contact, Record, State

LINE = frozenset({"counsellor", "supervisor", "operator"})
COMMUNE = frozenset({"commune_officer", "commune_chair"})


def relations(state: State | None, capacity: Capacity, command: Command | None = None) -> frozenset[str]:  # noqa: ARG001
    """How this capacity stands to it, of a person only: as the line. The command makes no difference: only the line begins one.

    `any` is not said here: it is no relation, and this answer also decides who may see the state at all.
    """
    held = {"line"} if capacity.role in LINE else set[str]()
    match state:
        case Contact():
            held |= {"own"} if state.agent == capacity.subject else set()
        case Record():
            held |= {"own"} if state.owner == capacity.subject else set()
            held |= _of_place(state, capacity)
    return frozenset(held)


def _of_place(record: Record, capacity: Capacity) -> set[str]:
    """Before there is a case, the lead is the commune of the incident: it must be handed the report (Decree 56/2017 art. 26.1)."""
    incident, residence = record.incident_commune, record.residence_commune
    match capacity.role:
        case role if role in COMMUNE and capacity.place is not None:
            held = {"lead"} if capacity.place == incident else set[str]()
            return held | ({"incident"} if capacity.place in {incident, residence} else set())
        case "provincial_officer" if incident is not None and capacity.place is not None:
            return {"province"} if capacity.place == province_of(incident) else set()
        case _:
            return set()

"""What the relations of `contracts/roles.yaml` mean for a case: whose lead, incident or province it is, who was asked to help."""

from chassis.identity import Capacity
from contracts.kernel import Command
from contracts.places import province_of
from services.cases.domain.state import Case

LINE = frozenset({"counsellor", "supervisor", "operator"})
BODIES = {"commune_officer": "commune_pc", "commune_chair": "commune_pc", "provincial_officer": "province_health"}
"""Roles of people → role of the body they act for; of an agency's user, the agency itself."""


def relations(case: Case | None, capacity: Capacity, command: Command | None = None) -> frozenset[str]:  # noqa: ARG001
    """How this capacity stands to this case. The command makes no difference here: no person opens a case.

    `any` is not said here: it is no relation to a case, and this answer also decides who may see the case at all.
    """
    held = {"line"} if capacity.role in LINE else set()
    if case:
        held |= _of_commune(case, capacity) | _of_province(case, capacity) | _of_addressee(case, capacity)
    return frozenset(held)


def _of_commune(case: Case, capacity: Capacity) -> set[str]:
    if BODIES.get(capacity.role) != "commune_pc" or capacity.place is None:
        return set()
    held = {"lead"} if capacity.place == case.lead else set()
    if capacity.place in {case.lead, case.incident_commune, case.residence_commune}:
        held.add("incident")
    return held


def _of_province(case: Case, capacity: Capacity) -> set[str]:
    """The province of the lead or of the incident. That of another residence has its copy, and no say."""
    provinces = {province_of(case.lead), province_of(case.incident_commune)}
    is_own = capacity.role == "provincial_officer" and capacity.place is not None and capacity.place in provinces
    return {"province"} if is_own else set()


def _of_addressee(case: Case, capacity: Capacity) -> set[str]:
    """Whoever was asked to help and not let go again; a provider only of an approved plan, for a draft asks nobody."""
    body = capacity.agency or f"{BODIES.get(capacity.role)}@{capacity.place}"
    asked = {str(hand_off.addressee) for hand_off in case.hand_offs.values() if hand_off.step != "revoked"}
    held = {"addressed"} if body in asked else set()
    if case.plan and case.plan.decision_no:
        asked |= {str(item.provider) for item in case.plan.items if item.provider}
    if capacity.agency and body in asked:
        held.add("agency")
    return held

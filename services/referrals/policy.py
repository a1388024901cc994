"""How somebody stands to a hand-off or an agency: the meaning of the relations of `contracts/roles.yaml` in this service."""

from chassis.identity import Capacity
from contracts.kernel import Command
from contracts.places import province_of
from contracts.shapes import HandOff
from services.referrals.domain.agencies import RegisterAgency
from services.referrals.domain.sending import SendReferral
from services.referrals.domain.state import Agency, Referral, State

LINE = frozenset({"counsellor", "supervisor", "operator"})
BODY = {"commune_officer": "commune_pc", "commune_chair": "commune_pc", "provincial_officer": "province_health"}


def relations(state: State, capacity: Capacity, command: Command | None = None) -> frozenset[str]:
    """The relations that hold between this capacity and what is commanded or asked for; without a state the command is judged.

    `any` is not said here: it is no relation, and this answer also decides who may see the state at all.
    """
    found = {"line"} if capacity.role in LINE else set[str]()
    if isinstance(state, Referral):
        found |= _to_hand_off(state.of, capacity)
        found |= {"own"} if state.sender == capacity.subject else set()
    elif isinstance(state, Agency):
        found |= _to_place(state.addressee.place, capacity)
        found |= {"agency", "addressed"} if _body(capacity) == str(state.addressee) else set()
    elif isinstance(command, SendReferral):
        found |= _to_hand_off(command.of, capacity) | {"own"}  # who sends it answers for it
    elif isinstance(command, RegisterAgency):
        found |= _to_place(command.place, capacity)
    if capacity.role == "link" and command and capacity.subject == f"link:{command.given.stream}":
        found.add("addressed")  # the link was made for exactly this hand-off
    return frozenset(found)


def _to_hand_off(of: HandOff, capacity: Capacity) -> set[str]:
    found = set[str]()
    if of.lead and capacity.place == of.lead and BODY.get(capacity.role) == "commune_pc":
        found |= {"lead", "incident"}
    if _body(capacity) == str(of.addressee):
        found |= {"addressed", "agency"}
    return found | _to_place(of.lead or of.addressee.place, capacity) | _to_place(of.addressee.place, capacity)


def _to_place(place: str, capacity: Capacity) -> set[str]:
    provincial = capacity.role == "provincial_officer" and capacity.place is not None
    return {"province"} if provincial and province_of(place) == capacity.place else set()


def _body(capacity: Capacity) -> str | None:
    """The body this capacity acts for, as an addressee is written."""
    if capacity.role in BODY and capacity.place:
        return f"{BODY[capacity.role]}@{capacity.place}"
    return capacity.agency

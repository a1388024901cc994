"""How somebody stands to a thread of messages: the meaning of the relations of `contracts/roles.yaml` in this service."""

from chassis.identity import Capacity
from contracts.kernel import Command
from contracts.places import province_of
from services.notifications.domain.queueing import QueueMessage
from services.notifications.domain.state import State

LINE = frozenset({"counsellor", "supervisor", "operator"})
BODY = {"commune_officer": "commune_pc", "commune_chair": "commune_pc", "provincial_officer": "province_health"}


def relations(thread: State, capacity: Capacity, command: Command | None = None) -> frozenset[str]:
    """The relations that hold between this capacity and a thread, or before there is one, the message to be said.

    Notifications knows recipients, not cases: a commune leads and a province oversees what is said to that commune.
    """
    held = {"line"} if capacity.role in LINE else set[str]()
    recipient = thread.recipient if thread else command.recipient if isinstance(command, QueueMessage) else None
    if recipient is None:
        return frozenset(held)
    body = f"{BODY[capacity.role]}@{capacity.place}" if capacity.role in BODY else capacity.agency
    if body == str(recipient):
        held |= {"addressed", "agency"} | ({"lead", "incident"} if recipient.role == "commune_pc" else set())
    if capacity.role == "provincial_officer" and capacity.place and capacity.place == province_of(recipient.place):
        held.add("province")
    return frozenset(held)

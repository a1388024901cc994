"""What the tests of this service speak of. All names and places are invented."""

from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from contracts.notifications import Letter
from contracts.shapes import About, Addressee
from services.notifications.domain import decide, evolve
from services.notifications.domain.queueing import QueueMessage
from services.notifications.domain.sending import Delivered, Failed, RecordSending, Sent
from tests.given import given as any_given

given: Any = partial(any_given, decide=decide, evolve=evolve)
REFERRAL, AGENCY = UUID(int=1), UUID(int=2)
XA, TINH, HANOI = "99801@2025-07-01", "98@2025-07-01", "hanoi@2025-07-01"
COMMUNE = Addressee(role="commune_pc", place=XA)
SUPERVISORS = Addressee(role="supervisor_desk", place=HANOI)
PROVINCE = Addressee(role="province_health", place=TINH)
ABOUT = About(kind="referral", id=REFERRAL)
LETTER = Letter(template="hand_off", emergency=False, commune=XA, children=2)
URGENT = LETTER.model_copy(update={"emergency": True})
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
FIRST, NEXT = "email:1", "email:2"
BOUNCED = Failed(reason="refused", permanent=True)
NO_ANSWER = Failed(reason="timeout", permanent=False)
RELAYED = Sent(provider_ref="<1@111.example>")
TAKEN = Delivered(provider_ref="<1@111.example>", via="smtp_accepted")


def say(*channels: str, letter: Letter = LETTER, **more: Any) -> QueueMessage:
    """Tell the commune that a hand-off came."""
    return QueueMessage(about=ABOUT, recipient=COMMUNE, purpose="duty", letter=letter, channels=channels, agency_id=AGENCY, **more)


def queued(*channels: str, **more: Any) -> list[Any]:
    """The facts of a message that was queued now."""
    return given().when(say(*channels or (FIRST, NEXT), **more)).told


def then(facts: list[Any], command: Any, **when: Any) -> list[Any]:
    """The history, and what this command adds to it."""
    return facts + given(*facts).when(command, **when).told


def tried(result: Any, attempt: int = 1, channel: str = FIRST, number: int = 1) -> RecordSending:
    """What became of an attempt."""
    return RecordSending(number=number, channel=channel, attempt=attempt, result=result)


def kinds(facts: list[Any]) -> list[str]:
    """The names of the facts, in order."""
    return [type(fact).__name__ for fact in facts]

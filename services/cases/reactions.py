"""What cases does when it hears intake and referrals (catalogue of reactions)."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.mapper import Recorded
from chassis.reaction import Reaction, Reactions
from contracts.ids import case_of
from contracts.intake import ReportScreened
from contracts.kernel import Command, Fact
from contracts.referrals import (
    ReferralAcknowledged,
    ReferralCompleted,
    ReferralDelivered,
    ReferralEscalated,
    ReferralRevoked,
    ReferralSent,
)
from services.cases.domain.hand_offs import NoteHandOff
from services.cases.domain.opening import OpenCase

STEPS: Mapping[type[Fact], tuple[str, str | None]] = {
    ReferralSent: ("sent", "sent_at"),
    ReferralDelivered: ("delivered", "delivered_at"),
    ReferralAcknowledged: ("acknowledged", "acknowledged_at"),
    ReferralCompleted: ("completed", "at"),
    ReferralRevoked: ("revoked", None),
    ReferralEscalated: ("escalated", None),
}
"""What each fact of a hand-off means to a case, and which field says when; without one, the envelope's `occurred_at`."""


def open_cases(heard: Recorded) -> Iterator[tuple[UUID, Command]]:
    """A case for each child that the screening decided to protect; its id is that of record and child, whoever asks first.

    A screening without the place of the incident makes no valid command, so it is parked: nobody could lead such a case.
    """
    screened: Any = heard.fact
    if screened.decision != "open_case":
        return
    shared = {name: getattr(screened, name) for name in OpenCase.model_fields if name in ReportScreened.model_fields}
    for child in screened.children:
        about = {"child_id": child.child_id, "age_band": child.age_band, "age_basis": child.age_basis}
        yield case_of(heard.stream, child.child_id), OpenCase(**shared, **about, record_id=heard.stream)


def note_hand_offs(heard: Recorded) -> Iterator[tuple[UUID, Command]]:
    """The step on each case that the hand-off carries; of a revocation, on those for which it was revoked."""
    fact: Any = heard.fact
    step, when = STEPS[type(fact)]
    at = getattr(fact, when) if when else datetime.fromisoformat(heard.meta["occurred_at"])
    for case in fact.cases if isinstance(fact, ReferralRevoked) else fact.of.cases:
        command = NoteHandOff(
            occurred_at=at,
            referral_id=heard.stream,
            kind=fact.of.kind,
            addressee=fact.of.addressee,
            step=step,
            at=at,
            item=fact.of.item,
        )
        yield case, command


REACTIONS: Reactions = [
    Reaction("open-case", ReportScreened, OpenCase, open_cases, done=frozenset({"already-open"})),
    *(Reaction("note-hand-off", fact, NoteHandOff, note_hand_offs) for fact in STEPS),
]

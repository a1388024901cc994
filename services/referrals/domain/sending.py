"""Sending: a matter is handed to one addressee, and from that instant a clock runs until a person there takes over."""

from collections.abc import Iterator
from datetime import date
from typing import ClassVar
from uuid import UUID

from contracts.codes import Basis
from contracts.digest import digest
from contracts.kernel import Command, Instant, Refused
from contracts.referrals import ReferralFact, ReferralSent
from contracts.shapes import Alleged, Child, ChildDigest, HandOff, Informant, Line
from services.referrals.domain.ladder import start_acknowledgement, tell_next_rung
from services.referrals.domain.state import Referral, State, decide, evolve, hand_off, instant

FIELDS = frozenset(
    f"{who}.{name}" for who, shape in (("child", Child), ("alleged", Alleged), ("informant", Informant)) for name in shape.personal
)
"""The register of personal fields: what a hand-off may name as disclosed."""


class SendReferral(Command):
    """Hand a matter to one addressee. Without `basis` and `disclosed` the rules of the kind say them; values never stand here.

    `agency_id`: not the caller's to say; the service's wiring fills it from its directory, who fills the role there today, before
    the decision. Refused: `no-basis` (more is disclosed than the kind's own basis covers, and no other is named), `unknown-field`,
    `in-the-future`.
    """

    creates: ClassVar[bool] = True
    filled: ClassVar[frozenset[str]] = frozenset({"agency_id"})
    of: HandOff
    agency_id: UUID | None = None
    basis: Basis | None = None
    disclosed: list[Line] | None = None
    sent_at: Instant | None = None
    due_on: date | None = None


@decide.register
def send_referral(command: SendReferral, state: State) -> Iterator[ReferralFact]:
    if state:
        hand_off(state)
        return  # it is on its way already
    of, rules = command.of, command.given.rules
    covered = rules.disclosed(of.kind)
    disclosed = list(covered) if command.disclosed is None else list(dict.fromkeys(command.disclosed))
    if unknown := set(disclosed) - FIELDS:
        raise Refused("unknown-field", fields=sorted(unknown))
    if command.basis is None and (uncovered := set(disclosed) - set(covered)):
        raise Refused("no-basis", fields=sorted(uncovered))
    sent = ReferralSent(
        of=of,
        agency_id=command.agency_id,
        sender=command.actor,
        basis=command.basis or rules.basis(of.kind),
        disclosed=disclosed,
        digests=[],
        sent_at=instant(command.sent_at, command),
        due_on=command.due_on,
    )
    yield sent.model_copy(update={"digests": _digests(sent, command.given.salt)})
    referral = sent_off(sent, state)
    yield start_acknowledgement(referral, sent.sent_at, command)
    if command.agency_id is None:  # nobody fills this role there: silence is certain, so the ladder begins at once
        yield from tell_next_rung(referral, "no_agency", command)


def _digests(sent: ReferralSent, salt: bytes) -> list[ChildDigest]:
    """What the addressee is told about each child, bound by a digest whose salt is sealed under that child."""
    of = sent.of
    told = {
        "kind": of.kind,
        "record": str(of.record_id),
        "addressee": str(of.addressee),
        "centre": of.centre,
        "emergency": of.emergency,
        "disclosed": sent.disclosed,
        "basis": sent.basis,
    }
    return [
        ChildDigest(child_id=child, digest=digest(salt, {**told, "child": str(child)}), salt=salt.hex()) for child in of.children
    ]


@evolve.register
def sent_off(fact: ReferralSent, _: State) -> Referral:
    return Referral(of=fact.of, sender=fact.sender, sent_at=fact.sent_at, agency_id=fact.agency_id, due_on=fact.due_on)

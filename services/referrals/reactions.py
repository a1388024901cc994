"""What referrals does when it hears another service: hand over what was screened, ask for what was planned, follow its messages."""

from chassis.mapper import Recorded
from chassis.reaction import Reaction, Reactions, Wanted
from contracts import cases, intake, notifications
from contracts.ids import case_of, referral_by, referral_of_item
from contracts.shapes import Addressee, HandOff
from services.referrals.domain.ladder import EscalateReferral
from services.referrals.domain.sending import SendReferral
from services.referrals.domain.settling import RevokeReferral
from services.referrals.domain.taking import RecordDelivery

REFERRAL = "referral"
"""The kind of stream that a message about a hand-off names."""


def _hand_over(heard: Recorded) -> Wanted:
    """One hand-off an addressee, for all children of the screening; it does not wait for the cases to be opened."""
    fact = heard.fact
    if not isinstance(fact, intake.ReportScreened) or fact.decision != "open_case":
        return
    for addressee in dict.fromkeys(fact.send_to):
        of = HandOff(
            kind=_kind(addressee, fact),
            record_id=heard.stream,
            cases=[case_of(heard.stream, child.child_id) for child in fact.children],
            children=[child.child_id for child in fact.children],
            addressee=addressee,
            centre=fact.centre,
            emergency=fact.emergency,
            lead=fact.incident_commune,
        )
        yield referral_by(heard.stream, heard.cause, addressee), SendReferral(of=of)


def _kind(addressee: Addressee, fact: intake.ReportScreened) -> str:
    match addressee.role:
        case "police" | "border_guard" | "coast_guard":
            return "crime_report"
        case "emergency_113" | "emergency_114" | "emergency_115":
            return "emergency_service"
        case "commune_pc" if addressee.place == fact.incident_commune:
            return "handover"  # Decree 56/2017 art. 26.1: to the commune of the incident, at once
        case "province_health" if "trafficking" in fact.procedures:
            return "identification"  # Law 53/2024 art. 27
        case _:
            return "copy"


def _ask_for_services(heard: Recorded) -> Wanted:
    fact = heard.fact
    if not isinstance(fact, cases.PlanApproved):
        return
    for item in fact.items:
        if item.provider:
            of = HandOff(
                kind="service",
                record_id=fact.record_id,
                cases=[heard.stream],
                children=[fact.child_id],
                addressee=item.provider,
                centre=fact.centre,
                emergency=fact.emergency,
                item=item.item,
                lead=fact.lead,
            )
            yield referral_of_item(heard.stream, heard.cause, item.item), SendReferral(of=of, due_on=item.due_on)


def _withdraw(heard: Recorded) -> Wanted:
    fact = heard.fact
    if isinstance(fact, cases.InterventionClosed):
        for referral in fact.revoke:
            yield referral, RevokeReferral(cases=[heard.stream], reason="intervention_closed")


def _delivered(heard: Recorded) -> Wanted:
    fact = heard.fact
    if isinstance(fact, notifications.MessageDelivered) and fact.about.kind == REFERRAL:
        yield fact.about.id, RecordDelivery(via=fact.via, delivered_at=fact.at, to=fact.recipient)


def _undeliverable(heard: Recorded) -> Wanted:
    fact = heard.fact
    if isinstance(fact, notifications.MessageUndeliverable) and fact.about.kind == REFERRAL:
        yield fact.about.id, EscalateReferral(because="undeliverable", undelivered_to=fact.recipient)


REACTIONS: Reactions = [
    Reaction("hand-over", intake.ReportScreened, SendReferral, _hand_over),
    Reaction("ask-for-services", cases.PlanApproved, SendReferral, _ask_for_services),
    Reaction("withdraw", cases.InterventionClosed, RevokeReferral, _withdraw),
    Reaction("note-delivery", notifications.MessageDelivered, RecordDelivery, _delivered),
    Reaction(
        "escalate-undeliverable",
        notifications.MessageUndeliverable,
        EscalateReferral,
        _undeliverable,
        done=frozenset({"already-settled"}),
    ),
]

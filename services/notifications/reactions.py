"""What notifications does when it hears other services: tell addressees, rungs and breaches; fall silent when all is settled."""

from uuid import UUID

from chassis.mapper import Recorded
from chassis.reaction import Reaction, Reactions, Wanted
from contracts import cases, clocks, intake, projections, referrals
from contracts.ids import thread_of
from contracts.notifications import Letter
from contracts.shapes import About, Addressee, HandOff
from services.notifications.domain.queueing import CancelMessage, QueueMessage

BY_MESSAGE = frozenset({"email", "sms", "voice", "zalo", "smtp_accepted", "dsn"})
"""Ways of delivery that a message of ours went; of these the message knows by itself."""
BREACHES = (intake.ClockBreached, cases.ClockBreached, referrals.ClockBreached, projections.ClockBreached)
STREAMS = {"intake": "record", "cases": "case", "referrals": "referral", "projections": "read"}
"""What a log's clocks run on, as a message says what it is about."""
OTHERS = {"first-look": "contact", "data-answer": "person", "data-right": "person"}
"""Rules of intake whose clocks run on something else."""


def _hand_over(heard: Recorded) -> Wanted:
    fact = heard.fact
    if isinstance(fact, referrals.ReferralSent):
        of = fact.of
        letter = Letter(
            template="hand_off_emergency" if of.emergency else "hand_off",
            emergency=of.emergency,
            commune=of.lead or of.addressee.place,
            children=len(of.children),
        )
        yield _say(_referral(heard), of.addressee, "duty", letter)


def _escalate(heard: Recorded) -> Wanted:
    """The letter names the place that is silent, so that the rung knows whom to ask."""
    fact = heard.fact
    if isinstance(fact, referrals.ReferralEscalated):
        of = fact.of
        letter = Letter(
            template="escalation",
            emergency=of.emergency,
            commune=of.addressee.place,
            children=len(of.children),
            clock="acknowledgement",
        )
        for body in dict.fromkeys(fact.to):
            yield _say(_referral(heard), body, "supervision", letter)


def _tell_breach(heard: Recorded) -> Wanted:
    fact = heard.fact
    if isinstance(fact, clocks.Breached):
        letter = Letter(
            template="breach",
            emergency=fact.clock == "emergency",  # the twelve hours are over: this message goes as fast as one can
            commune=fact.responsible.place,
            clock=fact.clock,
            due_at=fact.due_at,
        )
        about = About(kind=OTHERS.get(fact.clock.partition("/")[0], STREAMS[heard.log]), id=heard.stream)
        for body in dict.fromkeys(fact.tell):
            yield _say(about, body, "supervision", letter)


def _case_closed(heard: Recorded) -> Wanted:
    fact = heard.fact
    if isinstance(fact, cases.CaseClosed):
        letter = Letter(template="case_closed", emergency=False, commune=fact.lead)
        yield _say(About(kind="case", id=heard.stream), Addressee(role="commune_pc", place=fact.lead), "duty", letter)


def _reached_otherwise(heard: Recorded) -> Wanted:
    fact = heard.fact
    if isinstance(fact, referrals.ReferralDelivered) and fact.via not in BY_MESSAGE:
        yield from _cancel(heard, fact.of, [], "delivered")


def _taken_over(heard: Recorded) -> Wanted:
    fact = heard.fact
    if isinstance(fact, referrals.ReferralAcknowledged):
        yield from _cancel(heard, fact.of, fact.told, "acknowledged")


def _revoked(heard: Recorded) -> Wanted:
    """Withdrawn for some of its cases, the rest is still a promise, and its messages still worth saying."""
    fact = heard.fact
    if isinstance(fact, referrals.ReferralRevoked) and set(fact.cases) >= set(fact.of.cases):
        yield from _cancel(heard, fact.of, fact.told, "revoked")


def _referral(heard: Recorded) -> About:
    return About(kind="referral", id=heard.stream)


def _say(about: About, recipient: Addressee, purpose: str, letter: Letter) -> tuple[UUID, QueueMessage]:
    return thread_of(about.id, recipient), QueueMessage(about=about, recipient=recipient, purpose=purpose, letter=letter)


def _cancel(heard: Recorded, of: HandOff, told: list[Addressee], because: str) -> Wanted:
    """The addressee need not be told any more, nor the ladder what nobody has sent it yet."""
    for body in dict.fromkeys([of.addressee, *told]):
        yield thread_of(heard.stream, body), CancelMessage(because=because)


UNSAID = frozenset({"not-found"})
"""Nothing was ever said in that thread, so there is nothing to cancel."""
REACTIONS: Reactions = [
    Reaction("tell-addressee", referrals.ReferralSent, QueueMessage, _hand_over),
    Reaction("tell-rung", referrals.ReferralEscalated, QueueMessage, _escalate),
    *(Reaction("tell-breach", breached, QueueMessage, _tell_breach) for breached in BREACHES),
    Reaction("tell-lead", cases.CaseClosed, QueueMessage, _case_closed),
    Reaction("cancel-delivered", referrals.ReferralDelivered, CancelMessage, _reached_otherwise, done=UNSAID),
    Reaction("cancel-acknowledged", referrals.ReferralAcknowledged, CancelMessage, _taken_over, done=UNSAID),
    Reaction("cancel-revoked", referrals.ReferralRevoked, CancelMessage, _revoked, done=UNSAID),
]

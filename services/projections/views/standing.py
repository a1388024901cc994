"""Where a stream stands: a fold that takes one fact after the other, so that a long stream costs one more fact and not all of them.

Labels of boards and of files are the same code: a file folds its stream from the first fact, the boards remember where it stood.
What a fold remembers is never changed in place: `copy()` first, and nothing that the copy holds is shared and mutable.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

from chassis.mapper import Recorded
from contracts import cases as c
from contracts import clocks
from contracts import intake as i
from contracts import notifications as n
from contracts import referrals as r
from contracts.kernel import Fact

CLOSED = {"moved": "TRANSFERRED_OUT", "not_confirmed": "UNVERIFIABLE", "out_of_scope": "NOT_ABUSE"}
TAKEN = {"acknowledged", "completed"}
SETTLED = {"ACKNOWLEDGED", "COMPLETED", "REVOKED"}


class Promise(NamedTuple):
    """The last clock under one name, with those that it restarted: a silence is one promise however often the ladder asked again.

    since, breaches: the earliest due time that the restarted ones broke, and how many did. ever: whether any clock of this name,
    kept ones among them, was breached.
    """

    rule: str
    due_at: datetime
    responsible: str
    owed: bool = True
    breached: bool = False
    since: datetime | None = None
    breaches: int = 0
    ever: bool = False

    @property
    def breached_since(self) -> datetime | None:
        """The first due time that passed undone; None if none did."""
        own = self.due_at if self.breached else None
        return min((at for at in (self.since, own) if at), default=None)

    @property
    def broken(self) -> int:
        """How many clocks of this promise were breached."""
        return self.breaches + self.breached


Promises = Mapping[str, Promise]


@dataclass
class Standing:
    """A stream of one log, up to and with its last fact. kind: of work; empty for a stream that is no work of anybody."""

    id: UUID
    log: str
    position: int = 0
    version: int = 0
    kind: str = ""
    linked: bool = False
    """Of a contact: a report names it."""
    promises: Promises = field(default_factory=dict)
    first: dict[str, Any] = field(default_factory=dict)
    """Clear fields of the fact that made it work, as the row has them."""

    def copy(self) -> Self:
        """Another one that may go on."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def take(self, event: Recorded) -> Self:
        """Take the next fact of the stream, in place."""
        fact: Any = event.fact
        if not self.version:
            self.position = event.position
        self.version = event.version
        if take := TAKES.get(type(fact)):
            take(self, fact)
        return self

    @property
    def owed(self) -> bool:
        """Does a clock run?"""
        return any(promise.owed for promise in self.promises.values())

    @property
    def due(self) -> tuple[datetime, str] | tuple[None, None]:
        """The earliest clock that is still owed: when, and its name."""
        owed = ((promise.due_at, name) for name, promise in self.promises.items() if promise.owed)
        return min(owed, default=(None, None))

    @property
    def about(self) -> UUID:
        """What its clocks stand for on the board."""
        return self.id

    def label(self) -> str:
        """Where it stands; first match wins."""
        return ""

    def row(self) -> dict[str, Any]:
        """The fields of its row beside id, log, position, version, label and due time."""
        return self.first

    def begin(self, kind: str, **first: Any) -> None:
        """The first fact that makes it work says what kind; a later one of the same type changes nothing here."""
        if not self.kind:
            self.kind, self.first = kind, first


@dataclass
class Intake(Standing):
    """A contact or a record."""

    answered: bool = False
    agent: str | None = None
    classified: bool = False
    following: bool = False
    screened: dict[str, Any] | None = None

    def label(self) -> str:
        if self.kind == "record":
            return "FOLLOWING" if self.following else "TRIAGED" if self.screened is not None else "RECEIVED"
        if self.linked:
            return "LINKED"
        return "CLASSIFIED" if self.classified else "ANSWERED" if self.answered else "RINGING"

    def row(self) -> dict[str, Any]:
        if self.kind == "contact":
            return {**self.first, "done": self.label() in {"CLASSIFIED", "LINKED"}, "owner": self.agent}
        if self.screened is None:
            return {**self.first, "done": False}
        said = {name: value for name, value in self.screened.items() if value}
        return {**self.first, **said, "done": not self.owed}


@dataclass
class Case(Standing):
    """A case: closed, else where its plan is, else its assessment, else what its leading commune did."""

    lead: str | None = None
    reason: str | None = None
    plan: int | None = None
    ended: tuple[int, str] | None = None
    cycles: int = 1
    assessed: frozenset[int] = frozenset()
    approved: Mapping[int, str] = field(default_factory=dict)
    """Plan → what came since its first approval: PLAN_APPROVED, IN_SUPPORT or UNDER_REVIEW, whichever is furthest."""
    handed: Mapping[tuple[UUID, str], frozenset[str]] = field(default_factory=dict)
    """Hand-over and body → the steps that the case heard of."""

    def label(self) -> str:
        if self.reason:
            return CLOSED.get(self.reason, "CLOSED")
        return self._of_plan() or ("DETAILED_ASSESSED" if self.cycles in self.assessed else self._of_lead())

    def _of_plan(self) -> str | None:
        if self.plan is None:
            return None
        if self.ended == (self.plan, "risk_remains"):
            return "PLAN_RENEWED"
        since, review = self.approved.get(self.plan, "PLAN_SUBMITTED"), self.promises.get("review")
        return "UNDER_REVIEW" if review and review.owed and review.breached else since

    def _of_lead(self) -> str:
        body = f"commune_pc@{self.lead}"
        heard = [steps for (_, to), steps in self.handed.items() if to == body and "revoked" not in steps]
        steps = {step for each in heard for step in each}
        if steps & TAKEN:
            return "ACKNOWLEDGED"
        if "escalated" in steps:
            return "SILENT"
        return "FORWARDED" if steps else "TRIAGED"

    def row(self) -> dict[str, Any]:
        return {**self.first, "done": self.reason is not None}

    def since(self, plan: int | None, now: str) -> None:
        """Something came after approvals: of this plan, or of all approved ones. Only the furthest is kept."""
        order = ("PLAN_APPROVED", "IN_SUPPORT", "UNDER_REVIEW")
        plans = self.approved if plan is None else [plan]
        was = self.approved
        self.approved = {**was, **{one: max(was.get(one, now), now, key=order.index) for one in plans}}


@dataclass
class HandOff(Standing):
    """A hand-off. Escalated without a breach: attempts, or a message that did not arrive."""

    cases: frozenset[UUID] | None = None
    withdrawn: frozenset[UUID] = frozenset()
    said: frozenset[str] = frozenset()

    def label(self) -> str:
        if self.cases is not None and self.withdrawn >= self.cases:
            return "REVOKED"
        acknowledgement = self.promises.get("acknowledgement")
        holds = self.said | {"SILENT"} if acknowledgement and acknowledgement.ever else self.said
        return next((code for code in ("COMPLETED", "ACKNOWLEDGED", "SILENT", "ESCALATED", "DELIVERED") if code in holds), "SENT")

    def row(self) -> dict[str, Any]:
        return {**self.first, "done": self.label() in SETTLED and not self.owed}


@dataclass
class Thread(Standing):
    """A thread whose last message reached nobody, and was not sent again, is work: somebody has to find another way."""

    queued: int = 0
    lost: frozenset[int] = frozenset()
    matter: UUID | None = None

    @property
    def about(self) -> UUID:
        return self.matter or self.id

    def label(self) -> str:
        return "UNDELIVERABLE" if self.queued in self.lost else "UNDER_WAY"

    def row(self) -> dict[str, Any]:
        return {**self.first, "done": self.queued not in self.lost}


# -- what each fact changes ------------------------------------------------------------------------------------------------------


def _started(at: Any, fact: clocks.Started) -> None:
    before, new = at.promises.get(fact.clock), Promise(fact.rule, fact.due_at, str(fact.responsible))
    if before:
        new = new._replace(ever=before.ever)
    if before and before.owed:
        new = new._replace(since=before.breached_since, breaches=before.broken)
    at.promises = {**at.promises, fact.clock: new}


def _changes(at: Any, fact: Any, **changes: Any) -> None:
    if before := at.promises.get(fact.clock):
        at.promises = {**at.promises, fact.clock: before._replace(**changes)}


def _kept(at: Any, fact: clocks.Met | clocks.Waived) -> None:
    _changes(at, fact, owed=False)


def _breached(at: Any, fact: clocks.Breached) -> None:
    _changes(at, fact, breached=True, ever=True)


def _moved(at: Any, fact: clocks.Recomputed) -> None:
    _changes(at, fact, due_at=fact.due_at, rule=fact.rule)


def _received(at: Any, fact: i.ContactReceived) -> None:
    at.begin("contact", centre=fact.centre)


def _answered(at: Any, fact: i.ContactAnswered) -> None:
    at.answered, at.agent = True, fact.agent


def _classified(at: Any, _: i.ContactClassified) -> None:
    at.classified = True


def _reported(at: Any, fact: i.ReportReceived) -> None:
    places = {"lead": fact.incident_commune, "incident": fact.incident_commune, "residence": fact.residence_commune}
    at.begin("record", emergency=fact.emergency, owner=fact.owner, centre=fact.centre, **places)


def _screened(at: Any, fact: i.ReportScreened) -> None:
    places = {"lead": fact.incident_commune, "incident": fact.incident_commune, "residence": fact.residence_commune}
    at.screened = {"emergency": fact.emergency, "risk": fact.risk, **places}


def _followed(at: Any, _: i.CaseLinked) -> None:
    at.following = True


def _opened(at: Any, fact: c.CaseOpened) -> None:
    at.lead = fact.lead
    places = {"lead": fact.lead, "incident": fact.incident_commune, "residence": fact.residence_commune}
    at.begin("case", emergency=fact.emergency, risk=fact.risk, record_id=fact.record_id, centre=fact.centre, **places)


def _case_closed(at: Any, fact: c.CaseClosed) -> None:
    at.reason = fact.reason


def _assessed(at: Any, fact: c.DetailedAssessmentRecorded) -> None:
    at.assessed |= {fact.cycle}


def _planned(at: Any, fact: c.PlanSubmitted) -> None:
    at.plan = fact.plan


def _approved(at: Any, fact: c.PlanApproved) -> None:
    at.since(fact.plan, "PLAN_APPROVED")


def _reviewed(at: Any, _: c.ReviewRecorded) -> None:
    at.since(None, "UNDER_REVIEW")


def _ended(at: Any, fact: c.InterventionClosed) -> None:
    at.ended, at.cycles = (fact.plan, fact.outcome), at.cycles + 1


def _noted(at: Any, fact: c.HandOffNoted) -> None:
    if fact.kind == "handover":
        key = (fact.referral_id, str(fact.addressee))
        if fact.step not in (steps := at.handed.get(key, frozenset())):
            at.handed = {**at.handed, key: steps | {fact.step}}
    if fact.kind == "service" and fact.step in TAKEN:
        at.since(None, "IN_SUPPORT")


def _sent(at: Any, fact: r.ReferralSent) -> None:
    at.cases, of = frozenset(fact.of.cases), fact.of
    whose = {"emergency": of.emergency, "record_id": of.record_id, "lead": of.lead, "centre": of.centre}
    at.begin("hand_off", **whose, addressee=str(of.addressee))


def _revoked(at: Any, fact: r.ReferralRevoked) -> None:
    at.withdrawn |= set(fact.cases)


def _says(code: str) -> Callable[[Any, Any], None]:
    def take(at: Any, _: Any) -> None:
        at.said |= {code}

    return take


def _queued(at: Any, fact: n.MessageQueued) -> None:
    at.queued, at.matter = max(at.queued, fact.number), fact.about.id
    at.begin("message", emergency=fact.letter.emergency, addressee=str(fact.recipient))


def _lost(at: Any, fact: n.MessageUndeliverable) -> None:
    at.lost |= {fact.number}


TAKES: dict[type[Fact], Callable[[Any, Any], None]] = {
    i.ContactReceived: _received,
    i.ContactAnswered: _answered,
    i.ContactClassified: _classified,
    i.ReportReceived: _reported,
    i.ReportScreened: _screened,
    i.CaseLinked: _followed,
    c.CaseOpened: _opened,
    c.CaseClosed: _case_closed,
    c.DetailedAssessmentRecorded: _assessed,
    c.PlanSubmitted: _planned,
    c.PlanApproved: _approved,
    c.ReviewRecorded: _reviewed,
    c.InterventionClosed: _ended,
    c.HandOffNoted: _noted,
    r.ReferralSent: _sent,
    r.ReferralRevoked: _revoked,
    r.ReferralAcknowledged: _says("ACKNOWLEDGED"),
    r.ReferralCompleted: _says("COMPLETED"),
    r.ReferralEscalated: _says("ESCALATED"),
    r.ReferralDelivered: _says("DELIVERED"),
    n.MessageQueued: _queued,
    n.MessageUndeliverable: _lost,
}
for told in (i, c, r, n):
    clock_facts = {told.ClockStarted: _started, told.ClockMet: _kept, told.ClockWaived: _kept}
    TAKES |= clock_facts | {told.ClockBreached: _breached, told.ClockRecomputed: _moved}
KINDS: dict[str, type[Standing]] = {"intake": Intake, "cases": Case, "referrals": HandOff, "notifications": Thread}


def new(log: str, stream: UUID) -> Standing:
    """A stream of this log before its first fact."""
    return KINDS.get(log, Standing)(stream, log)


def standing(events: Iterable[Recorded], linked: bool = False) -> Standing:
    """Where the stream of these events stands. linked: of a contact, that a report names it. StopIteration without any event."""
    each = iter(events)
    event = next(each)
    at = new(event.log, event.stream).take(event)
    for event in each:
        at.take(event)
    at.linked = linked
    return at

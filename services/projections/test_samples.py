"""One story for the tests of this service, told fact by fact as the other services would. All names and places are invented."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from chassis.log import Row
from chassis.mapper import FactMapper, Recorded
from contracts import cases as c
from contracts import intake as i
from contracts import notifications as n
from contracts import referrals as r
from contracts.ids import case_of, thread_of
from contracts.kernel import NS, Fact
from contracts.shapes import About, Addressee, Alleged, Child, HandOff, Informant, PerChild, PlanItem, ScreenedChild
from services.projections.views.history import LOGS

T0 = datetime(2026, 11, 22, 19, 41, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
XA, CAU, TINH, HANOI = "99801@2025-07-01", "99803@2025-07-01", "98@2025-07-01", "hanoi@2025-07-01"
COMMUNE, POLICE = Addressee(role="commune_pc", place=XA), Addressee(role="police", place=XA)
DESK, HEALTH = Addressee(role="supervisor_desk", place=HANOI), Addressee(role="province_health", place=TINH)
INFORMANT_NAME, CHILD_NAME, SIBLING_NAME = "Thử Văn Láng", "Mẫu Văn Tí", "Mẫu Thị Na"
ALLEGED_NAME, TAKER_NAME, WORDS, HANDLE = "Giả Văn Hung", "Mẫu Thị Thử", "không ai nghe máy (thử)", "0320000017"
GOALS = ("Trẻ được an toàn (mẫu)", "Trẻ an toàn và đi học lại (mẫu)")


class Ids:
    """The ids of one telling of the story: a number makes them its own."""

    def __init__(self, number: int = 1) -> None:
        self.base = uuid5(NS, f"sample {number}")
        made = {
            name: uuid5(self.base, name) for name in ("contact", "record", "child", "sibling", "caller", "informant", "alleged")
        }
        self.contact, self.record, self.child, self.sibling = made["contact"], made["record"], made["child"], made["sibling"]
        self.caller, self.informant, self.alleged = made["caller"], made["informant"], made["alleged"]
        self.case, self.other_case = case_of(self.record, self.child), case_of(self.record, self.sibling)
        self.to_commune, self.to_police = uuid5(self.base, "to commune"), uuid5(self.base, "to police")
        self.taker = uuid5(self.base, "taker")
        self.thread = thread_of(self.to_commune, COMMUNE)

    def of(self, addressee: Addressee = COMMUNE, kind: str = "handover") -> HandOff:
        cases, children = [self.case, self.other_case], [self.child, self.sibling]
        return HandOff(
            kind=kind,
            record_id=self.record,
            cases=cases,
            children=children,
            addressee=addressee,
            centre=HANOI,
            emergency=True,
            lead=XA,
        )


class Tape:
    """Logs as they would be heard: positions from 1, stamps one minute apart."""

    def __init__(self, keys: Callable[[UUID], bytes | None] = lambda _: bytes(32)) -> None:
        self.rows: dict[str, list[Row]] = {log: [] for log in LOGS}
        self.events: list[Recorded] = []
        self._mapper, self._versions = FactMapper(keys), dict[tuple[str, UUID], int]()

    def tell(self, stream: UUID, *facts: Fact, by: str = "TVV-01", as_: str = "counsellor", **meta: str) -> str:
        """Append facts to their log; answers `<log>:<position>` of the last. meta: cause, seen, occurred_at."""
        for fact in facts:
            log, at = fact.log, T0 + timedelta(minutes=len(self.events))
            version = self._versions[log, stream] = self._versions.get((log, stream), 0) + 1
            said = {"actor": by, "as": as_, "cause": "rest:1", "correlation": "contact", "occurred_at": at.isoformat()} | meta
            stored = self._mapper.to_stored_event(Recorded(stream, version, fact, said))
            position = len(self.rows[log]) + 1
            self.put(log, Row(stream, version, stored.topic, stored.state, position, at))
            self.events.append(Recorded(stream, version, fact, said, log, position, at, stored.state))
        return f"{log}:{position}"

    def put(self, log: str, row: Row) -> None:
        """A row as it is, for bytes that no service of ours would tell."""
        self.rows[log].append(row)

    def of(self, stream: UUID, log: str = "cases") -> list[Recorded]:
        """The facts of one stream."""
        return [event for event in self.events if event.stream == stream and event.log == log]

    def at(self) -> dict[str, int]:
        """The instant of everything told so far."""
        return {log: len(rows) for log, rows in self.rows.items()}


def stored(tape: Tape, stream: UUID, body: bytes, version: int, topic: str = "cases.ClockMet") -> None:
    """A row of the log of cases with bytes that this build cannot read."""
    position = len(tape.rows["cases"]) + 1
    tape.put("cases", Row(stream, version, topic, body, position, T0 + timedelta(days=30, seconds=position)))


def clock(made: Any, name: str, due: datetime, responsible: Addressee = COMMUNE) -> Any:
    """A clock that starts."""
    return made.ClockStarted(
        clock=name, rule=f"{name}@2017-07-01", calendar=None, counted_from=T0, due_at=due, responsible=responsible, tell=[DESK]
    )


def breach(made: Any, name: str, due: datetime, responsible: Addressee = COMMUNE) -> Any:
    return made.ClockBreached(clock=name, due_at=due, responsible=responsible, tell=[DESK])


def child(id_: UUID, name: str) -> Child:
    return Child(child_id=id_, age_band="7_15", age_basis="stated", sex="male", name=name, state="bị đánh, chảy máu đầu (mẫu)")


def reported(ids: Ids) -> Iterator[tuple[UUID, list[Fact]]]:
    """A call at night, Form 01 about two siblings, screened as an emergency."""
    said: Any = {"channel": "phone", "line": "child", "form": "call", "received_at": T0, "centre": HANOI, "caller_id": ids.caller}
    yield ids.contact, [i.ContactReceived(**said, handle=HANDLE, text="Có cháu bé bị đánh (mẫu)")]
    yield ids.contact, [i.ContactAnswered(answered_at=T0, agent="TVV-01")]
    who = Informant(person_id=ids.informant, agrees_to_be_named=True, name=INFORMANT_NAME, phone=HANDLE)
    both = [child(ids.child, CHILD_NAME), child(ids.sibling, SIBLING_NAME)]
    yield (
        ids.record,
        [
            i.ReportReceived(
                contacts=[ids.contact],
                source="neighbour",
                centre=HANOI,
                owner="TVV-01",
                received_at=T0,
                incident_commune=XA,
                children=both,
                alleged=[Alleged(person_id=ids.alleged, name=ALLEGED_NAME)],
                informant=who,
                emergency=True,
                procedures=["child_protection"],
            )
        ],
    )
    screened = [ScreenedChild(child_id=each.child_id, age_band="7_15", age_basis="stated") for each in both]
    yield (
        ids.record,
        [
            i.ReportScreened(
                decision="open_case",
                children=screened,
                received_at=T0,
                incident_commune=XA,
                centre=HANOI,
                risk="high",
                protection_level="INTERVENTION",
                emergency=True,
                procedures=["child_protection"],
                send_to=[COMMUNE, POLICE, HEALTH],
                quick_report=False,
            )
        ],
    )


def opened(ids: Ids, child_id: UUID | None = None) -> list[Fact]:
    """A case of one child with its clock of twelve hours."""
    fact = c.CaseOpened(
        record_id=ids.record,
        child_id=child_id or ids.child,
        received_at=T0,
        incident_commune=XA,
        lead=XA,
        centre=HANOI,
        risk="high",
        emergency=True,
        procedures=["child_protection"],
        age_band="7_15",
        age_basis="stated",
    )
    return [fact, clock(c, "emergency", T0 + 12 * HOUR)]


def sent(ids: Ids, addressee: Addressee = COMMUNE, kind: str = "handover", fields: Iterable[str] = ("child.name",)) -> list[Fact]:
    """A hand-off with its clock of acknowledgement."""
    basis = "decree56.26.1" if kind == "handover" else "decree56.25.3"
    of = ids.of(addressee, kind)
    fact = r.ReferralSent(of=of, sender="policy:hand over", basis=basis, disclosed=list(fields), digests=[], sent_at=T0)
    return [fact, clock(r, "acknowledgement", T0 + HOUR / 2, addressee)]


def noted(ids: Ids, step: str, kind: str = "handover", addressee: Addressee = COMMUNE) -> Fact:
    return c.HandOffNoted(referral_id=ids.to_commune, kind=kind, addressee=addressee, step=step, at=T0)


def silent(ids: Ids) -> list[Fact]:
    """Two attempts, the breach, the first rung of the ladder and the clock that starts again."""
    of = ids.of()
    tries = [
        r.AttemptRecorded(
            of=of,
            number=number,
            via="phone",
            to="duty phone",
            at=T0,
            result="no_answer",
            words=[PerChild(child_id=ids.child, text=WORDS)],
        )
        for number in (1, 2)
    ]
    up = r.ReferralEscalated(of=of, level=1, to=[DESK, HEALTH], because="silence")
    again = clock(r, "acknowledgement", T0 + HOUR)
    return [*tries, breach(r, "acknowledgement", T0 + HOUR / 2), up, again]


def taken(ids: Ids) -> list[Fact]:
    """A named officer takes over, late."""
    at = T0 + 2 * HOUR
    said: Any = {"of": ids.of(), "via": "link", "acknowledged_at": at, "office": "UBND Xã Suối Mẫu", "taker_id": ids.taker}
    return [r.ReferralAcknowledged(**said, name=TAKER_NAME), r.ClockMet(clock="acknowledgement", met_at=at, late=True)]


def plan(ids: Ids, number: int) -> c.PlanSubmitted:
    """Form 04, as it is submitted for the `number`th time."""
    items = [PlanItem(item=1, service="medical", provider=Addressee(role="hospital", place=TINH))]
    day = date(2026, 12, 20)
    said: Any = {"plan": number, "digest": f"digest-{number}", "items": items, "review_on": day, "author": "CB-99801"}
    return c.PlanSubmitted(**said, child_id=ids.child, goals=GOALS[number - 1], activities="Thăm nhà (mẫu)", salt="00")


def approved(ids: Ids, number: int) -> c.PlanApproved:
    text = plan(ids, number)
    said: Any = {"plan": number, "digest": text.digest, "items": text.items, "review_on": text.review_on}
    said |= {"decision_no": "12/QĐ-UBND", "signatory": "CT-99801", "record_id": ids.record, "child_id": ids.child, "centre": HANOI}
    return c.PlanApproved(**said, emergency=True, lead=XA)


def reviewed(ids: Ids, number: int) -> c.ReviewRecorded:
    said: Any = {"plan": number, "form": "form06@2017-07-01", "conclusion": "close", "author": "CB-99801"}
    return c.ReviewRecorded(**said, child_id=ids.child)


def ended(ids: Ids, outcome: str = "goals_met", number: int = 2) -> c.InterventionClosed:
    return c.InterventionClosed(plan=number, outcome=outcome, review=1, revoke=[], child_id=ids.child)


def closed(ids: Ids, reason: str = "settled") -> c.CaseClosed:
    return c.CaseClosed(reason=reason, decided_by="CT-99801", lead=XA, child_id=ids.child)


def measure(ids: Ids) -> list[Fact]:
    """The police take the children out of the house in time."""
    at = T0 + 9 * HOUR
    applied = c.EmergencyMeasureApplied(
        number=1, measure="removal", by=POLICE, applied_at=at, child_id=ids.child, place="nhà bà (mẫu)"
    )
    return [applied, c.ClockMet(clock="emergency", met_at=at, late=False)]


def assessed(ids: Ids, cycle: int = 1) -> c.DetailedAssessmentRecorded:
    said: Any = {"form": "form03@2017-07-01", "cycle": cycle, "level": "high", "child_id": ids.child}
    return c.DetailedAssessmentRecorded(**said, child_wishes="Cháu muốn ở với bà (mẫu)")


def message(ids: Ids) -> list[Fact]:
    """An e-mail to the commune that its own server accepts: delivered, which is no acknowledgement."""
    about: Any = {"about": About(kind="hand_off", id=ids.to_commune), "recipient": COMMUNE, "number": 1}
    letter = n.Letter(template="hand_off_emergency", emergency=True, commune=XA, children=2)
    queued = n.MessageQueued(**about, purpose="hand_off", letter=letter, channels=["email:1", "email:2"])
    failed = n.MessageFailed(**about, channel="email:1", attempt=1, reason="refused", permanent=True, at=T0)
    return [queued, failed, n.MessageDelivered(**about, channel="email:2", at=T0, via="smtp_accepted")]


def tell_story(tape: Tape, ids: Ids) -> dict[str, dict[str, int]]:
    """The whole story of the bridge; answers the instants worth going back to by name."""
    marks: dict[str, dict[str, int]] = {}
    cause = ""
    for stream, facts in reported(ids):
        cause = tape.tell(stream, *facts)
    marks["screened"] = tape.at()
    tape.tell(ids.case, *opened(ids), by="policy:open case", as_="system", cause=cause)
    tape.tell(ids.other_case, *opened(ids, ids.sibling), by="policy:open case", as_="system", cause=cause)
    fields = ("child.name", "child.state", "alleged.name")
    told = tape.tell(ids.to_commune, *sent(ids, fields=fields), by="policy:hand over", as_="system", cause=cause)
    to_police = sent(ids, POLICE, "crime_report", ("child.name", "informant.name"))
    tape.tell(ids.to_police, *to_police, by="policy:hand over", as_="system", cause=cause)
    tape.tell(ids.case, noted(ids, "sent"), by="policy:note", as_="system", cause=told)
    tape.tell(ids.thread, *message(ids), by="policy:tell", as_="system", cause=told)
    silence = tape.tell(ids.to_commune, *silent(ids))
    tape.tell(ids.case, noted(ids, "escalated"), by="policy:note", as_="system", cause=silence)
    marks["silent"] = tape.at()
    over = tape.tell(ids.to_commune, *taken(ids), by=f"link:{ids.to_commune}", as_="link")
    tape.tell(ids.case, noted(ids, "acknowledged"), by="policy:note", as_="system", cause=over)
    tape.tell(ids.case, *measure(ids))
    tape.tell(ids.case, assessed(ids), by="CB-99801", as_=f"commune_officer@{XA}")
    tape.tell(ids.case, plan(ids, 1), by="CB-99801", as_=f"commune_officer@{XA}")
    marks["first plan"] = tape.at()
    tape.tell(ids.case, plan(ids, 2), by="CB-99801", as_=f"commune_officer@{XA}")
    seen = str(len(tape.of(ids.case)))
    tape.tell(ids.case, approved(ids, 2), by="CT-99801", as_=f"commune_chair@{XA}", seen=seen)
    marks["approved"] = tape.at()
    tape.tell(ids.case, reviewed(ids, 2), by="CB-99801", as_=f"commune_officer@{XA}")
    tape.tell(ids.case, ended(ids), by="CT-99801", as_=f"commune_chair@{XA}")
    tape.tell(ids.case, closed(ids), by="CT-99801", as_=f"commune_chair@{XA}")
    marks["closed"] = tape.at()
    return marks

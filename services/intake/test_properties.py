"""Whatever is commanded, in whatever order and by whomever: what holds on every prefix of a history of intake."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from chassis import sealing
from contracts.clocks import BreachClock, WaiveClock
from contracts.codes import codes
from contracts.intake import (
    CaseLinked,
    ClockBreached,
    ClockMet,
    ClockStarted,
    ClockWaived,
    ContactReceived,
    IntakeFact,
    ReportReceived,
    ReportScreened,
)
from contracts.kernel import Command, Given, Refused
from contracts.rules import DEMO, LAW, Rules
from contracts.shapes import Addressee, Alleged, Child, Informant
from services.intake.domain import decide, evolve
from services.intake.domain.contacts import AnswerContact, ClassifyContact, ReceiveContact
from services.intake.domain.reports import ReceiveReport
from services.intake.domain.screening import LinkCase, ScreenReport, ToScreen
from tests.given import NOW, STREAM

HANOI = "hanoi@2025-07-01"
PLACES = ["99801@2025-07-01", "99803@2025-07-01", "98@2025-07-01", HANOI]
CHILDREN = [UUID(int=n) for n in range(1, 5)]
CLOCKS = ["first-look", "screening", "case-opened", "case-opened/2", "case-opened/3"]


def code(list_id: str) -> st.SearchStrategy[str]:
    return st.sampled_from(codes(list_id))


def likely(value: Any, other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly this, so that histories come far; sometimes anything."""
    return st.sampled_from(range(4)).flatmap(lambda n: other if n == 3 else st.just(value))


places = st.none() | st.sampled_from(PLACES)
addressees = st.builds(Addressee, role=code("role"), place=st.sampled_from(PLACES))
needed = [
    Addressee(role=role, place=place)
    for role, place in zip(("commune_pc", "commune_pc", "province_health", "police"), (*PLACES[:3], PLACES[0]), strict=True)
]
children = st.builds(
    Child,
    child_id=st.sampled_from(CHILDREN),
    age_band=likely("7_15", code("age_band")),
    age_basis=code("age_basis"),
    sex=code("sex"),
    name=st.none() | st.just("Mẫu"),
    grounds=likely(None, st.just(["grave_danger"])),
)
persons = st.sampled_from([UUID(int=n) for n in (4, 5, 6)])
reports = st.builds(
    ReceiveReport,
    contacts=st.lists(persons, max_size=1),
    source=code("source"),
    centre=st.just(HANOI),
    received_at=st.integers(-5, 60).map(lambda minutes: NOW - timedelta(minutes=minutes)),
    incident_commune=likely(PLACES[0], places),
    residence_commune=likely(PLACES[0], places),
    children=st.lists(children, max_size=4, unique_by=lambda child: child.child_id),
    alleged=st.lists(st.builds(Alleged, person_id=persons, relation_to_child=code("relation")), max_size=1),
    informant=st.none() | st.builds(Informant, person_id=persons, agrees_to_be_named=st.booleans()),
    emergency=st.booleans(),
    procedures=st.lists(code("procedure"), max_size=2),
)
screenings = st.builds(
    ScreenReport,
    decision=likely("open_case", code("screening_decision")),
    other=st.sampled_from([None, STREAM, UUID(int=9)]),
    children=st.none() | st.lists(st.builds(ToScreen, child_id=st.sampled_from(CHILDREN), note=st.just("Thử")), max_size=3),
    risk=code("level"),
    protection_level=code("protection_level"),
    emergency=st.sampled_from([True, True, True, False]),
    procedures=likely(["child_protection"], st.lists(code("procedure"), max_size=3)),
    send_to=likely(needed, st.lists(addressees, max_size=4)),
    quick_report=st.booleans(),
    incident_commune=likely(None, places),
)
links = st.builds(LinkCase, case_id=st.sampled_from([UUID(int=21), UUID(int=22)]), child_id=st.sampled_from(CHILDREN))
breaches = st.builds(BreachClock, clock=st.sampled_from(CLOCKS))
waivers = st.builds(
    WaiveClock, clock=st.sampled_from(CLOCKS), reason=code("waiver_reason"), approved_by=st.sampled_from(["a", "b"])
)
messages = st.builds(
    ReceiveContact,
    channel=code("channel"),
    line=code("line"),
    form=code("form"),
    received_at=st.integers(-5, 60).map(lambda minutes: NOW - timedelta(minutes=minutes)),
    centre=st.just(HANOI),
    caller_id=persons,
    text=st.none() | st.just("Thử"),
)
answers = st.builds(AnswerContact, agent=st.sampled_from([None, "a", "b"]))
classes = st.builds(ClassifyContact, kind=code("contact_kind"), tier=code("tier"), topics=st.none() | st.just(["violence"]))


@dataclass(frozen=True)
class Step:
    """A command, by somebody, some seconds after the one before."""

    command: Command
    by: str
    after: int


def steps(commands: st.SearchStrategy[Command]) -> st.SearchStrategy[list[Step]]:
    one = st.builds(Step, commands, st.sampled_from(["a", "b"]), st.sampled_from([0, 1, 61, 601, 5000]))
    return st.lists(one, max_size=14)


of_records = st.builds(lambda first, rest: [first, *rest], st.builds(Step, reports, st.just("a"), st.just(0)), steps(
    screenings | links | breaches | waivers | reports | answers
))  # fmt: skip
of_contacts = st.builds(lambda first, rest: [first, *rest], st.builds(Step, messages, st.just("a"), st.just(0)), steps(
    answers | classes | breaches | waivers | messages | links
))  # fmt: skip
histories = of_records | of_contacts


@dataclass
class Played:
    """A stream as the chassis would write it: the facts of each command, and the refusals."""

    rules: Rules = LAW
    state: Any = None
    facts: list[IntakeFact] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def play(self, history: Iterable[Step]) -> "Played":
        now = NOW
        for step in history:
            now += timedelta(seconds=step.after)
            if self.state is None and not step.command.creates:
                continue  # the chassis answers 404 before anybody decides
            asked = step.command.knowing(Given(step.by, "counsellor", now, self.rules, STREAM, bytes(16)))
            try:
                told = list(decide(asked, self.state))
            except Refused as why:
                self.refused.append(why.code)
                continue
            for fact in told:
                self.state = evolve(fact, self.state)
            self.facts += told
        return self


def prefixes(facts: Sequence[IntakeFact]) -> Iterable[Sequence[IntakeFact]]:
    return (facts[:n] for n in range(len(facts) + 1))


@settings(max_examples=150)
@given(histories)
def test_whatever_is_commanded_is_decided_or_refused_with_a_code(history):
    played = Played().play(history)
    assert all(code == code.lower().replace("_", "-") for code in played.refused)


@settings(max_examples=150)
@given(histories)
def test_a_clock_starts_once_under_its_name_breaches_at_most_once_and_ends_at_most_once(history):
    """Nothing is healed: a breached clock is never started anew, and only what is owed is met, waived or breached."""
    for facts in prefixes(Played().play(history).facts):
        started = Counter(fact.clock for fact in facts if isinstance(fact, ClockStarted))
        ended = Counter(fact.clock for fact in facts if isinstance(fact, ClockMet | ClockWaived))
        breached = Counter(fact.clock for fact in facts if isinstance(fact, ClockBreached))
        assert all(n == 1 for n in started.values())
        assert ended <= started
        assert breached <= started


@settings(max_examples=150)
@given(histories)
def test_a_clock_is_met_late_exactly_if_it_happened_after_the_due_time_and_breaches_keep_it(history):
    facts = Played().play(history).facts
    due = {fact.clock: fact.due_at for fact in facts if isinstance(fact, ClockStarted)}
    for fact in facts:
        if isinstance(fact, ClockMet):
            assert (fact.met_at > due[fact.clock]) is fact.late
        if isinstance(fact, ClockBreached):
            assert due[fact.clock] == fact.due_at


@settings(max_examples=250)
@given(of_records)
def test_every_screening_that_opens_cases_has_a_case_for_each_child_or_a_clock_that_runs_breached_or_was_waived(history):
    played = Played().play(history)
    openings, linked, owed, waived = [], set[UUID](), set[str](), set[str]()
    for fact in played.facts:
        match fact:
            case ReportScreened(decision="open_case"):
                openings.append({child.child_id for child in fact.children})
            case CaseLinked():
                linked.add(fact.child_id)
            case ClockStarted():
                owed.add(fact.clock)
            case ClockMet():
                owed.discard(fact.clock)
            case ClockWaived():
                waived.add(fact.clock)
    for n, awaited in enumerate(openings, 1):
        name = "case-opened" if n == 1 else f"case-opened/{n}"
        assert name in owed or name in waived or awaited <= linked
        assert awaited, "a case is one child's"


@settings(max_examples=150)
@given(of_records)
def test_a_child_is_decided_about_once_and_while_one_waits_the_screening_is_owed(history):
    facts = Played().play(history).facts
    decided = Counter(child.child_id for fact in facts if isinstance(fact, ReportScreened) for child in fact.children)
    assert all(n == 1 for n in decided.values())
    reported = [child.child_id for fact in facts if isinstance(fact, ReportReceived) for child in fact.children]
    screened = [fact for fact in facts if isinstance(fact, ClockMet | ClockWaived) and fact.clock == "screening"]
    if set(reported) - decided.keys():
        assert all(isinstance(fact, ClockWaived) for fact in screened)


@settings(max_examples=150)
@given(of_contacts)
def test_a_written_contact_that_nobody_looked_at_is_owed_a_first_look(history):
    facts = Played().play(history).facts
    if facts and isinstance(facts[0], ContactReceived) and facts[0].channel != "phone":
        assert isinstance(facts[1], ClockStarted)
        if len(facts) == 2:
            assert {"first-look"} == Played().play(history).state.clocks.keys()


@settings(max_examples=100)
@given(histories)
def test_what_is_decided_does_not_hang_on_sealed_text(history):
    """The log folds with sealed fields None: the state must come out the same."""
    played = Played().play(history)
    state = None
    for fact in played.facts:
        state = evolve(type(fact).model_validate(sealing.split(fact)[0]), state)
    assert played.state == state


@settings(max_examples=100)
@given(histories)
def test_the_rules_of_the_demo_move_due_times_and_nothing_else(history):
    unhurried = [step for step in history if not isinstance(step.command, BreachClock)]
    law, demo = Played(LAW).play(unhurried), Played(DEMO).play(unhurried)
    assert _without_times(law.facts) == _without_times(demo.facts)
    assert law.refused == demo.refused


def _without_times(facts: Iterable[IntakeFact]) -> list[Any]:
    """Without what hangs on a due time: late or not, and the breach that is told beside what is late."""
    told = [fact for fact in facts if not isinstance(fact, ClockBreached)]
    return [(type(fact), fact.model_dump(exclude={"due_at", "rule", "calendar", "late"})) for fact in told]


def test_the_histories_of_records_come_far_enough_for_the_tests_above():
    """Guards them against strategies that never get past the first refusal."""
    reached = Counter[str]()

    @settings(max_examples=300, derandomize=True, database=None)
    @given(of_records)
    def play(history: list[Step]) -> None:
        played = Played().play(history)
        reached.update({type(fact).__name__ for fact in played.facts} | set(played.refused))

    play()
    wanted = {"ReportScreened", "CaseLinked", "ClockBreached", "ClockWaived", "ClockMet", "nothing-to-screen", "place-needed"}
    assert {} == {name: reached[name] for name in wanted if reached[name] < 5}

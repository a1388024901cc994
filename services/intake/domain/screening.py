"""Screening: how grave a report is, which procedures run, who must be told. The one door through which a case opens."""

from collections.abc import Iterator
from typing import Annotated, ClassVar
from uuid import UUID

from contracts.clocks import meet, start
from contracts.codes import Level, Procedure, ProtectionLevel, ScreeningDecision
from contracts.intake import CaseLinked, ClockBreached, ClockMet, ClockStarted, IntakeFact, ReportScreened
from contracts.kernel import Command, Personal, Refused, Shape, changed
from contracts.places import Place, province_of
from contracts.shapes import Addressee, Line, ScreenedChild, Text
from services.intake.domain.reports import PROTECTED, SCREENING
from services.intake.domain.state import Record, State, decide, desks, evolve, not_in_the_future, record_in

MINORS = PROTECTED | {"16_17"}
EVERY_AGE = MINORS | {"adult"}
FITS = {
    "child_protection": PROTECTED,  # Decree 56/2017: under 16
    "minor_help": frozenset({"16_17"}),
    "trafficking": EVERY_AGE,  # Law 53/2024
    "domestic_violence": EVERY_AGE,  # Law 13/2022
    "criminal": MINORS,  # Law 59/2024: victims and witnesses under 18
}
"""Procedure → age bands it protects. Somebody of unknown age is a child."""


class ToScreen(Shape):
    """A child to be decided about, with what the counsellor notes about it."""

    child_id: UUID
    note: Annotated[Text | None, Personal("child_id")] = None


class ScreenReport(Command):
    """The counsellor decides about children of the record, by default all that nobody has decided about.

    send_to: whom a new case is handed to, chosen by a person from the screen's proposal. Places default to the report's.
    """

    needs_if_match: ClassVar[bool] = True

    decision: ScreeningDecision
    reason: Line | None = None
    other: UUID | None = None
    children: list[ToScreen] | None = None
    risk: Level
    protection_level: ProtectionLevel
    emergency: bool
    procedures: list[Procedure]
    send_to: list[Addressee]
    quick_report: bool = False
    incident_commune: Place | None = None
    residence_commune: Place | None = None


class LinkCase(Command):
    """A case was opened for a child of this record."""

    case_id: UUID
    child_id: UUID


@decide.register
def screen_report(command: ScreenReport, state: State | None) -> Iterator[IntakeFact]:
    """Refuses `nothing-to-screen`, `which-record`, `join-not-available`; with open_case what `_may_open` says, without it
    `send-to-needs-a-case`.
    """
    record = record_in(state)
    not_in_the_future(command)
    children = _chosen(command, record)
    screened = _screened(command, record, children)
    opens = command.decision == "open_case"
    if command.decision == "join":
        _cannot_join(command)
    elif opens:
        _may_open(screened, record)
    elif command.send_to:
        raise Refused("send-to-needs-a-case")
    yield screened
    if record.unscreened.keys() <= children.keys():  # the report is screened when nobody is left undecided
        yield from meet(ClockMet, ClockBreached, record.clocks, SCREENING, command.happened_at)
    if opens:
        desk = desks(record.centre)
        responsible = desk["operator_desk"]
        yield start(ClockStarted, record.opening_clock, command.now, command.given, responsible=responsible, parties=desk)


def _chosen(command: ScreenReport, record: Record) -> dict[UUID, Text | None]:
    """The children to decide about, each with its note."""
    waiting = record.unscreened
    named = command.children
    if named is None:
        chosen: dict[UUID, Text | None] = dict.fromkeys(waiting)
    else:
        chosen = {child.child_id: child.note for child in named}
        if len(chosen) < len(named):
            raise Refused("person-named-twice")
        if strangers := sorted(chosen.keys() - waiting.keys()):
            raise Refused("nothing-to-screen", children=strangers)
    if not chosen:
        if command.decision == "open_case" and (waiting or not record.children):
            raise Refused("child-needed")
        if record.children or record.screenings:
            raise Refused("nothing-to-screen")
    return chosen


def _screened(command: ScreenReport, record: Record, children: dict[UUID, Text | None]) -> ReportScreened:
    return ReportScreened(
        decision=command.decision,
        reason=command.reason,
        other=command.other,
        children=[
            ScreenedChild(
                child_id=child,
                age_band=record.children[child].age_band,
                age_basis=record.children[child].age_basis,
                note=note,
            )
            for child, note in children.items()
        ],
        received_at=record.received_at,
        incident_at=record.incident_at,
        incident_commune=command.incident_commune or record.incident_commune,
        residence_commune=command.residence_commune or record.residence_commune,
        centre=record.centre,
        risk=command.risk,
        protection_level=command.protection_level,
        emergency=command.emergency,
        procedures=list(dict.fromkeys(command.procedures)),
        send_to=list(dict.fromkeys(command.send_to)),
        quick_report=command.quick_report,
    )


def _cannot_join(command: ScreenReport) -> None:
    """Until records are linked, a joined report would reach no case and start no clock: better refused than lost."""
    if command.other in (None, command.given.stream):
        raise Refused("which-record")
    raise Refused("join-not-available")


def _may_open(screened: ReportScreened, record: Record) -> None:
    """Refuses `place-needed`, `procedure-does-not-fit-age`, `emergency-cannot-be-off`, `addressee-missing`."""
    incident, residence = screened.incident_commune, screened.residence_commune
    if incident is None or not _is_commune(incident):
        raise Refused("place-needed", field="incident_commune")
    if residence is not None and not _is_commune(residence):
        raise Refused("place-needed", field="residence_commune")
    unfit = {
        procedure: [child.child_id for child in screened.children if child.age_band not in FITS[procedure]]
        for procedure in screened.procedures
    }
    if not unfit or any(unfit.values()):
        raise Refused("procedure-does-not-fit-age", unfit={name: ids for name, ids in unfit.items() if ids})
    if record.emergency and not screened.emergency:  # no score switches off a ground of art. 31.1
        raise Refused("emergency-cannot-be-off")
    if missing := [wanted for wanted in _required(screened.procedures, incident, residence) if not wanted & _told(screened)]:
        raise Refused("addressee-missing", missing=[" or ".join(sorted(wanted)) for wanted in missing])


def _is_commune(place: Place) -> bool:
    return province_of(place) not in (None, place)


ANYBODY = "anybody"


def _told(screened: ReportScreened) -> frozenset[str]:
    """Every way in which a requirement may name one of the addressees: by role and place, by role, or at all."""
    names = {name for addressee in screened.send_to for name in (str(addressee), addressee.role)}
    return frozenset(names | {ANYBODY} if names else ())


def _required(procedures: list[Procedure], incident: Place, residence: Place | None) -> Iterator[frozenset[str]]:
    """Whom these procedures require, each as the alternatives that will do: Decree 56/2017 art. 26.1, Law 53/2024 art. 27."""
    for procedure in procedures:
        match procedure:
            case "child_protection":
                yield frozenset({f"commune_pc@{incident}"})
                yield frozenset({f"province_health@{province_of(incident)}"})
                if residence not in (None, incident):
                    yield frozenset({f"commune_pc@{residence}"})
            case "trafficking":
                yield frozenset({"police", "border_guard", "coast_guard", "commune_pc"})
            case "domestic_violence":
                yield frozenset({"commune_pc"})
            case "criminal":
                yield frozenset({"police"})
            case _:
                yield frozenset({ANYBODY})


@decide.register
def link_case(command: LinkCase, state: State | None) -> Iterator[IntakeFact]:
    """Met when it happened in cases, however late it is heard here. The same link again changes nothing."""
    record = record_in(state)
    if command.child_id not in record.children:
        raise Refused("not-found")
    if record.cases.get(command.child_id) == command.case_id:
        return
    yield CaseLinked(case_id=command.case_id, child_id=command.child_id)
    complete = [name for name, waiting in record.awaited.items() if waiting == {command.child_id}]
    yield from meet(ClockMet, ClockBreached, record.clocks, complete, command.happened_at)


@evolve.register
def after_screened(fact: ReportScreened, state: Record) -> State:
    children = frozenset(child.child_id for child in fact.children)
    opens = fact.decision == "open_case"
    return changed(
        state,
        screened=state.screened | children,
        screenings=state.screenings + 1,
        openings=state.openings + opens,
        awaited={**state.awaited, state.opening_clock: children} if opens else state.awaited,
        incident_commune=fact.incident_commune,
        residence_commune=fact.residence_commune,
    )


@evolve.register
def after_linked(fact: CaseLinked, state: Record) -> State:
    left = {name: waiting - {fact.child_id} for name, waiting in state.awaited.items()}
    return changed(
        state,
        awaited={name: waiting for name, waiting in left.items() if waiting},
        cases={**state.cases, fact.child_id: fact.case_id},
    )

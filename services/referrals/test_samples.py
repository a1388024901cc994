"""What the tests of this service speak of. All names and places are invented."""

from datetime import date, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from contracts.ids import case_of
from contracts.referrals import ClockStarted
from contracts.shapes import Addressee, HandOff
from services.referrals.domain import decide, evolve
from services.referrals.domain.sending import SendReferral
from services.referrals.domain.taking import AcknowledgeReferral
from tests.given import given as any_given

given: Any = partial(any_given, decide=decide, evolve=evolve)
RECORD, BOY, GIRL, TAKER, AGENCY = UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4), UUID(int=5)
HIS_CASE, HER_CASE = case_of(RECORD, BOY), case_of(RECORD, GIRL)
XA, TINH, HANOI = "99801@2025-07-01", "98@2025-07-01", "hanoi@2025-07-01"
COMMUNE = Addressee(role="commune_pc", place=XA)
POLICE = Addressee(role="police", place=XA)
SUPERVISORS = Addressee(role="supervisor_desk", place=HANOI)
PROVINCE = Addressee(role="province_health", place=TINH)
DEPARTMENT = Addressee(role="central_department", place="vn@2025-07-01")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MATTER = HandOff(
    kind="handover",
    record_id=RECORD,
    cases=[HIS_CASE, HER_CASE],
    children=[BOY, GIRL],
    addressee=COMMUNE,
    centre=HANOI,
    emergency=False,
    lead=XA,
)
URGENT = MATTER.model_copy(update={"emergency": True})
TO_POLICE = MATTER.model_copy(update={"kind": "crime_report", "addressee": POLICE})
HELP = MATTER.model_copy(update={"kind": "help"})
SERVICE = MATTER.model_copy(update={"kind": "service", "addressee": Addressee(role="provider", place=TINH), "item": 1})
ON_TIME = date(2026, 3, 31)


def sent(of: HandOff = MATTER, agency: UUID | None = AGENCY, **more: Any) -> list[Any]:
    """The facts of a hand-off that went out now."""
    return given().when(SendReferral(of=of, agency_id=agency, **more)).told


def taken(of: HandOff = MATTER, **more: Any) -> list[Any]:
    """The facts of a hand-off that was sent and taken over now."""
    facts = sent(of, **more)
    return facts + given(*facts).when(acknowledgement()).told


def acknowledgement(**more: Any) -> AcknowledgeReferral:
    """Somebody of the addressee presses the button."""
    said = {"via": "link", "office": "UBND Xã Suối Mẫu", "taker_id": TAKER, "name": "Mẫu Thị Thử", **more}
    return AcknowledgeReferral(**said)


def only(kind: type[Any], facts: list[Any]) -> Any:
    """The one fact of this kind."""
    (found,) = [fact for fact in facts if isinstance(fact, kind)]
    return found


def clock(facts: list[Any], name: str = "acknowledgement") -> ClockStarted:
    """The fact that started this clock last."""
    return [fact for fact in facts if isinstance(fact, ClockStarted) and fact.clock == name][-1]

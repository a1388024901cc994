"""Code lists: the words that clear fields are filled with, one YAML file a list in `contracts/codes/`.

An entry is {code, en, vi, from, to?, parent?, source}. Codes are never renamed or reused; a code that is no longer
given out gets a `to` and is still understood. Lists are read when first asked for.

Strict when told, tolerant when heard: a command or fact of our own must use a known code, while a fact of another
service may bring a code that this build has not learnt yet (readers are deployed first). Hearing is said by the
validation context `{"heard": True}`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from contracts import data

FOLDER = data.FOLDER / "codes"


@dataclass(frozen=True, slots=True)
class Entry:
    """One code.

    `start` and `end` are the first and the last day on which it may be given; `source` is the law or practice behind
    it.
    """

    code: str
    en: str
    vi: str
    start: date
    end: date | None
    parent: str | None
    source: str


@cache
def entries(list_id: str) -> Mapping[str, Entry]:
    """Code → entry, in the order of the file. KeyError for an unknown list."""
    if list_id not in lists():
        raise KeyError(f"no code list {list_id!r}")
    return {
        row["code"]: Entry(row["code"], row["en"], row["vi"], row["from"], row.get("to"), row.get("parent"), row["source"])
        for row in data.read("codes", f"{list_id}.yaml")
    }


def codes(list_id: str) -> tuple[str, ...]:
    """Every code of the list, also those no longer given out. KeyError for an unknown list."""
    return tuple(entries(list_id))


@cache
def lists() -> tuple[str, ...]:
    """The ids of all code lists."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def label(list_id: str, code: str, lang: str = "vi") -> str:
    """What a screen shows: Vietnamese, or English with lang="en".

    A code heard before this build learnt it stands for itself.
    """
    entry = entries(list_id).get(code)
    if entry is None:
        return code
    return entry.en if lang == "en" else entry.vi


@dataclass(frozen=True, slots=True)
class Code:
    """Marks a text field as a code: `Channel = Annotated[str, Code("channel")]`.

    pattern: a regular expression for texts accepted beside the codes. Unknown codes fail with the error type
    `unknown-code`, which names the list and never repeats the input. JSON Schema gets the codes as `enum`.
    """

    list_id: str
    pattern: str | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_after_validator_function(self._known, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        text = handler(schema)
        enum = {**text, "enum": list(codes(self.list_id))}
        return enum if self.pattern is None else {"anyOf": [enum, {**text, "pattern": f"^(?:{self.pattern})$"}]}

    def _known(self, code: str, info: ValidationInfo) -> str:
        if code in entries(self.list_id) or heard(info) or (self.pattern and re.fullmatch(self.pattern, code)):
            return code
        raise PydanticCustomError("unknown-code", "not a code of the list {list}", {"list": self.list_id})


def heard(info: ValidationInfo) -> bool:
    """Whether this validation reads what another service told."""
    return bool(isinstance(info.context, Mapping) and info.context.get("heard"))


# contacts and reports
Channel = Annotated[str, Code("channel")]
LineCode = Annotated[str, Code("line")]
Form = Annotated[str, Code("form")]
ContactKind = Annotated[str, Code("contact_kind")]
Tier = Annotated[str, Code("tier")]
Source = Annotated[str, Code("source")]
Relation = Annotated[str, Code("relation")]
Language = Annotated[str, Code("language")]
AgeBand = Annotated[str, Code("age_band")]
AgeBasis = Annotated[str, Code("age_basis")]
Sex = Annotated[str, Code("sex")]
Procedure = Annotated[str, Code("procedure")]
ScreeningDecision = Annotated[str, Code("screening_decision")]
Level = Annotated[str, Code("level")]
ProtectionLevel = Annotated[str, Code("protection_level")]
# persons and their rights
Right = Annotated[str, Code("right")]
Authority = Annotated[str, Code("authority")]
DataStage = Annotated[str, Code("data_stage")]
DataAnswer = Annotated[str, Code("data_answer")]
DataRefusal = Annotated[str, Code("data_refusal")]
Hold = Annotated[str, Code("hold")]
HoldEnd = Annotated[str, Code("hold_end")]
RestrictionBasis = Annotated[str, Code("restriction_basis")]
RestrictionEnd = Annotated[str, Code("restriction_end")]
ErasureBasis = Annotated[str, Code("erasure_basis")]
# cases
Measure = Annotated[str, Code("measure")]
MeasureEnd = Annotated[str, Code("measure_end")]
Service = Annotated[str, Code("service")]
Regime = Annotated[str, Code("regime")]
ReviewConclusion = Annotated[str, Code("review_conclusion")]
InterventionOutcome = Annotated[str, Code("intervention_outcome")]
CloseReason = Annotated[str, Code("close_reason")]
WaiverReason = Annotated[str, Code("waiver_reason")]
# hand-offs
RoleCode = Annotated[str, Code("role")]
"""Bodies and desks that can be addressed; the roles people act in are in `contracts/roles.yaml`."""
HandOffKind = Annotated[str, Code("hand_off_kind")]
HandOffStep = Annotated[str, Code("hand_off_step")]
Basis = Annotated[str, Code("basis", pattern=r"consent:[0-9a-f-]{36}@[1-9][0-9]*")]
"""Why something may be disclosed: an article, or `consent:<person>@<version>` of the consent given."""
Via = Annotated[str, Code("via")]
AttemptResult = Annotated[str, Code("attempt_result")]
DeclineReason = Annotated[str, Code("decline_reason")]
CompletionResult = Annotated[str, Code("completion_result")]
RevokeReason = Annotated[str, Code("revoke_reason")]
EscalationReason = Annotated[str, Code("escalation_reason")]
# messages
Template = Annotated[str, Code("template")]
FailureReason = Annotated[str, Code("failure_reason")]
UndeliverableReason = Annotated[str, Code("undeliverable_reason")]
CancelReason = Annotated[str, Code("cancel_reason")]
# running the system
ParkedReason = Annotated[str, Code("parked_reason")]
# reading
Purpose = Annotated[str, Code("purpose")]
View = Annotated[str, Code("view")]
ReadReason = Annotated[str, Code("read_reason")]
SearchField = Annotated[str, Code("search_field")]
LogName = Annotated[str, Code("log")]

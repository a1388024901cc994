"""Forms 03 and 06 of Decree 56/2017 as they are filled in: their versions, their rows, and what every one that is told must hold.

How the forms are officially scored is not known, so the officer chooses a level or a conclusion and says why where it departs from
the counts. Counts are derived from the answers, never stored.
"""

import re
from datetime import date
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from contracts.codes import entries
from contracts.kernel import Shape
from contracts.shapes import Answer

FormVersion = Annotated[str, StringConstraints(pattern=r"^form[0-9]{2}@[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
"""A form and the day from which this version of it holds: `form03@2017-07-01`."""
ReasonCode = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
"""A code, not words: reasons stand in clear, and words about a child must not."""


class FilledForm(Shape):
    """What commands that bring a form have in common; `form_id` is the form they take.

    Every row is one of that version, list `form_rows`, and answered once. Errors: `unknown-form`, `unknown-row`.
    """

    form_id: ClassVar[str]
    form: FormVersion
    answers: list[Answer] = Field(min_length=1)
    disagrees: ReasonCode | None = None

    @field_validator("form")
    @classmethod
    def _is_a_version(cls, form: str) -> str:
        if not form.startswith(f"{cls.form_id}@") or not rows(form):
            raise PydanticCustomError("unknown-form", "this is no version of {form}", {"form": cls.form_id})
        return form

    @field_validator("answers")
    @classmethod
    def _rows_are_the_forms(cls, answers: list[Answer], info: ValidationInfo) -> list[Answer]:
        given = [answer.row for answer in answers]
        if "form" in info.data and (len(set(given)) != len(given) or not rows(info.data["form"]).issuperset(given)):
            raise PydanticCustomError("unknown-row", "the rows of the form, each at most once: list form_rows")
        return answers


def rows(form: str) -> frozenset[str]:
    """The codes of the rows in force on the day of a form's version; empty where no version of it began on that day."""
    name, _, day = form.partition("@")
    of_the_form = [row for row in entries("form_rows").values() if re.fullmatch(rf"{name}\.(harm|capacity)\.\w+", row.code)]
    if day not in {row.start.isoformat() for row in of_the_form}:
        return frozenset()
    since = date.fromisoformat(day)
    return frozenset(row.code for row in of_the_form if row.start <= since and (row.end is None or row.end >= since))

"""Places: a code together with the day from which it means this unit, as text: `99801@2025-07-01`.

A code without a date means nothing: when the units were redrawn on 2025-07-01, some 1,800 commune codes were given to a
unit of another name. Provinces have two digits, communes five; `hanoi`, `danang` and `angiang` are the centres of the
line, `vn` the nation. The tables in `contracts/codes/places/` are read when first asked for.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from contracts.codes import heard

FOLDER = Path(__file__).parent / "codes" / "places"
FORM = r"[a-z0-9]+@[0-9]{4}-[0-9]{2}-[0-9]{2}"


@dataclass(frozen=True, slots=True)
class Unit:
    """One row of the tables.

    kind: province, city, xa, phuong, dac_khu, centre or nation; `invented` units are for demo and tests.
    """

    place: str
    kind: str
    province: str | None
    name: str
    invented: bool


@dataclass(frozen=True, slots=True)
class PlaceText:
    """Checks a place: without a date `place-without-date`, else unknown `unknown-place`, unless it was heard."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_after_validator_function(self._known, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^{FORM}$"}

    @staticmethod
    def _known(place: str, info: ValidationInfo) -> str:
        if not re.fullmatch(FORM, place):
            raise PydanticCustomError("place-without-date", "a place is <code>@<valid from>, as 00004@2025-07-01")
        if place not in units() and not heard(info):
            raise PydanticCustomError("unknown-place", "no unit has this code from this day")
        return place


Place = Annotated[str, PlaceText()]


@cache
def units() -> Mapping[str, Unit]:
    """Every known place → its unit."""
    return {unit.place: unit for path in sorted(FOLDER.glob("*.csv")) for unit in _read(path)}


def _read(path: Path) -> list[Unit]:
    invented = path.stem == "invented"
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(line for line in file if not line.startswith("#"))
        next(rows)
        return [
            Unit(f"{code}@{start}", kind, f"{province}@{start}" if province else None, name, invented)
            for code, start, kind, province, name in rows
        ]


def province_of(place: str) -> Place | None:
    """The province of a commune, a province itself; None for centres, the nation and places not known here."""
    unit = units().get(place)
    if unit is None:
        return None
    return unit.place if unit.kind in {"province", "city"} else unit.province


def label(place: str) -> str:
    """The unit's name with its kind, as officials write it: `Phường Ba Đình`. An unknown place stands for itself."""
    unit = units().get(place)
    return unit.name if unit else place


def communes_of(province: str) -> tuple[str, ...]:
    """The communes of a province, by code."""
    return tuple(unit.place for unit in units().values() if unit.province == province)


CENTRES: tuple[Place, ...] = ("hanoi@2025-07-01", "danang@2025-07-01", "angiang@2025-07-01")
NATION: Place = "vn@2025-07-01"

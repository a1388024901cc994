"""The contracts as released: a copy a version in `contracts/released/`, written once and never again."""

import csv
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from contracts import data
from tools.compatibility.schemas import Schema
from tools.generate import schemas
from tools.generate.model import CONTRACTS

RELEASED = CONTRACTS / "released"
KEPT = (
    "schemas/*/*.json",
    "golden/*/*.json",
    "asyncapi/*.json",
    "codes/*.yaml",
    "codes/places/*.csv",
    "rules/*.yaml",
    "calendars/*.yaml",
)
Rows = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Contracts:
    """What others rely on. Facts are named as `cases/PlanApproved.v1`, rows by their code or id."""

    schemas: Mapping[str, Schema] = field(default_factory=dict)
    golden: Mapping[str, Any] = field(default_factory=dict)
    codes: Mapping[str, Rows] = field(default_factory=dict)
    rules: Rows = field(default_factory=dict)
    calendar: Rows = field(default_factory=dict)
    topics: Mapping[str, str] = field(default_factory=dict)
    """Log → its topic."""
    promised: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Log → what every record brings: `header ce_id`, `meta actor`."""


def read(folder: Path) -> Contracts:
    """The contracts in a folder laid out as `contracts/` is."""
    documents = {file.stem: json.loads(file.read_bytes()) for file in sorted(folder.glob("asyncapi/*.json"))}
    return Contracts(
        schemas=_json(folder / "schemas"),
        golden=_json(folder / "golden"),
        codes={file.stem: _by("code", file) for file in sorted(folder.glob("codes/*.yaml"))} | {"places": _places(folder)},
        rules={id_: row for file in sorted(folder.glob("rules/*.yaml")) for id_, row in _by("id", file).items()},
        calendar={id_: row for file in sorted(folder.glob("calendars/*.yaml")) for id_, row in _by("id", file).items()},
        topics={log: document["channels"][log]["address"] for log, document in documents.items()},
        promised={log: _promised(document["components"]["schemas"]) for log, document in documents.items()},
    )


def _json(folder: Path) -> dict[str, Any]:
    return {f"{file.parent.name}/{file.stem}": json.loads(file.read_bytes()) for file in sorted(folder.glob("*/*.json"))}


def _by(key: str, file: Path) -> dict[str, Any]:
    """The rows of a dated list; nothing of a file that is none, as ladders are."""
    rows = data.read(str(file))
    return {row[key]: row for row in rows} if isinstance(rows, list) else {}


def _places(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in sorted(folder.glob("codes/places/*.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(line for line in lines if not line.startswith("#")):
                found[f"{row['code']}@{row['valid_from']}"] = row
    return found


def _promised(parts: Mapping[str, Schema]) -> frozenset[str]:
    return frozenset(
        f"{word} {name}" for word, part in (("header", "Headers"), ("meta", "Meta")) for name in parts[part]["required"]
    )


def today() -> Contracts:
    """What stands in `contracts/`, with the facts as the code has them now, whether or not their schemas were written anew. Of a
    fact that the code has no longer, nothing counts that stands there."""
    stands = read(CONTRACTS)
    generated = {name.removeprefix("schemas/").removesuffix(".json"): schema for name, schema in schemas.documents().items()}
    known = {name.partition(".")[0] for name in generated}
    kept = {name: schema for name, schema in stands.schemas.items() if name.partition(".")[0] in known}
    return replace(stands, schemas={**kept, **generated})


def versions() -> list[str]:
    """The released versions, oldest first."""
    return sorted((folder.name for folder in RELEASED.iterdir()) if RELEASED.exists() else (), key=_parts)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def release(version: str) -> int:
    """Copy today's contracts to `released/<version>`; answers how many files. ValueError for a version that is no next one."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ValueError(f"a version is three numbers, as 0.2.0, not {version!r}")
    if released := [old for old in versions() if _parts(old) >= _parts(version)]:
        raise ValueError(f"{released[-1]} is released already; what was released is not written again")
    files = [file for pattern in KEPT for file in sorted(CONTRACTS.glob(pattern))]
    for file in files:
        copy = RELEASED / version / file.relative_to(CONTRACTS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    return len(files)

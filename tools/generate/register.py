"""The register of personal fields: every field of a fact that is sealed, and under whose key."""

from collections.abc import Iterator
from typing import NamedTuple

from contracts.kernel import Shape
from contracts.rules import LAW
from tools.generate.model import all_facts, fields_of, shape_in


class Sealed(NamedTuple):
    """field, person: paths inside the fact, `[]` for each item. name: what a hand-off's `disclosed` calls the field, if it does."""

    log: str
    fact: str
    field: str
    person: str
    name: str | None


def entries() -> list[Sealed]:
    """Every `Personal` mark that a fact reaches, in the order of the code."""
    told_of = {name.partition(".")[0] for kind in LAW.disclosure for name in LAW.disclosed(kind)}  # child, alleged, informant
    return [
        Sealed(fact.log, fact.__name__, path + field, path + person, f"{holder}.{field}" if holder in told_of else None)
        for fact in all_facts()
        for path, holder, field, person in _marks(fact, "")
    ]


def _marks(shape: type[Shape], path: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in fields_of(shape).items():
        if name in shape.personal:
            yield path, shape.__name__.lower(), name, shape.personal[name]
        elif inner := shape_in(field):
            yield from _marks(inner, f"{path}{name}{'[]' if field.many else ''}.")


def text() -> str:
    """The register as YAML, one line an entry."""
    lines = [
        "# The personal fields of every fact, generated from the code by `hotline contracts`: sealed under the key of `person`.",
        "# field, person: paths inside the fact, [] for each item of a list. name: as a hand-off names it in `disclosed`.",
        "# All other fields are clear: beside a random person id they are pseudonymous, and stay when the person is forgotten.",
    ]
    for entry in entries():
        said = {name: f'"{value}"' if "[" in value else value for name, value in entry._asdict().items() if value}
        lines.append("- {" + ", ".join(f"{name}: {value}" for name, value in said.items()) + "}")
    return "\n".join(lines) + "\n"

"""JSON Schema of facts: one file a fact and version, named by the `ce_dataschema` of its records."""

from collections.abc import Sequence
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core.core_schema import ModelSchema
from typing_extensions import override

from contracts.kernel import Fact, Shape
from tools.generate.model import all_facts, meaning


class FactSchema(GenerateJsonSchema):
    """A fact is titled by its stable name. A sealed field says under whose key: it is absent from the clear part of a state."""

    @override
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    @override
    def model_schema(self, schema: ModelSchema) -> dict[str, Any]:
        found, kind = super().model_schema(schema), schema["cls"]
        if not issubclass(kind, Shape):
            return found
        found["title"] = kind.TOPIC if issubclass(kind, Fact) else kind.__name__
        found["description"] = meaning(kind)
        for name, person in kind.personal.items():
            found["properties"][name]["x-sealed-under"] = person
        return found


def urn_of(fact: type[Fact]) -> str:
    """The name of a fact's schema, as its records quote it."""
    return f"urn:hotline111:{fact.TOPIC}/{fact.class_version}"


def components(facts: Sequence[type[Fact]]) -> dict[str, Any]:
    """The schemas of these facts and of what they contain, for `components/schemas` of a document."""
    _, found = models_json_schema(
        [(fact, "validation") for fact in facts], ref_template="#/components/schemas/{model}", schema_generator=FactSchema
    )
    return dict(found["$defs"])


def documents() -> dict[str, Any]:
    """`schemas/<log>/<Fact>.v<n>.json` → its content."""
    return {
        f"schemas/{fact.log}/{fact.__name__}.v{fact.class_version}.json": {
            "$schema": GenerateJsonSchema.schema_dialect,
            "$id": urn_of(fact),
            **fact.model_json_schema(schema_generator=FactSchema),
        }
        for fact in all_facts()
    }

"""What the schema of a fact no longer takes, field by field: JSON Schema as pydantic writes it, a released one against today's.

Two comparisons. Ours names field and change, and sees what the other does not: patterns, formats, defaults, keys of sealed fields.
`jsoncompat` is a judge that knows JSON Schema better than we do: where it says no and we found nothing, we are wrong.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import jsoncompat

Schema = Mapping[str, Any]
Change = tuple[str, str]
"""Where, as `items[].provider.role` ("" for the whole), and what happened there, as the middle of a sentence."""

FOR_PEOPLE = {"$schema", "$id", "$defs", "title", "description", "discriminator"}
VALUES = {"enum", "default", "required", "x-sealed-under"}
LOWEST = {"minLength", "minItems", "minProperties", "minimum", "exclusiveMinimum"}
HIGHEST = {"maxLength", "maxItems", "maxProperties", "maximum", "exclusiveMaximum"}
INNER = {"items": "[]", "additionalProperties": "{}"}
COMPARED = {"type", "anyOf", "properties", *VALUES, *LOWEST, *HIGHEST}


def changes(old: Schema, new: Schema) -> list[Change]:
    """Everything that breaks a reader or changes a meaning; empty if all that `old` allowed is read as it was meant."""
    before, now = plain(old, old.get("$defs", {})), plain(new, new.get("$defs", {}))
    found = list(_alternatives(before, now, ""))
    if not found and not jsoncompat.check_compat(json.dumps(before), json.dumps(now), "deserializer"):
        return [("", "is refused by jsoncompat for a reason that tools/compatibility/schemas.py has no words for")]
    return found


def plain(node: Any, definitions: Schema) -> Any:
    """The schema as both comparisons need it: references followed, words for people left out, one keyword for one thing.

    An object is closed: in an open one jsoncompat takes every new field for a narrowing of what stood there unnamed.
    """
    if isinstance(node, list):
        return [plain(inner, definitions) for inner in node]
    if not isinstance(node, Mapping):
        return node
    if "$ref" in node:
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return plain({**definitions[node["$ref"].rpartition("/")[2]], **rest}, definitions)
    found: dict[str, Any] = {}
    for key, value in node.items():
        match key:
            case "properties":  # by its values: a field may be called `title`
                found[key] = {name: plain(inner, definitions) for name, inner in value.items()}
                found.setdefault("additionalProperties", False)
            case "const":
                found["enum"] = [value]
            case "oneOf":  # a further alternative narrows a oneOf, as jsoncompat sees it
                found["anyOf"] = plain(value, definitions)
            case _ if key not in FOR_PEOPLE:
                found[key] = value if key in VALUES else plain(value, definitions)
    return found


def _alternatives(old: Schema, new: Schema, at: str) -> Iterator[Change]:
    olds, news = old.get("anyOf", [old]), new.get("anyOf", [new])
    for told in olds:
        readers = [(reader, list(_one(told, reader, at))) for reader in news]
        if all(found for _, found in readers):
            alike = [found for reader, found in readers if told.get("type") == reader.get("type")]
            yield from min(alike, key=len) if alike else [(at, f"changed its type from {_kinds(olds)} to {_kinds(news)}")]


def _kinds(alternatives: list[Schema]) -> str:
    return " or ".join(dict.fromkeys(str(schema.get("type", "anything")) for schema in alternatives))


def _one(old: Schema, new: Schema, at: str) -> Iterator[Change]:
    if "type" in new and new["type"] != old.get("type") and (old.get("type"), new["type"]) != ("integer", "number"):
        yield at, f"changed its type from {_kinds([old])} to {_kinds([new])}"
        return
    if gone := [value for value in old.get("enum", ()) if value not in new.get("enum", (value,))]:
        yield at, f"no longer takes {', '.join(f'`{value}`' for value in gone)}"
    if "enum" in new and "enum" not in old:
        yield at, "takes only certain words"
    yield from _limits(old, new, at)
    yield from _members(old, new, at)


def _limits(old: Schema, new: Schema, at: str) -> Iterator[Change]:
    """Bounds that came or closed in, and whatever else is demanded now and was not, or not so."""
    for key in sorted(new.keys() - COMPARED):
        before, now = old.get(key), new[key]
        if key in INNER and isinstance(before, Mapping) and isinstance(now, Mapping):
            yield from _alternatives(before, now, at + INNER[key])
        elif before != now:
            yield at, f"changed `{key}` from {_said(before)} to {_said(now)}"
    for key in sorted(new.keys() & (LOWEST | HIGHEST)):
        before, now = old.get(key), new[key]
        if before is None or (now > before if key in LOWEST else now < before):
            yield at, f"narrowed `{key}` from {_said(before)} to {now}"


def _said(value: Any) -> str:
    return "nothing" if value is None else f"`{value}`" if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _members(old: Schema, new: Schema, at: str) -> Iterator[Change]:
    before, now = old.get("properties", {}), new.get("properties", {})
    place = f"{at}." if at else ""
    for name in sorted(before.keys() - now.keys()):
        yield place + name, "was removed"
    for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield place + name, "became required" if name in before else "was added and is required"
    for name in sorted(before.keys() & now.keys()):
        yield from _sealing(before[name], now[name], place + name)
        if name not in old.get("required", ()) and before[name].get("default") != now[name].get("default"):
            yield (
                place + name,
                f"means {_said(now[name].get('default'))} and not {_said(before[name].get('default'))} if it was not told",
            )
        yield from _alternatives(before[name], now[name], place + name)


def _sealing(old: Schema, new: Schema, at: str) -> Iterator[Change]:
    match old.get("x-sealed-under"), new.get("x-sealed-under"):
        case None, str(person):
            yield at, f"became sealed (under `{person}`)"
        case str(person), None:
            yield at, f"became clear (it was sealed under `{person}`)"
        case before, now if before != now:
            yield at, f"is sealed under `{now}` and not under `{before}`"

"""The contract gate: what broke is named with its fact and field, what may change may change, and old facts fold to today's."""

import shutil
from dataclasses import replace
from datetime import date
from itertools import count
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import JSONTranscoder, StoredEvent
from pydantic import Field, create_model
from typer.testing import CliRunner

from chassis import sealing
from chassis.mapper import FactMapper
from contracts.kernel import Fact, Instant, Personal, Shape
from tools.commands import app
from tools.compatibility import gate, releases
from tools.compatibility.releases import CONTRACTS, Contracts
from tools.compatibility.schemas import changes
from tools.generate import golden
from tools.generate.model import all_facts
from tools.generate.schemas import FactSchema, documents

number = count(1)
PERSON, OTHER = (UUID, ...), (UUID, ...)
SEALED = {"child_id": PERSON, "other_id": OTHER}
SINCE = "0.1.0"


def shape(**fields: Any) -> type[Shape]:
    return create_model(f"Plan{next(number)}", __base__=Shape, __doc__="Invented.", **fields)


def schema(fields: dict[str, Any]) -> dict[str, Any]:
    """As the generator writes it."""
    return shape(**fields).model_json_schema(schema_generator=FactSchema)


def told(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What the gate says of a fact that had these fields and now has those."""
    before = Contracts(schemas={"cases/PlanApproved.v1": schema(old)})
    return gate.findings(before, Contracts(schemas={"cases/PlanApproved.v1": schema(new)}), SINCE)


def text(**limits: Any) -> tuple[Any, Any]:
    return (Annotated[str, Field(**limits)], ...)


def word(*words: str) -> tuple[Any, Any]:
    return (Annotated[str, Field(json_schema_extra={"enum": list(words)})], ...)


def within(**fields: Any) -> tuple[Any, Any]:
    return (list[shape(**fields)], ...)


def sealed(under: str) -> tuple[Any, Any]:
    return (Annotated[str | None, Personal(under)], None)


BREAKS = [
    ({"signatory": text()}, {}, "field `signatory` was removed"),
    ({"title": text()}, {}, "field `title` was removed"),
    ({"description": (str | None, None)}, {}, "field `description` was removed"),
    ({"lead": text()}, {"responsible": (str | None, None)}, "field `lead` was removed"),
    ({}, {"signatory": text()}, "field `signatory` was added and is required"),
    ({"signatory": (str | None, None)}, {"signatory": (str | None, ...)}, "field `signatory` became required"),
    ({"signatory": (str | None, ...)}, {"signatory": text()}, "field `signatory` changed its type from string or null to string"),
    ({"plan": (int, ...)}, {"plan": text()}, "field `plan` changed its type from integer to string"),
    ({"plan": (int, ...)}, {"plan": (list[int], ...)}, "field `plan` changed its type from integer to array"),
    ({"plan": (int | str, ...)}, {"plan": (int, ...)}, "field `plan` changed its type from integer or string to integer"),
    ({"level": word("high", "low", "none")}, {"level": word("low")}, "field `level` no longer takes `high`, `none`"),
    ({"level": (Literal["high"], ...)}, {"level": (Literal["low"], ...)}, "field `level` no longer takes `high`"),
    ({"level": text()}, {"level": word("low")}, "field `level` takes only certain words"),
    ({"on": (date, ...)}, {"on": (Instant, ...)}, "field `on` changed `format` from `date` to `date-time`"),
    ({"on": text()}, {"on": (date, ...)}, "field `on` changed `format` from nothing to `date`"),
    (
        {"no": text(pattern="^[0-9]+$")},
        {"no": text(pattern="^[0-9]{3}$")},
        "field `no` changed `pattern` from `^[0-9]+$` to `^[0-9]{3}$`",
    ),
    ({"no": text(max_length=300)}, {"no": text(max_length=100)}, "field `no` narrowed `maxLength` from 300 to 100"),
    ({"no": text()}, {"no": text(min_length=1)}, "field `no` narrowed `minLength` from nothing to 1"),
    ({"plan": (int, ...)}, {"plan": (Annotated[int, Field(ge=1)], ...)}, "field `plan` narrowed `minimum` from nothing to 1"),
    (
        {"items": (list[int], ...)},
        {"items": (Annotated[list[int], Field(min_length=1)], ...)},
        "field `items` narrowed `minItems` from nothing to 1",
    ),
    (
        {"items": within(by=within(role=word("a", "b")))},
        {"items": within(by=within(role=word("a")))},
        "field `items[].by[].role` no longer takes `b`",
    ),
    ({"items": within(by=text())}, {"items": within()}, "field `items[].by` was removed"),
    ({"due": (date | None, None)}, {"due": (str | None, "soon")}, "field `due` means `soon` and not nothing if it was not told"),
    (
        {"words": (str | None, None), **SEALED},
        {"words": sealed("child_id"), **SEALED},
        "field `words` became sealed (under `child_id`)",
    ),
    (
        {"words": sealed("child_id"), **SEALED},
        {"words": (str | None, None), **SEALED},
        "field `words` became clear (it was sealed under `child_id`)",
    ),
    (
        {"words": sealed("child_id"), **SEALED},
        {"words": sealed("other_id"), **SEALED},
        "field `words` is sealed under `other_id` and not under `child_id`",
    ),
]


@pytest.mark.parametrize(("old", "new", "what"), BREAKS, ids=[what for *_, what in BREAKS])
def test_a_break_is_named_with_its_fact_and_field_and_what_to_do_instead(old, new, what):
    do = "what was told cannot be told differently: keep it, or raise class_version and write an upcaster"
    assert [f"cases.PlanApproved v1: {what} since 0.1.0; {do}"] == told(old, new)


ALLOWED = {
    "an optional field came": ({}, {"signatory": (str | None, None)}),
    "a field with a default came": ({}, {"plan": (int, 1)}),
    "an optional field called title came": ({"no": text()}, {"no": text(), "title": (str | None, None)}),
    "a code came": ({"level": word("low")}, {"level": word("low", "high")}),
    "a list of words became any text": ({"level": word("low")}, {"level": text()}),
    "a pattern came beside the codes": (
        {"basis": word("consent")},
        {
            "basis": (
                Annotated[str, Field(json_schema_extra={"enum": ["consent"]})] | Annotated[str, Field(pattern="^consent:")],
                ...,
            )
        },
    ),
    "a field may be missing now": ({"no": text()}, {"no": (str | None, None)}),
    "a text may be longer now": ({"no": text(max_length=100)}, {"no": text(max_length=300)}),
    "a form is no longer asked for": ({"id": (UUID, ...)}, {"id": text()}),
    "a whole number may be a broken one now": ({"n": (int, ...)}, {"n": (float, ...)}),
    "an optional field came to a part of it": ({"items": within(no=text())}, {"items": within(no=text(), by=(str | None, None))}),
    "nothing changed but words for people": ({"no": text(description="one")}, {"no": text(description="another")}),
    "the order of fields changed": ({"a": text(), "b": text()}, {"b": text(), "a": text()}),
}


@pytest.mark.parametrize(("old", "new"), ALLOWED.values(), ids=ALLOWED)
def test_what_every_old_record_still_fits_may_change(old, new):
    assert [] == told(old, new)


def test_what_only_the_judge_sees_fails_too_and_says_whose_word_it_is():
    free = {"type": "object", "additionalProperties": {"type": "string"}}
    named = {**free, "properties": {"plan": {"type": "integer"}}}
    ((field, what),) = changes({"type": "object", "properties": {"a": free}}, {"type": "object", "properties": {"a": named}})
    assert ("", True) == (field, what.startswith("is refused by jsoncompat"))


# Whole contracts


def row(**cells: Any) -> dict[str, Any]:
    return {"from": date(2017, 7, 1), **cells}


CODE = row(code="phone", en="telephone", vi="điện thoại", source="practice")
RULE = {"kind": "hours", "versions": [row(limit="PT12H")], "where": [row(province="98", limit="PT6H")], "warn": "PT3H"}
DECISION = {"id": "vn@2025-10-13", "decided_on": date(2025, 10, 13), "off": [date(2026, 1, 1)]}
STANDS = Contracts(
    schemas={"cases/PlanApproved.v1": schema({"plan": (int, ...)})},
    golden={"cases/PlanApproved.v1": {"state": {"fact": {"plan": 1}}}},
    codes={"channel": {"phone": CODE}, "places": {"99801@2025-07-01": {"code": "99801", "name": "Xã Suối Mẫu"}}},
    rules={"emergency": RULE},
    calendar={"vn@2025-10-13": DECISION, "vn@culture-day": {"in_force": False, "off": [date(2026, 11, 24)]}},
    topics={"cases": "hotline.cases.events.v1"},
    promised={"cases": frozenset({"header ce_id", "meta actor"})},
)
RETOLD = (
    {
        "cases.PlanApproved v1 was removed": {"schemas": {}},
        "cases.PlanApproved v1: its golden file was changed or removed": {"golden": {"cases/PlanApproved.v1": {"state": {}}}},
        "the topic of cases was renamed": {"topics": {"cases": "hotline.cases.v2"}},
        "records of cases: `header ce_id` is no longer promised": {"promised": {"cases": frozenset({"meta actor"})}},
        "code list `channel` was removed": {"codes": {"places": STANDS.codes["places"]}},
        "code list `channel`: `phone` was removed": {"codes": {**STANDS.codes, "channel": {"telephone": CODE}}},
        "rule `emergency` was removed": {"rules": {}},
        "rule `emergency`: its kind was `hours`": {"rules": {"emergency": {**RULE, "kind": "cap_days"}}},
        "rule `emergency@2017-07-01` was edited or removed": {"rules": {"emergency": {**RULE, "versions": [row(limit="PT24H")]}}},
        "rule `emergency@2017-07-01/98` was edited or removed": {"rules": {"emergency": {**RULE, "where": []}}},
        "rule `emergency`: a version from 2016-01-01 was put before those": {
            "rules": {"emergency": {**RULE, "versions": [{"from": date(2016, 1, 1), "limit": "PT1H"}, *RULE["versions"]]}}
        },
        "calendar: decision `vn@2025-10-13` was edited or removed": {
            "calendar": {"vn@2025-10-13": {**DECISION, "working": [date(2026, 1, 10)]}}
        },
    }
    | {
        f"code list `channel`: `phone` means something else since 0.1.0, its `{key}` was": {
            "codes": {**STANDS.codes, "channel": {"phone": {**CODE, key: value}}}
        }
        for key, value in {"en": "telegraph", "vi": "điện tín", "from": date(2020, 1, 1), "parent": "letter"}.items()
    }
    | {
        "code list `places`: `99801@2025-07-01` means something else since 0.1.0, its `name` was": {
            "codes": {**STANDS.codes, "places": {"99801@2025-07-01": {"code": "99801", "name": "Xã Cầu Mẫu"}}}
        }
    }
)


@pytest.mark.parametrize(("what", "changed"), RETOLD.items(), ids=RETOLD)
def test_what_was_released_is_neither_removed_nor_renamed_nor_given_another_meaning(what, changed):
    (sentence,) = gate.findings(STANDS, replace(STANDS, **changed), SINCE)
    assert sentence.startswith(what)
    assert "0.1.0" in sentence
    assert sentence.count(": ") >= 1


def test_a_code_that_was_given_up_is_not_given_out_again():
    given_up = {**CODE, "to": date(2026, 1, 1)}
    old = replace(STANDS, codes={"channel": {"phone": given_up}})
    (sentence,) = gate.findings(old, replace(STANDS, codes={"channel": {"phone": CODE}}), SINCE)
    assert "its `to` was `2026-01-01`" in sentence


ADDED = {
    "a fact came": {"schemas": {**STANDS.schemas, "cases/PlanWithdrawn.v1": schema({"plan": (int, ...)})}},
    "a second version of a fact came beside the first": {
        "schemas": {**STANDS.schemas, "cases/PlanApproved.v2": schema({"number": text()})}
    },
    "a code came": {"codes": {**STANDS.codes, "channel": {"phone": CODE, "fax": {**CODE, "code": "fax"}}}},
    "a code was given up": {"codes": {**STANDS.codes, "channel": {"phone": {**CODE, "to": date(2026, 1, 1)}}}},
    "the source of a code was mended": {"codes": {**STANDS.codes, "channel": {"phone": {**CODE, "source": "Decree 56/2017"}}}},
    "a rule got a later version": {
        "rules": {"emergency": {**RULE, "versions": [*RULE["versions"], {"from": date(2027, 1, 1), "limit": "PT6H"}]}}
    },
    "a rule warns earlier": {"rules": {"emergency": {**RULE, "warn": "PT6H"}}},
    "the government decided again": {"calendar": {**STANDS.calendar, "vn@2026-10-13": {**DECISION, "id": "vn@2026-10-13"}}},
    "a switch of the calendar became a decision": {"calendar": {"vn@2025-10-13": DECISION, "vn@2026-11-01": DECISION}},
    "records bring one header more": {"promised": {"cases": frozenset({"header ce_id", "header x", "meta actor"})}},
}


@pytest.mark.parametrize("changed", ADDED.values(), ids=ADDED)
def test_contracts_grow(changed):
    assert [] == gate.findings(STANDS, replace(STANDS, **changed), SINCE)


# What was released


def test_todays_contracts_break_nothing_that_any_release_promised():
    assert releases.versions()
    assert [] == gate.against_every_release()


def test_the_gate_sees_every_fact_code_rule_and_decision_of_a_release():
    for version in releases.versions():
        released = releases.read(releases.RELEASED / version)
        sentences = gate.findings(released, Contracts(), version)
        codes, rules = released.codes, sum(map(len, (released.rules, released.topics)))
        assert len(sentences) >= len(released.schemas) + len(released.golden) + len(codes) + rules > 150


def test_every_release_is_compared_not_only_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr(releases, "RELEASED", tmp_path)
    monkeypatch.setattr(gate, "RELEASED", tmp_path)
    for version in ("0.9.0", "0.10.0"):
        assert releases.release(version) > 150
    first = tmp_path / "0.9.0" / "codes" / "sex.yaml"
    first.write_text(first.read_text(encoding="utf-8").replace("female", "woman"), encoding="utf-8")

    assert ["0.9.0", "0.10.0"] == releases.versions()
    assert {"0.9.0"} == {sentence.partition(" since ")[2][:5] for sentence in gate.against_every_release()}


def test_a_field_that_a_developer_removes_is_named_before_anything_is_generated(monkeypatch):
    less = {name: {**found, "properties": dict(found["properties"])} for name, found in documents().items()}
    del less["schemas/cases/PlanApproved.v1.json"]["properties"]["signatory"]
    monkeypatch.setattr(releases.schemas, "documents", lambda: less)
    assert any(
        sentence.startswith("cases.PlanApproved v1: field `signatory` was removed since 0.1.0;")
        for sentence in gate.against_every_release()
    )


def test_a_fact_that_a_developer_renames_or_removes_is_named_though_its_files_still_stand(monkeypatch):
    less = {name: found for name, found in documents().items() if name != "schemas/cases/PlanApproved.v1.json"}
    monkeypatch.setattr(releases.schemas, "documents", lambda: less)
    assert any(sentence.startswith("cases.PlanApproved v1 was removed since 0.1.0;") for sentence in gate.against_every_release())


@pytest.mark.parametrize(
    ("version", "why"), [("0.1.0", "0.1.0 is released already"), ("0.0.9", "0.1.0 is released already"), ("next", "three numbers")]
)
def test_a_release_is_made_once_and_in_order(version, why):
    with pytest.raises(ValueError, match=why):
        releases.release(version)


def test_the_command_fails_with_the_sentences_and_releases_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(releases, "RELEASED", tmp_path)
    monkeypatch.setattr(gate, "RELEASED", tmp_path)
    releases.release("0.1.0")
    (tmp_path / "0.1.0" / "schemas" / "cases" / "PlanTorn.v1.json").write_text("{}", encoding="utf-8")

    answer = CliRunner().invoke(app, ["contracts", "--release", "0.2.0"])
    assert (1, ["0.1.0"]) == (answer.exit_code, releases.versions())
    assert "cases.PlanTorn v1 was removed since 0.1.0; what was told is read for ever" in answer.output


def test_a_released_copy_holds_the_same_contracts_byte_for_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(releases, "RELEASED", tmp_path)
    releases.release("1.0.0")
    assert releases.read(CONTRACTS) == releases.read(tmp_path / "1.0.0")
    shutil.rmtree(tmp_path / "1.0.0" / "schemas")
    assert releases.read(CONTRACTS) != releases.read(tmp_path / "1.0.0")


# Upcasters


class WeighedFact(Fact):
    log: ClassVar[str] = "weighed"


class ChildWeighed(WeighedFact):
    """As told today: version 3. Version 1 told pounds as a text, version 2 grams; the words were always sealed."""

    class_version: ClassVar[int] = 3
    child_id: UUID
    grams: int
    scale: str
    words: Annotated[str | None, Personal("child_id")] = None

    @staticmethod
    def upcast_v1_v2(state):
        state["grams"] = round(float(state.pop("pounds")) * 453.6)

    @staticmethod
    def upcast_v2_v3(state):
        state["scale"] = "unknown"
        state["words"] = (state.get("words") or "").strip() or None


def weighed(version, fact, words=None):
    """A state as that version told it."""
    stream, child = uuid4(), UUID(fact["child_id"])
    place = sealing.Place(stream, 1, ChildWeighed.TOPIC)
    state = {"v": version, "meta": {}, "fact": fact}
    if words:
        state["sealed"] = {str(child): sealing.seal(golden.KEY, {"/words": words}, place, child)}
    return StoredEvent(stream, 1, ChildWeighed.TOPIC, JSONTranscoder().encode(state))


def test_the_first_version_of_a_fact_folds_through_every_upcaster_to_todays_with_and_without_its_key():
    child = uuid4()
    stored = weighed(1, {"child_id": str(child), "pounds": "40"}, words=" nhẹ cân ")
    today = ChildWeighed(child_id=child, grams=18144, scale="unknown", words="nhẹ cân")
    assert today == FactMapper(lambda _: golden.KEY).to_domain_event(stored).fact
    assert today.model_copy(update={"words": None}) == FactMapper().to_domain_event(stored).fact


def test_a_later_version_folds_through_the_upcasters_behind_it_only():
    child = uuid4()
    stored = weighed(2, {"child_id": str(child), "grams": 18000})
    assert ChildWeighed(child_id=child, grams=18000, scale="unknown") == FactMapper().to_domain_event(stored).fact


@pytest.mark.parametrize("fact", all_facts(), ids=lambda fact: fact.TOPIC)
def test_a_fact_has_an_upcaster_from_each_of_its_versions_to_the_next(fact):
    assert all(callable(getattr(fact, f"upcast_v{old}_v{old + 1}", None)) for old in range(1, fact.class_version))

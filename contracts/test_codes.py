"""Code lists: known words only when told, any word when heard, Vietnamese for every one."""

import re
from datetime import date

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from contracts import codes


class Told(BaseModel):
    channel: codes.Channel


def test_an_unknown_code_is_refused_by_pointer_and_code_without_repeating_it():
    with pytest.raises(ValidationError) as refused:
        Told.model_validate({"channel": "carrier-pigeon"})
    (error,) = refused.value.errors(include_input=False)
    assert (error["type"], error["loc"]) == ("unknown-code", ("channel",))
    assert "carrier-pigeon" not in error["msg"]


def test_an_unknown_code_is_let_through_when_it_was_heard():
    assert Told.model_validate({"channel": "carrier-pigeon"}, context={"heard": True}).channel == "carrier-pigeon"


def test_something_that_is_no_text_is_refused_even_when_heard():
    with pytest.raises(ValidationError):
        Told.model_validate({"channel": 7}, context={"heard": True})


def test_the_schema_lists_exactly_the_codes_of_the_list():
    assert {"type": "string", "enum": list(codes.codes("sex"))} == TypeAdapter(codes.Sex).json_schema()


def test_a_basis_is_an_article_or_a_consent_at_its_version():
    basis = TypeAdapter(codes.Basis)
    assert basis.validate_python("decree56.26.1") == "decree56.26.1"
    consent = "consent:0b7d4c1e-4f7e-4a35-9f0e-0f6a9f4c1a11@3"
    assert consent == basis.validate_python(consent)
    for wrong in ("consent:somebody@3", "consent:0b7d4c1e-4f7e-4a35-9f0e-0f6a9f4c1a11@0", f"{consent} "):
        with pytest.raises(ValidationError):
            basis.validate_python(wrong)


def test_an_unknown_list_is_named():
    with pytest.raises(KeyError, match="colours"):
        codes.codes("colours")


def test_a_label_is_vietnamese_unless_english_is_asked_for_and_an_unknown_code_stands_for_itself():
    assert (
        codes.label("role", "province_health"),
        codes.label("role", "province_health", "en"),
        codes.label("role", "new_body"),
    ) == ("Sở Y tế", "provincial department of health", "new_body")


@pytest.mark.parametrize("list_id", codes.lists())
def test_every_code_is_complete_and_its_parent_exists(list_id):
    entries = codes.entries(list_id)
    rows = codes.data.read("codes", f"{list_id}.yaml")
    assert len(rows) == len(entries), "a code stands twice"
    for row in rows:
        assert set(row) <= {"code", "en", "vi", "from", "to", "parent", "source"}
    for entry in entries.values():
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.]*", entry.code)
        assert all(isinstance(text, str) and text for text in (entry.en, entry.vi, entry.source))
        assert isinstance(entry.start, date)
        assert entry.parent is None or entry.parent in entries


def test_every_alias_has_its_list():
    marks = [mark for alias in vars(codes).values() for mark in getattr(alias, "__metadata__", ()) if isinstance(mark, codes.Code)]
    assert len(marks) > 30
    assert [mark.list_id for mark in marks if mark.list_id not in codes.lists()] == []


def test_the_levels_are_cao_trung_binh_thap():
    assert [codes.label("level", code) for code in codes.codes("level")] == ["Cao", "Trung bình", "Thấp"]


def test_the_fourteen_groups_of_the_children_law_are_there():
    assert codes.codes("special_group") == tuple(f"SC{number:02}" for number in range(1, 15))


def test_father_mother_and_carers_are_marked_for_article_31_1():
    entries = codes.entries("relation")

    def marked(code):
        while code is not None and code != "art_31_1":
            code = entries[code].parent
        return code == "art_31_1"

    assert {"father", "mother", "carer", "step_parent", "guardian", "art_31_1"} == {c for c in entries if marked(c)}


def test_off_and_no_are_words_in_our_data():
    read = codes.data.yaml.load("{off: no, on: yes, a: true, b: False}", Loader=codes.data._Loader)
    assert read == {"off": "no", "on": "yes", "a": True, "b": False}

"""The rows of a form are those in force on the first day of its version."""

from datetime import date

import pytest

from contracts import forms
from contracts.codes import Entry, codes

OLD, NEW = date(2017, 7, 1), date(2027, 1, 1)


def row(code, start, end=None):
    return Entry(f"form03.harm.{code}", code, code, start, end, "form03.harm", "Decree 56/2017 Form 03")


@pytest.fixture
def two_versions(monkeypatch):
    entries = [row("stays", OLD), row("goes", OLD, date(2026, 12, 31)), row("comes", NEW), row("last_day", OLD, NEW)]
    monkeypatch.setattr(forms, "entries", lambda _: {entry.code: entry for entry in entries})


@pytest.mark.usefixtures("two_versions")
def test_each_version_of_a_form_keeps_its_own_rows():
    named = {day: {code.rpartition(".")[2] for code in forms.rows(f"form03@{day}")} for day in (OLD, NEW)}
    assert {OLD: {"stays", "goes", "last_day"}, NEW: {"stays", "comes", "last_day"}} == named


@pytest.mark.usefixtures("two_versions")
def test_a_day_on_which_no_version_began_is_no_version_and_neither_is_another_form():
    assert [frozenset(), frozenset()] == [forms.rows("form03@2020-01-01"), forms.rows(f"form06@{OLD}")]


def test_forms_03_and_06_have_the_tables_of_the_decree():
    rows = {form: forms.rows(f"{form}@2017-07-01") for form in ("form03", "form06")}
    assert {"form03": (5, 5), "form06": (3, 3)} == {
        form: tuple(sum(f".{table}." in code for code in found) for table in ("harm", "capacity")) for form, found in rows.items()
    }
    assert frozenset().union(*rows.values()) == {code for code in codes("form_rows") if code.count(".") == 2}

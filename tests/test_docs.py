"""What the pages say is there is there: links, paths, quotes, commands, settings, words."""

import inspect
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from typer.main import get_command

from chassis.settings import PREFIX, Settings
from contracts import codes
from contracts.rules import LOGS
from tools.commands import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "stories").glob("*.md"))]
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    .*$", re.MULTILINE)
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
MODULES = ["kernel", "shapes", "clocks", *LOGS]
by_name = {"ids": lambda page: str(page.relative_to(ROOT))}


def text_of(page):
    """The page without its blocks of code."""
    return INDENTED.sub("", FENCED.sub("", page.read_text(encoding="utf-8")))


def in_backticks(text):
    return re.findall(r"`([^`\n]+)`", text)


def looks_like_a_path(word):
    """`chassis/log.py`, `contracts/rules/`; not a route, a pattern, or a place below `.local`."""
    is_path = re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", word) and "/" in word
    return bool(is_path) and (word.partition("/")[0] in FOLDERS or word.endswith((".py", ".yaml", ".md", ".sql", ".toml")))


def slug(heading):
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, **by_name)
def test_every_relative_link_leads_to_a_file_and_a_heading_of_it(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.is_relative_to(ROOT), target
        assert file.exists(), target
        if anchor:
            assert anchor in {
                slug(line.lstrip("#")) for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#")
            }


@pytest.mark.parametrize("page", PAGES, **by_name)
def test_every_path_in_backticks_exists(page):
    assert [] == [word for word in in_backticks(text_of(page)) if looks_like_a_path(word) and not (ROOT / word).exists()]


@pytest.mark.parametrize("page", PAGES, **by_name)
def test_every_make_target_and_every_hotline_command_that_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    made = re.findall(r"^    make ([a-z]+)|`make ([a-z]+)", text, re.MULTILINE)
    assert set() == {one or other for one, other in made} - set(targets)
    commands = re.findall(r"(?:\.venv/bin/|`)hotline ([a-z]+)", text)
    assert set() == set(commands) - set(get_command(app).commands)


def test_the_readme_begins_with_the_two_commands():
    block = INDENTED.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert ["make demo", "make test"] == [line.split("#")[0].strip() for line in block[:2]]


def test_each_of_the_ten_concepts_has_its_file_and_quotes_it_word_for_word():
    page = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", page, flags=re.MULTILINE)[1:11]
    assert list(map(str, range(1, 11))) == [section.partition(" ")[0] for section in sections]
    for section in sections:
        before, quote = re.fullmatch(r"(.*?)^```\w+\n(.*?)^```$.*", section, re.MULTILINE | re.DOTALL).groups()
        files = [ROOT / word for word in in_backticks(before.rstrip().rpartition("\n")[2]) if looks_like_a_path(word)]
        assert any(quote in file.read_text(encoding="utf-8") for file in files if file.is_file()), section.partition("\n")[0]


FOLLOWED = """
from datetime import date
from typing import Annotated
from contracts import cases, codes
from contracts.codes import Code, Level
from contracts.shapes import Addressee
from services.cases import test_closing
from services.cases.domain import closing
from tests.test_docs import recipe

known = codes.entries
codes.entries = lambda name: {"visit": None} if name == "follow_up_kind" else known(name)
names = {**vars(cases), **vars(test_closing), **vars(closing), **globals(), "__name__": "recipe"}
page = "\\n\\n".join(code for file, code in recipe() if code.startswith(("class", "@decide", "def test")))
exec(page.replace("FollowUp", "Example"), names)  # whoever has followed the recipe has a fact of that name
next(value for name, value in names.items() if name.startswith("test_a_follow_up"))()
"""


def recipe():
    """The blocks of the recipe, each with the file that is named above it."""
    page = (ROOT / "docs" / "how-to-add-a-command-and-an-event.md").read_text(encoding="utf-8")
    file, found = "", []
    for named, code in re.findall(r"(?:^`([\w/.]+)`\n\n)?^```(?:python|yaml)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        file = named or file
        found.append((file, code))
    return found


def test_the_recipe_for_a_command_and_an_event_works_as_it_stands_on_the_page():
    """In a process of its own: what it registers must not stay."""
    assert 30 >= sum(bool(line.strip()) for file, code in recipe() if "histories" not in file for line in code.splitlines())
    done = subprocess.run([sys.executable, "-c", FOLLOWED], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr


def test_the_page_on_running_names_every_setting_and_no_other():
    page = (ROOT / "docs" / "how-to-run.md").read_text(encoding="utf-8")
    named = set(re.findall(rf"`({PREFIX}[A-Z_]+)`", page))
    assert named == {PREFIX + name.upper() for name in Settings.model_fields}


def test_the_code_lists_and_the_names_in_the_glossary_are_those_of_the_contracts():
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert set() == set(re.findall(r"list `(\w+)`", page)) - {*codes.lists(), "places"}
    shapes = {name for module in MODULES for name, _ in inspect.getmembers(import_module(f"contracts.{module}"), inspect.isclass)}
    assert set() == {word for word in in_backticks(page) if re.fullmatch(r"([A-Z][a-z]+){2,}", word)} - shapes


def test_every_decision_stands_in_the_list_of_decisions():
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert sorted(path.name for path in folder.glob("0*.md")) == listed

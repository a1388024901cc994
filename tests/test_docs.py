"""What the pages say is there is there: links, paths, quotes, commands, settings, words."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest
from typer.main import get_command

from chassis.settings import PREFIX, Settings
from contracts import codes
from contracts.rules import LOGS
from tools.hotline import app

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

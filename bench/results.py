"""What was found, kept: `.local/bench.json`, and the tables that `docs/benchmarks.md` quotes."""

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.contest import Report, Target, shown

ROOT = Path(__file__).parent.parent
FILE, DOCS = ROOT / ".local" / "bench.json", ROOT / "docs" / "benchmarks.md"
SHORT_FILE = FILE.with_name("bench-short.json")
BEGIN, END = "<!-- bench: begin, written by `python -m bench --write-docs` -->", "<!-- bench: end -->"


def keep(about: dict[str, Any], reports: Sequence[Report], order: Sequence[str]) -> None:
    """Write what this run found. What an earlier run of the same length found of other benches stays, with its own `about`."""
    file = SHORT_FILE if about["short"] else FILE
    new = {report.name: report.as_json() | {"about_run": about | {"at": time.strftime("%Y-%m-%d %H:%M")}} for report in reports}
    merged = {found["name"]: found for found in kept(file)} | new
    file.parent.mkdir(exist_ok=True)
    text = json.dumps([merged[name] for name in order if name in merged], indent=2, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")


def kept(file: Path = FILE) -> list[dict[str, Any]]:
    """What the file holds; nothing, if it is of another time."""
    found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    return found if isinstance(found, list) else []


def write_docs() -> None:
    """Put the tables into the documentation. Raises SystemExit where there is nothing fit to be quoted."""
    found = kept()
    if not found:
        raise SystemExit("nothing was measured yet, but perhaps in short, which proves only that everything runs: make bench")
    text = DOCS.read_text(encoding="utf-8")
    block = f"{BEGIN}\n\n{as_markdown(found)}\n\n{END}"
    DOCS.write_text(re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: block, text, flags=re.DOTALL), encoding="utf-8")


def as_markdown(found: Sequence[dict[str, Any]]) -> str:
    """The machine, every target, then bench by bench."""
    about = found[-1]["about_run"]
    parts = ["\n".join(["| | |", "| --- | --- |", *(f"| {name.replace('_', ' ')} | {value} |" for name, value in about.items())])]
    targets = [Target(**_without(each, "held")) for report in found for each in report["targets"]]
    lines = ["| target | reached | wanted | |", "| --- | ---: | ---: | --- |"]
    for each in targets:
        wanted = f"{'≤' if each.at_most else '≥'} {shown(each.bound)} {each.unit}"
        lines.append(f"| {each.about} | {shown(each.value)} {each.unit} | {wanted} | {'held' if each.held else '**missed**'} |")
    parts.append("\n".join(lines))
    for each in found:
        report = Report(**_without(each, "targets", "about_run"))
        parts.append(report.as_markdown())
        if (own := each["about_run"])["at"] != about["at"]:
            parts.append(f"Measured apart: {own['at']}, revision {own['revision']}, {own['cores_at_work_before']} at work before.")
    return "\n\n".join(parts)


def _without(found: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in names}

"""`hotline replay`, `diff`, `timeline` and `reads`: what an auditor asks of the logs themselves, with no view in between.

All end with 0 if all is well, 1 if something of the case cannot be read, 2 if it cannot be asked. Only clear parts are shown: who
needs the rest reads it over HTTP, where that is recorded.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.local.stack import HOME
from tools.recovery.running import Running
from tools.recovery_commands import AsJson, Home, asking

if TYPE_CHECKING:
    from tools.audit.questions import Question

app = typer.Typer()
INSTANT = "a time with its offset, 2026-11-23T03:00:00Z, or positions, cases:18421,intake:812"
Case = Annotated[str, typer.Argument(help="its id, or its reference: C-HZN-6")]
AsOf = Annotated[str | None, typer.Option("--as-of", help=f"{INSTANT}; without it, now")]
To = Annotated[str | None, typer.Option("--to", help=f"{INSTANT}; without it, now")]


class Order(StrEnum):
    """Of a timeline."""

    RECORDED = "recorded"
    OCCURRED = "occurred"


# What is behind these commands takes a second to import; `hotline down` should not wait for it: hence the imports in them.


@app.command("replay")
def replay_command(case: Case, as_of: AsOf = None, as_json: AsJson = False, home: Home = HOME) -> None:
    """The file of a case as it stood at an instant, folded from the logs."""
    from tools.audit.questions import file_of  # noqa: PLC0415

    _tell(home, as_json, file_of(case, as_of))


@app.command("timeline")
def timeline_command(
    case: Case,
    by: Annotated[Order, typer.Option(help="when it was recorded, or when it is said to have happened")] = Order.RECORDED,
    as_of: AsOf = None,
    as_json: AsJson = False,
    home: Home = HOME,
) -> None:
    """Every fact of a case and of what belongs to it; beside a decision what was on the screen, and the rules that applied."""
    from tools.audit.questions import timeline_of  # noqa: PLC0415

    _tell(home, as_json, timeline_of(case, by.value, as_of))


@app.command("diff")
def diff_command(
    case: Case,
    since: Annotated[str, typer.Option("--from", help=INSTANT)],
    until: To = None,
    as_json: AsJson = False,
    home: Home = HOME,
) -> None:
    """What changed in a case after one instant and up to another: field by field, and fact by fact."""
    from tools.audit.questions import changes_of  # noqa: PLC0415

    _tell(home, as_json, changes_of(case, since, until))


@app.command("reads")
def reads_command(
    case: Case,
    since: Annotated[str | None, typer.Option("--from", help=f"{INSTANT}; without it, the beginning")] = None,
    until: To = None,
    as_json: AsJson = False,
    home: Home = HOME,
) -> None:
    """Who has read anything of a case, and who was refused; or that nobody was, and over which entries of the log that is so."""
    from tools.audit.questions import reads_of  # noqa: PLC0415

    _tell(home, as_json, reads_of(case, since, until))


def _tell(home: Path, as_json: bool, question: "Question") -> None:
    """Fold it from the logs, and print it."""
    from tools.audit.pages import show  # noqa: PLC0415
    from tools.audit.questions import answered  # noqa: PLC0415

    with asking():
        answer, instant, page = answered(Running.of(home), question)
    if as_json:
        typer.echo(json.dumps({"instant": instant, "answer": answer.model_dump(mode="json")}, ensure_ascii=False, indent=1))
    else:
        show(page)
    raise typer.Exit(1 if answer.incomplete else 0)

"""`hotline verify`, `export`, `bundle`: the log as evidence, for those who do not trust the line."""

import json
import re
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from chassis import failpoints
from chassis.ledger.errors import LedgerError
from contracts.codes import codes
from deploy.local.stack import HOME
from tools.ledger import verify as verifier
from tools.ledger.findings import Finding, Line, Report, Step
from tools.ledger.verify import Asked, WrongCallError
from tools.ledger.writing import CannotWriteError

if TYPE_CHECKING:
    from tools.ledger.export import Archive
    from tools.recovery.running import Running

app = typer.Typer()
AUDITOR = "KTV-01"
DAILY = "daily"
EARLIER = f"or `{DAILY}` for the last of each day: earlier checkpoints that are shown too; may be repeated"
_AGE = re.compile(r"([0-9]{1,6})([smhd])")
_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@app.command("verify")
def verify_command(
    path: Annotated[Path, typer.Argument(help="a bundle (folder or plain tar), an exported log, a receipt or a checkpoint")],
    policy: Annotated[
        list[Path], typer.Option("--policy", help="your own policy, not the one inside the bundle; a file or folder of each epoch")
    ],
    *,
    held: Annotated[
        list[Path] | None, typer.Option("--held", help="a checkpoint or receipt that you kept; may be repeated")
    ] = None,
    case: Annotated[str, typer.Option("--case", help="the case that you asked for")] = "",
    max_age: Annotated[str, typer.Option("--max-age", help="how old the newest entry may be: 30m, 36h, 7d")] = "",
    state: Annotated[Path | None, typer.Option("--state", help="with a receipt: the bytes that its entry stands for")] = None,
    most: Annotated[int, typer.Option("--most", help="entries of a log, and files, that are looked at")] = Asked.most,
    as_json: Annotated[bool, typer.Option("--json", help="print a JSON object a line")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress, no times")] = False,
) -> None:
    """Verify evidence offline. Ends with 0 if it is clean, 1 if something is wrong, 2 if it cannot be asked."""
    began = time.perf_counter()
    try:
        asked = Asked(verifier.policy_of(*policy), case=_id(case), max_age=_age(max_age), most=most)
        report = _held(held or [], asked) or verifier.verify(path, asked, state, _Progress(quiet=quiet))
    except WrongCallError as why:
        typer.echo(str(why), err=True)
        raise typer.Exit(2) from None
    for line in report.lines:
        typer.echo(json.dumps(line.as_data()) if as_json else str(line))
    if not quiet:
        for remark in report.remarks:
            typer.echo(f"note: {remark}", err=True)
        _tell_time(report, time.perf_counter() - began)
    raise typer.Exit(0 if report.clean else 1)


@app.command("export")
def export_command(
    out: Annotated[Path, typer.Argument(help="a new folder")],
    log: Annotated[str, typer.Option("--log", help="which log of the running stack")],
    *,
    checkpoint: Annotated[list[str] | None, typer.Option("--checkpoint", help=f"its size, {EARLIER}")] = None,
    home: Annotated[Path, typer.Option("--home", help="the folder of the stack", show_default=False)] = HOME,
) -> None:
    """Write a log up to its newest checkpoint as a folder for any tool that reads tiled logs. Ends with 2 if it cannot."""
    from tools.ledger import export  # noqa: PLC0415  # the database's client takes a moment; verifying needs none
    from tools.recovery.parked import services_named  # noqa: PLC0415
    from tools.recovery.running import CannotAsk, Running  # noqa: PLC0415
    from tools.recovery_commands import asking  # noqa: PLC0415

    progress, archive = _Progress(quiet=False), _archive(checkpoint or [])
    with asking():
        (name,) = services_named(log)
        stack = _with_failpoints(Running.of(home), home)
        try:
            with stack.connect(name) as db:
                head = export.export_database(db, out, lambda done, total: progress(name, done, total), archive)
        except (CannotWriteError, OSError) as why:
            raise CannotAsk(str(why)) from None
    typer.echo(f"{head.origin}: entries 1 to {head.size} lie in {out}")


@app.command("bundle")
def bundle_command(
    out: Annotated[Path, typer.Argument(help="a new folder, or with --tar a new file")],
    case: Annotated[UUID | None, typer.Option("--case", help="the case to show, by its id")] = None,
    logs: Annotated[str, typer.Option("--logs", help="logs to show whole, every state of them: cases,intake")] = "",
    *,
    request: Annotated[UUID | None, typer.Option("--request", help="go on with a request that is on record, by its id")] = None,
    tar: Annotated[bool, typer.Option("--tar", help="a plain tar instead of a folder")] = False,
    instant: Annotated[str, typer.Option("--instant", help="not beyond these positions: cases:18421,intake:812")] = "",
    checkpoint: Annotated[list[str] | None, typer.Option("--checkpoint", help=f"its log and size, cases:18400, {EARLIER}")] = None,
    opened: Annotated[bool, typer.Option("--opened", help="with sealed parts in clear, once two others have agreed")] = False,
    to: Annotated[str, typer.Option("--to", help="the auditor's public key of age, to which sealed parts are encrypted")] = "",
    as_: Annotated[str, typer.Option("--as", help="the auditor who asks")] = AUDITOR,
    reason: Annotated[str, typer.Option("--reason", help=f"a code: {', '.join(codes('read_reason'))}")] = "supervision",
    home: Annotated[Path, typer.Option("--home", help="the folder of the stack", show_default=False)] = HOME,
) -> None:
    """Ask the running stack for a bundle, and write it. The request and the hand-over stand on record. Ends with 2 if it cannot."""
    from tools.ledger.hand_over import Desk, Wanted  # noqa: PLC0415  # as above
    from tools.recovery.running import Running  # noqa: PLC0415
    from tools.recovery_commands import asking  # noqa: PLC0415

    if request and (case or logs or instant or opened):
        raise typer.BadParameter("what is asked for stands in the request")
    archives = _archives(checkpoint or [])
    with asking():
        desk = Desk(_with_failpoints(Running.of(home), home), as_, tar, _Progress(quiet=False), archives, to)
        desk.refuse_taken(out)
        wanted = Wanted(as_, reason, case, tuple(filter(None, logs.split(","))), _sizes(instant), opened)
        asked = str(request) if request else desk.ask(wanted)
        typer.echo(f"request {asked}")
        handed = desk.hand_over(asked, out)
    if handed.instant:
        typer.echo(f"instant {handed.instant}\n{handed.states} states")
    typer.echo(f"sha256 of the {'encrypted file' if to else 'tar'} {handed.digest}")


def _with_failpoints(stack: "Running", home: Path) -> "Running":
    """The local stack is one for demonstrations and tests: its tester can have this command die, too (`chassis.failpoints`)."""
    failpoints.use(home / "failpoints" / "hotline")
    return stack


def _archive(asked: list[str]) -> "Archive":
    from tools.ledger.export import Archive  # noqa: PLC0415  # as above

    sizes = [size for size in asked if size != DAILY]
    if not all(re.fullmatch("[1-9][0-9]{0,17}", size) for size in sizes):
        raise typer.BadParameter(f"a checkpoint is named by its size, or {DAILY}")
    return Archive([int(size) for size in sizes], daily=len(sizes) < len(asked))


def _archives(asked: list[str]) -> dict[str, "Archive"]:
    """By log; `daily` is asked of all of them."""
    for log, _, size in (each.partition(":") for each in asked if each != DAILY):
        if log not in codes("log") or not size:
            raise typer.BadParameter(f"a checkpoint is named by its log and size, cases:18400, or {DAILY}")
    named = {log: [each.partition(":")[2] for each in asked if each.startswith(f"{log}:")] for log in codes("log")}
    return {log: _archive([*sizes, *(each for each in asked if each == DAILY)]) for log, sizes in named.items()}


def _sizes(text: str) -> dict[str, int]:
    parts = [part.partition(":") for part in filter(None, text.split(","))]
    if not all(log in codes("log") and re.fullmatch("[0-9]{1,18}", size) for log, _, size in parts):
        raise typer.BadParameter("an instant is positions of logs: cases:18421,intake:812")
    return {log: int(size) for log, _, size in parts}


def _held(paths: list[Path], asked: Asked) -> Report | None:
    """Reads the heads that the reader holds; a report if one of them is not genuine."""
    for path in paths:
        try:
            asked.held.append(verifier.held_of(path, asked.policy))
        except LedgerError as problem:
            reason = f"held head {len(asked.held) + 1}: {problem.reason}"
            return Report([Line("", Finding(Step.HELD, 0, problem.code, reason))])
    return None


def _age(text: str) -> timedelta | None:
    if not text:
        return None
    if not (found := _AGE.fullmatch(text)):
        raise WrongCallError("an age is a number and s, m, h or d: 36h")
    return timedelta(seconds=int(found[1]) * _UNIT[found[2]])


def _id(text: str) -> str:
    try:
        return str(UUID(text)) if text else ""
    except ValueError:
        raise WrongCallError("the case is named by its id, a UUID") from None


def _tell_time(report: Report, seconds: float) -> None:
    plain = verifier.plain_hashing(report.read)
    ratio = f", {seconds / plain:.0f} times plain SHA-256 of as many bytes ({plain:.3f} s)" if report.read > 1 << 20 else ""
    typer.echo(f"time {seconds:.2f} s for {report.read:,} bytes{ratio}", err=True)


class _Progress:
    """A line on standard error once a second, from the second second on."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet, self._last = quiet, time.monotonic()

    def __call__(self, what: str, count: int, total: int) -> None:
        if not self._quiet and time.monotonic() - self._last > 1:
            self._last = time.monotonic()
            print(f"{what}: {count:,} of {total:,}", file=sys.stderr, flush=True)

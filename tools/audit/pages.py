"""What an auditor asked, for a terminal: tables, clear parts only. Times are those of Việt Nam, to the second."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from contracts.calendar import ZONE
from services.projections.views.case_file import CaseFile
from services.projections.views.diff import Diff
from services.projections.views.hand_offs import HandOffFile
from services.projections.views.read_log import Reads
from services.projections.views.shown import ClockShown, Told
from services.projections.views.timeline import Entry, Ruled, Screen, Timeline

WIDE, LONGEST = 200, 60  # columns where nobody looks at a terminal; letters of one value
FORMAT = "%Y-%m-%d %H:%M:%S"


def show(*parts: RenderableType) -> None:
    """Print them, as wide as the terminal is."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    console.print(Group(*parts))


def replayed(file: CaseFile, instant: str) -> Group:
    """The file of a case at an instant."""
    who = f"{file.age_band.vi}  nguy cơ {file.risk.vi}{'  KHẨN CẤP' if file.emergency else ''}"
    head = [
        f"{file.reference}  {file.label.vi} ({file.label.code})  version {file.version}",
        f"{who}  lead {file.lead.vi} ({file.lead.code})  owner {file.owner or '-'}",
        f"received {at(file.received_at)}  opened {at(file.opened_at)}  record {file.record.reference}",
    ]
    head += [f"{track.vi}: {track.state}" for track in file.tracks]
    return Group(
        Text("\n".join([*head, f"as of {instant}", ""])),
        table("clocks", ("clock", "rule", "law", "counted from", "due", "state"), map(_clock, file.clocks)),
        table(
            "hand-offs",
            ("", "what", "to", "state", "sent", "delivered", "taken over", "silent since"),
            map(_hand_off, file.hand_offs),
        ),
        table(
            "plans",
            ("plan", "digest", "by", "submitted", "review on", "approved", "seen"),
            (
                (
                    f"{plan.plan}{'' if plan.counts else ' (superseded)'}",
                    plan.digest[:16],
                    plan.author,
                    at(plan.submitted_at),
                    str(plan.review_on),
                    f"{plan.approval.decision_no}, {_who(plan.approval.approved)}" if plan.approval else "-",
                    _seen(plan.approval.seen.version, plan.approval.seen.plan) if plan.approval and plan.approval.seen else "-",
                )
                for plan in file.plans
            ),
        ),
        Text(f"closed {at(file.closure.recorded_at)} by {_who(file.closure)}" if file.closure else "not closed"),
        *_incomplete(file.incomplete),
    )


def _clock(clock: ClockShown) -> tuple[str, ...]:
    state = f"{clock.state}{' late' if clock.late else ''}{', breached' if clock.breached else ''}"
    rule = f"{clock.rule}{f' · {clock.calendar}' if clock.calendar else ''}"
    return clock.clock, rule, clock.law or "internal", at(clock.counted_from), at(clock.due_at), state


def _hand_off(each: HandOffFile) -> tuple[str, ...]:
    to = f"{each.addressee.role.vi} {each.addressee.place.vi}"
    taken = at(each.acknowledged.occurred_at) if each.acknowledged else "-"
    silent = at(each.silence.since) if each.silence else "-"
    return each.reference, each.kind.vi, to, each.label.vi, at(each.sent_at), at(each.delivered_at), taken, silent


def told_in_time(timeline: Timeline, instant: str) -> Group:
    """Every fact in its order; beside a decision what was on the screen, and the rules that applied."""
    return Group(
        Text(f"{timeline.id}  by {timeline.by} time, as of {instant}\n"),
        table(
            "",
            ("occurred", "recorded", "of", "fact", "who", "on the screen", "rules"),
            (
                (
                    at(told.occurred_at),
                    at(told.recorded_at),
                    entry.of,
                    _fact(told),
                    _who(told),
                    _screen(entry.screen),
                    _rules(entry),
                )
                for entry in timeline.entries
                for told in [entry.told]
            ),
        ),
        *_incomplete(timeline.incomplete),
    )


def compared(diff: Diff, _: str) -> Group:
    """What changed, field by field and fact by fact."""
    return Group(
        Text(f"{diff.id}\nafter {diff.since}\nupto  {diff.until}\n"),
        table(
            "fields",
            ("field", "before", "after", "by"),
            ((each.pointer or "/", short(each.before), short(each.after), _by(each.by)) for each in diff.changes),
        ),
        table(
            "facts",
            ("recorded", "of", "fact", "who", "on the screen", "rules"),
            (
                (at(told.recorded_at), entry.of, _fact(told), _who(told), _screen(entry.screen), _rules(entry))
                for entry in diff.facts
                for told in [entry.told]
            ),
        ),
        *_incomplete(diff.incomplete),
    )


def looked_at(reads: Reads, _: str) -> Group:
    """Who read, who was refused, and over which part of the log that is everything."""
    stretch = reads.stretch
    where = f"{stretch.log} {stretch.after + 1}..{stretch.upto}"
    files = f"its {len(stretch.streams)} streams"
    said = {
        True: f"Nobody opened this case: no entry of {where} tells of a read on {files}.",
        False: f"These are all reads on {files} that {where} tell of.",
        None: "Whether anybody else opened this case cannot be said: something of it cannot be read.",
    }[reads.nobody]
    return Group(
        Text(f"{reads.id}\nafter {stretch.since or 'the beginning'}\nupto  {stretch.until}\n"),
        table(
            "reads",
            ("", "at", "who", "what", "view", "purpose", "shown"),
            (
                (
                    f"{stretch.log}:{read.position}",
                    at(read.at),
                    f"{read.actor} ({read.capacity})",
                    read.kind,
                    read.view.code,
                    f"{read.purpose.code}{f', {read.reason.code}' if read.reason else ''}",
                    read.shown,
                )
                for read in reads.reads
            ),
        ),
        table(
            "refusals",
            ("", "at", "who", "route", "answer"),
            (
                (f"{stretch.log}:{each.position}", at(each.at), f"{each.actor} ({each.capacity})", each.route, each.code)
                for each in reads.refusals
            ),
        ),
        Text(said),
        *_incomplete(reads.incomplete),
    )


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> RenderableType:
    """Nothing but its title where there are no rows."""
    made = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*map(Text, row))
    return made if made.row_count else Text(f"no {title}")


def at(moment: datetime | None) -> str:
    return moment.astimezone(ZONE).strftime(FORMAT) if moment else "-"


def short(value: Any) -> str:
    """A value in few letters."""
    if isinstance(value, dict):
        value = value.get("code") or value.get("reference") or value.get("type") or f"{{{len(value)} fields}}"
    text = "-" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _by(facts: list[str] | None) -> str:
    return "ask of a shorter stretch" if facts is None else ", ".join(facts)


def _fact(told: Told) -> str:
    return f"{told.log}:{told.position} {told.type.partition('.')[2]}"


def _who(told: Told) -> str:
    return f"{told.actor} ({told.capacity})"


def _screen(screen: Screen | None) -> str:
    if screen is None:
        return ""
    status = f" {screen.label.code}" if screen.label else ""
    return _seen(screen.version, screen.plan) + status + (f", read {screen.looked.read}" if screen.looked else "")


def _seen(version: int, plan: int | None) -> str:
    return f"version {version}{f', plan {plan}' if plan else ''}"


def _rules(entry: Entry) -> str:
    return ", ".join(map(_rule, entry.rules))


def _rule(rule: Ruled) -> str:
    return f"{rule.rule}{f' · {rule.calendar}' if rule.calendar else ''}, due {at(rule.due_at)}"


def _incomplete(incomplete: bool) -> list[Text]:
    return [Text("Something of this case cannot be read by this build: what is shown is incomplete.")] if incomplete else []

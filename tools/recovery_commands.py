"""`hotline parked`, `republish` and `doctor`: what operators ask and mend on the running stack.

All end with 0 if all is well, 1 if something is wrong, 2 if it cannot be asked.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from contracts.codes import codes
from deploy.local.stack import HOME
from tools.recovery import parked
from tools.recovery.running import GONE, CannotAsk, Running

app = typer.Typer()
parked_app = typer.Typer(no_args_is_help=True, help="What could not be digested: list, show, retry, discard.")
app.add_typer(parked_app, name="parked")

Home = Annotated[Path, typer.Option("--home", help="the folder of the stack", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON, and nothing else")]
Service = Annotated[str, typer.Argument(help="who parked it")]
Source = Annotated[str, typer.Argument(help="the log it stands in")]
Position = Annotated[int, typer.Argument(help="its position there")]
Reason = Annotated[str, typer.Option("--reason", help=f"a code: {', '.join(codes('parked_reason'))}")]


@contextmanager
def asking() -> Iterator[None]:
    """What cannot be asked is said in a sentence, and ends with 2."""
    try:
        yield
    except (CannotAsk, *GONE) as problem:
        typer.echo(_sentence(problem), err=True)
        raise typer.Exit(2) from None


def _sentence(problem: Exception) -> str:
    match problem:
        case CannotAsk():
            return str(problem)
        case psycopg.Error() if not isinstance(problem, psycopg.OperationalError):
            return f"PostgreSQL refuses what was asked ({type(problem).__name__}): are table and right there? hotline doctor"
        case _:
            return f"a part does not answer ({type(problem).__name__}): hotline doctor says which"


@parked_app.command("list")
def list_command(
    service: Annotated[str | None, typer.Option("--service", help="of one service only")] = None,
    as_json: AsJson = False,
    home: Home = HOME,
) -> None:
    """What the services parked, with the reason. Ends with 1 if something waits, 2 if a service does not answer."""
    with asking():
        items, silent = parked.listed(Running.of(home), parked.services_named(service))
    if items or as_json or not silent:
        nothing = "nothing is parked"
        typer.echo(json.dumps(items, ensure_ascii=False, indent=1) if as_json else parked.table(items) if items else nothing)
    for why in silent:
        typer.echo(why, err=True)
    raise typer.Exit(2 if silent else 1 if any(not item["discarded_at"] for item in items) else 0)


@parked_app.command("show")
def show_command(service: Service, source: Source, position: Position, as_json: AsJson = False, home: Home = HOME) -> None:
    """One parked fact: headers, what it says in clear, the reason, and who waits behind it."""
    with asking():
        item = parked.shown(Running.of(home), _which(service, source, position))
    typer.echo(json.dumps(item, ensure_ascii=False, indent=1) if as_json else parked.page(item))


@parked_app.command("retry")
def retry_command(service: Service, source: Source, position: Position, reason: Reason, home: Home = HOME) -> None:
    """Digest it again, and then those that wait behind it. Ends with 1 if it fails again."""
    _decide("retries", (service, source, position), reason, home)


@parked_app.command("discard")
def discard_command(service: Service, source: Source, position: Position, reason: Reason, home: Home = HOME) -> None:
    """Give up on it; its stream goes on without it, and the decision stays on record."""
    _decide("discards", (service, source, position), reason, home)


def _decide(noun: str, which: tuple[str, str, int], reason: str, home: Path) -> None:
    with asking():
        if reason not in codes("parked_reason"):
            raise CannotAsk(f"the reason is a code: {', '.join(codes('parked_reason'))}")
        done = parked.decide(Running.of(home), _which(*which), noun, reason, typer.echo)
    raise typer.Exit(0 if done else 1)


def _which(service: str, source: str, position: int) -> parked.Which:
    (name,), (log,) = parked.services_named(service), parked.services_named(source)
    return parked.Which(name, log, position)


@app.command("republish")
def republish_command(log: Annotated[str, typer.Argument(help="whose topic")], home: Home = HOME) -> None:
    """Delete the records of a log's topic and let the relay tell it anew from position 1. Refuses if that would lose anything."""
    from tools.recovery.topics import republish  # noqa: PLC0415  # the broker's client takes a moment; `hotline down` should not

    with asking():
        (name,) = parked.services_named(log)
        told = asyncio.run(republish(Running.of(home), name, typer.echo))
    typer.echo(f"the topic of {name} tells its log again, from 1 to {told}")


@app.command("recover")
def recover_command(log: Annotated[str, typer.Argument(help="whose log")], home: Home = HOME) -> None:
    """Bring back from its topic what a restored log lacks. Its API and worker must be down, PostgreSQL and Kafka up.

    Ends with 1 and changes nothing if log and topic tell different things.
    """
    from tools.recovery.recover import Forked, recover  # noqa: PLC0415  # the broker's client takes a moment

    with asking():
        (name,) = parked.services_named(log)
        try:
            found = recover(Running.of(home), name, typer.echo)
        except Forked as why:
            typer.echo(f"{why}. Nothing was changed: keep both, see docs/runbooks/log-closed.md", err=True)
            raise typer.Exit(1) from None
    done = f"{found.missing} entries were brought back" if found.missing else "nothing was missing"
    typer.echo(f"{done}; the log of {name} is open: start its worker, then its API")


@app.command("doctor")
def doctor_command(
    deep: Annotated[bool, typer.Option("--deep", help="read every topic beside its log, byte for byte")] = False,
    patience: Annotated[float, typer.Option(help="seconds that whoever lags is given")] = 10,
    as_json: AsJson = False,
    home: Home = HOME,
) -> None:
    """Look at every part and every place; say what is wrong and what to do. Ends with 1 if something is wrong."""
    from tools.recovery.doctor import examine  # noqa: PLC0415  # knows every service, which takes seconds to import

    with asking():
        report = examine(Running.of(home), deep, patience)
    typer.echo(json.dumps(report.as_data(), ensure_ascii=False, indent=1) if as_json else report.page())
    raise typer.Exit(1 if report.findings else 0)

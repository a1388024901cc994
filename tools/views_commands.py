"""`hotline views`: which builds of the views there are, and rebuilding them beside the live one.

Where `H111_DATABASE` is set, the variables of the projections worker say where; else the local stack that runs does.
"""

import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, LiteralString

import typer
from psycopg import AsyncConnection, errors, sql
from psycopg_pool import AsyncConnectionPool

from chassis import failpoints
from chassis.log import Log
from chassis.loop import collect_seldom, on_its_loop
from chassis.settings import settings_from_environment
from chassis.transient import TRANSIENT
from chassis.view import Vector
from chassis.view_builds import LOCKS, BuildGoneError
from chassis.view_rebuild import ONE_REBUILDER, BuildsDifferError, RebuildRunsError
from deploy.local.stack import read_state
from services.projections.swaps import rebuild_of, view_of

app = typer.Typer(no_args_is_help=True, help="Builds of the views: list them, rebuild beside the live one, swap.")
OPTIONS = "-c lock_timeout=10s -c statement_timeout=15min -c timezone=UTC"
NOT_THIS_ROLE = "this role may not do that: set H111_DATABASE to that of the projections worker"
BUILDS: LiteralString = """
    SELECT b.number, b.number = l.build AS live, b.swapped_at, b.instant, b.digest, b.accepted, b.began_at,
        to_regnamespace('build_' || b.number) IS NOT NULL AS kept, b.told_at IS NOT NULL AS told
    FROM build b, live l ORDER BY b.number"""


@dataclass(frozen=True)
class Where:
    """The database of projections, as its worker, and the broker."""

    database: str
    kafka: str
    failpoints: Path | None


def where() -> Where:
    """Exits with a sentence where neither variables nor a running stack say so."""
    if "H111_DATABASE" in os.environ:
        given = settings_from_environment()
        return Where(given.database.get_secret_value(), given.kafka, given.failpoints)
    if (state := read_state()) is None:
        sys.exit("no local stack is running (make up), and H111_DATABASE is not set")
    home = Path(state["postgres"])
    password = json.loads((home / "passwords.json").read_text())["projections_worker"]
    port = json.loads((home / "ports.json").read_text())["postgres"]
    database = f"postgresql://projections_worker:{password}@127.0.0.1:{port}/projections"
    return Where(database, state["kafka"], home.parent / "failpoints" / "projections-rebuild")


def run(work: Callable[[AsyncConnection[Any]], Awaitable[None]]) -> None:
    """Do this over one connection."""

    async def connected() -> None:
        async with await AsyncConnection.connect(where().database, autocommit=True, options=OPTIONS) as db:
            await see_that_views_are_here(db)
            await work(db)

    try:
        on_its_loop(connected())
    except (errors.ObjectInUse, errors.LockNotAvailable) as problem:
        sys.exit(str(problem.diag.message_primary))
    except errors.InsufficientPrivilege:
        sys.exit(NOT_THIS_ROLE)
    except TRANSIENT as problem:
        sys.exit(f"the database does not answer ({type(problem).__name__}); nothing was changed")


async def see_that_views_are_here(db: AsyncConnection[Any]) -> None:
    """Exits with a sentence where this is the database of another service."""
    if await rows(db, "SELECT WHERE to_regclass('build') IS NULL OR to_regclass('live') IS NULL"):
        sys.exit("this is not the database of projections, it has no views: set H111_DATABASE to that of the projections worker")


async def rows(db: AsyncConnection[Any], query: LiteralString | sql.Composed) -> list[tuple[Any, ...]]:
    return await (await db.execute(query)).fetchall()


@app.command("list")
def list_command() -> None:
    """Every build, which one is live, and what of the logs is parked in it."""

    async def show(db: AsyncConnection[Any]) -> None:
        for number, live, swapped_at, instant, digest, accepted, began_at, kept, told in await rows(db, BUILDS):
            state = "live" if live else "being filled" if swapped_at is None else "kept" if kept else "dropped"
            print(f"build {number}  {state}  begun {began_at:%Y-%m-%d %H:%M:%S}")
            if swapped_at:
                print(f"    swapped in {swapped_at:%Y-%m-%d %H:%M:%S}{'' if told else ', not told yet'}")
            for name, value in (("instant", instant), ("digest", digest), ("accepted", accepted)):
                if value:
                    print(f"    {name} {value}")
            if kept:
                await show_parked(db, number)

    run(show)


async def show_parked(db: AsyncConnection[Any], build: int) -> None:
    query = sql.SQL(
        "SELECT split_part(topic, '.', 2), count(*) FILTER (WHERE discarded_at IS NULL), count(*) FILTER (WHERE discarded_at IS"
        " NOT NULL) FROM {}.parked GROUP BY 1 ORDER BY 1"
    ).format(sql.Identifier(f"build_{build}"))
    parked = [f"{log} {open_} (and {given_up} discarded)" for log, open_, given_up in await rows(db, query)]
    print(f"    parked: {', '.join(parked) or 'nothing'}")


@app.command("status")
def status_command() -> None:
    """How far a rebuild is, and whether a process works on it. Ends with 1 if none is under way."""

    async def show(db: AsyncConnection[Any]) -> None:
        filling = await rows(db, "SELECT b.number, l.build FROM build b, live l WHERE b.swapped_at IS NULL")
        if not filling:
            print("no rebuild is under way")
            sys.exit(1)
        ((new, live),) = filling
        held = sql.SQL("SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = {} AND objid::int8 = {} AND granted")
        works = await rows(db, held.format(LOCKS, 2**32 + ONE_REBUILDER))
        print(f"build {new}: {'a process works on it' if works else 'nobody works on it: hotline views rebuild goes on'}")
        query = sql.SQL("SELECT split_part(topic, '.', 2), position FROM {}.heard ORDER BY 1")
        at, to = [dict(await rows(db, query.format(sql.Identifier(f"build_{of}")))) for of in (new, live)]
        print("    " + standing(at, to))
        await show_parked(db, new)

    run(show)


def standing(at: Mapping[str, int], to: Vector) -> str:
    """How far each log is, of how far it has to come."""
    return "  ".join(f"{log} {at.get(log, 0):,}/{last:,}" for log, last in to.items())


@app.command("cancel")
def cancel_command() -> None:
    """Give up the rebuild that is under way: its tables are dropped, whoever fills them ends, the live build is untouched."""

    async def cancel(db: AsyncConnection[Any]) -> None:
        filling = await rows(db, "SELECT number FROM build WHERE swapped_at IS NULL")
        if not filling:
            sys.exit("no rebuild is under way")
        await db.execute("SELECT drop_build(%s)", filling[0])
        print(f"build {filling[0][0]} is given up, its tables are dropped")

    run(cancel)


@app.command("drop")
def drop_command() -> None:
    """Drop the tables of builds that were live before; the next rebuild does the same when it begins."""

    async def drop(db: AsyncConnection[Any]) -> None:
        for number, live, swapped_at, *_, kept, _ in await rows(db, BUILDS):
            if kept and swapped_at and not live:
                await db.execute("SELECT drop_build(%s)", (number,))
                print(f"build {number} is dropped")

    run(drop)


@app.command("rebuild")
def rebuild_command(
    accept: Annotated[
        str | None, typer.Option("--accept-difference", metavar="REASON", help="swap although the new code folds differently")
    ] = None,
) -> None:
    """Rebuild the views from the topics beside the live ones, compare, and swap. Interrupted or killed, the next call goes on.

    Ends with 0 after the swap, 1 if the builds differ or something is gone, 2 if another rebuild runs, 130 after Ctrl-C.
    """
    place = where()
    failpoints.use(place.failpoints)
    try:
        build, digest = on_its_loop(rebuild(place, accept))
    except KeyboardInterrupt:
        print("\nstopped; nothing is lost: hotline views rebuild goes on, hotline views cancel gives it up")
        sys.exit(130)
    except RebuildRunsError:
        print("a rebuild is running: hotline views status", file=sys.stderr)
        sys.exit(2)
    except BuildGoneError as problem:
        sys.exit(str(problem))
    except errors.InsufficientPrivilege:
        sys.exit(NOT_THIS_ROLE)
    except BuildsDifferError as problem:
        tell_difference(problem)
        sys.exit(1)
    except TRANSIENT as problem:
        sys.exit(f"stopped, something does not answer ({type(problem).__name__}); nothing is lost: hotline views rebuild goes on")
    print(f"build {build} is live, digest {digest}")
    run(lambda db: show_parked(db, build))


async def rebuild(place: Where, accept: str | None) -> tuple[int, str]:
    """The whole of it, in this process."""
    options = {
        "autocommit": True,
        "options": f"{OPTIONS} -c synchronous_commit=off",
    }  # a lost batch is filled again; a swap is not lost
    collect_seldom()
    async with AsyncConnectionPool(place.database, min_size=2, max_size=12, open=False, kwargs=options) as pool:
        async with pool.connection() as db:
            await see_that_views_are_here(db)
        view = view_of(pool, place.kafka, Log("projections", pool))
        return await rebuild_of(view, Shown().show, accept).run()


@dataclass
class Shown:
    """Prints where a rebuild is, once a second."""

    since: float = field(default_factory=time.monotonic)
    first: int | None = None

    def show(self, build: int, at: Mapping[str, int], to: Vector) -> None:
        done, all_ = sum(at.values()), sum(to.values())
        self.first = done if self.first is None else self.first
        rate = (done - self.first) / max(time.monotonic() - self.since, 0.001)
        left = f"{(all_ - done) / rate:,.0f} s left" if rate and all_ > done else "caught up" if all_ <= done else ""
        print(f"build {build}  {standing(at, to)}  {rate:,.0f}/s  {left}", flush=True)


def tell_difference(problem: BuildsDifferError) -> None:
    """Which tables differ, by how many rows, and what can be done."""
    print("the new build is not the live one; nothing was swapped:", file=sys.stderr)
    for table, only_live, only_new in problem.found:
        print(f"    {table}: {only_live:,} rows only in the live build, {only_new:,} only in the new one", file=sys.stderr)
    if problem.stray:
        print(f"    {problem.stray:,} facts are not the same bytes: this cannot be accepted; hotline views cancel", file=sys.stderr)
        return
    run(_both_parked)
    print("    every fact is the same bytes. If the code folds differently on purpose:", file=sys.stderr)
    print("    hotline views rebuild --accept-difference REASON; if not: hotline views cancel", file=sys.stderr)


async def _both_parked(db: AsyncConnection[Any]) -> None:
    for number, live, swapped_at, *_ in await rows(db, BUILDS):
        if live or swapped_at is None:
            print(f"  build {number}{' (live)' if live else ''}")
            await show_parked(db, number)

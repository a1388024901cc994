"""`hotline play`: a story against the running stack, or against one of its own."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Annotated

import typer

from deploy.local.process import NotStartedError
from deploy.local.stack import HOME, Stack, read_state, say_with_time
from tools.play.player import play
from tools.play.printing import Printer, Result
from tools.play.story import Story, StoryError, find, load
from tools.play.world import GoneError, set_clock

app = typer.Typer()
BEFORE = timedelta(minutes=10)  # longer than a stack needs to come up


@app.command("play")
def play_command(
    story: Annotated[str, typer.Argument(help="a file, or the name of one in stories/: demo, S01, S02")] = "demo",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="start a stack with empty logs, though one may be kept from before")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="print the result as JSON, and nothing else")] = False,
) -> None:
    """Play a story through the public interfaces and check every promise of it.

    Ends with 0 if every check held, 1 if one did not, 2 if the story cannot be played.
    """
    try:
        read = load(find(story))
        result = asyncio.run(play(read, HOME, Printer(quiet=json))) if _runs(read, fresh) else _on_its_own(read, fresh, quiet=json)
    except (StoryError, GoneError, NotStartedError) as problem:
        typer.echo(str(problem), err=True)
        raise typer.Exit(2) from None
    if json:
        typer.echo(result.as_json())
    raise typer.Exit(0 if result.held else 1)


def _runs(story: Story, fresh: bool) -> bool:
    """Whether a stack runs that this story can be played on. GoneError if one runs that it cannot."""
    state = read_state(HOME)
    if state is None:
        return False
    if fresh:
        raise GoneError("a stack is running, and --fresh needs one of its own: make down")
    if state.get("rules", story.rules) != story.rules:
        raise GoneError(f"this story needs the rules `{story.rules}`, and the running stack has `{state['rules']}`: make down")
    return True


def _on_its_own(story: Story, fresh: bool, *, quiet: bool) -> Result:
    """A stack for this play alone. A dated one begins with empty logs, before the story does: no log goes back in time."""
    begins = story.begins_at
    home = HOME / "dated" if begins else HOME

    say = partial(typer.echo, err=True) if quiet else say_with_time
    say(f"starting a stack with the rules `{story.rules}`")
    stack = Stack(home, rules=story.rules, fresh=fresh or begins is not None, say=say)
    set_clock(stack.clock_file, begins - BEFORE if begins else None)
    with stack:
        return asyncio.run(play(story, home, Printer(quiet=quiet)))

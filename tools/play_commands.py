"""`hotline play`: a story against the running stack, or against one of its own."""

import asyncio
from functools import partial
from typing import Annotated

import typer

from deploy.local.process import NotStartedError
from deploy.local.stack import HOME, read_state, say_with_time
from tools.play.own_stack import own_stack
from tools.play.player import play
from tools.play.printing import Printer, Result
from tools.play.story import Story, StoryError, find, load
from tools.play.world import GoneError

app = typer.Typer()


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
    """A stack for this play alone; of a dated story in a folder of its own, for its logs are begun anew every time."""
    home = HOME / "dated" if story.begins_at else HOME
    say = partial(typer.echo, err=True) if quiet else say_with_time
    say(f"starting a stack with the rules `{story.rules}`")
    with own_stack(story, home, fresh=fresh, say=say):
        return asyncio.run(play(story, home, Printer(quiet=quiet)))

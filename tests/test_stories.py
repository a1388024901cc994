"""The stories of the repository, played as a user plays them: a whole stack, every interface, every promise."""

import pytest
from anyio import to_thread

from tests.faults.invariants import broken
from tests.line import Line
from tools.play import load, play
from tools.play.own_stack import own_stack
from tools.play.story import find

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.anyio]


async def played(story, home):
    result = await play(story, home)

    assert [] == [check for check in result.checks if not check.held]
    assert (result.steps, True) == (len(story.steps), result.complete)


async def counted(stack):
    """What the story's own checks cannot see: tables, clocks, what is heard and what is parked."""
    assert [] == broken(await to_thread.run_sync(Line(stack).snapshot))


async def test_every_check_of_the_demo_holds(tmp_path):
    demo = load(find("demo"))
    async with own_stack(demo, tmp_path, environment="test") as stack:
        await played(demo, tmp_path)
        await counted(stack)


async def test_stories_are_played_one_after_the_other_at_their_own_instants(tmp_path):
    emergency, silence = load(find("S01")), load(find("S02"))
    async with own_stack(emergency, tmp_path, environment="test") as stack:
        await played(emergency, tmp_path)
        await played(silence, tmp_path)
        await counted(stack)

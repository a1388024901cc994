"""A stack that a story has for itself."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from deploy.local.stack import Stack, say_with_time
from tools.play.story import Story
from tools.play.world import set_clock

BEFORE = timedelta(minutes=10)
"""Longer than a stack needs to come up: its logs are born before the story begins, for no log goes back in time."""


def own_stack(
    story: Story, home: Path, *, environment: str = "demo", fresh: bool = False, say: Callable[[str], None] = say_with_time
) -> Stack:
    """A stack with the story's rules, not yet started. For a story with instants it has empty logs and the story's time."""
    begins = story.begins_at
    stack = Stack(home, environment=environment, rules=story.rules, fresh=fresh or begins is not None, say=say)
    set_clock(stack.clock_file, begins - BEFORE if begins else None)
    return stack

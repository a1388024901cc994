"""Stories: a case told in YAML and played through the public interfaces of a running stack, every promise of it checked."""

from tools.play.player import Result, play
from tools.play.story import Story, StoryError, load

__all__ = ["Result", "Story", "StoryError", "load", "play"]

"""The case: what may be decided about one child, and what each fact makes of it. No framework, no clock, no database."""

from services.cases.domain import closing, deadlines, emergency, hand_offs, opening, planning
from services.cases.domain.state import counted as evolve
from services.cases.domain.state import decide

__all__ = ["closing", "deadlines", "decide", "emergency", "evolve", "hand_offs", "opening", "planning"]

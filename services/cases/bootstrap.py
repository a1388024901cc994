"""The cases service, wired."""

import contracts.cases
from chassis.follow import Handlers
from chassis.service import Parts, Service
from chassis.wiring import api_of, commands_of, flushing, loops_of
from contracts.intake import PersonForgotten
from services.cases.api import routes
from services.cases.domain import decide, evolve
from services.cases.policy import relations
from services.cases.reactions import REACTIONS

HEARS = ("intake", "referrals")


def build(parts: Parts) -> Service:
    """Decides about one child's protection; hears screenings and hand-offs."""
    commands = commands_of(parts, decide, evolve)
    api = api_of(parts, commands, relations)
    routes(api)
    copies: Handlers = {PersonForgotten: flushing(parts.keys)}
    loops = loops_of(parts, commands, contracts.cases, hears=HEARS, reactions=REACTIONS, copies=copies)
    return Service(parts, api.app, loops, created=contracts.cases.LogCreated)

"""The projections service, wired."""

from collections.abc import Awaitable
from datetime import datetime

import contracts.projections
from chassis.service import Parts, Service
from chassis.view import View
from chassis.wiring import api_of, commands_of, loops_of
from services.projections.api import Reading, files
from services.projections.boards import boards
from services.projections.policy import relations
from services.projections.reads import decide, evolve
from services.projections.views.instants import note_end
from services.projections.views.work import fold

HEARS = ("intake", "cases", "referrals", "notifications")


def build(parts: Parts) -> Service:
    """Shows what the other services decided, and records who looked."""
    commands = commands_of(parts, decide, evolve)

    def at_end(log: str, at: datetime) -> Awaitable[None]:
        return note_end(parts.pool, log, at)

    view = View(parts.pool, parts.settings.kafka, parts.log, HEARS, fold, at_end)
    api = api_of(parts, commands, relations)
    files(Reading(api, commands, parts.pool, parts.keys))
    boards(api, parts.pool)
    api.document()
    loops = loops_of(parts, commands, contracts.projections) | view.loops()
    return Service(parts, api.app, loops, created=contracts.projections.LogCreated)

"""The projections service, wired."""

import contracts.projections
from chassis.parked import parked_in_a_view
from chassis.service import Parts, Service
from chassis.wiring import api_of, commands_of, loops_of
from services.projections.api import audits, files
from services.projections.audit.monitor import Monitor
from services.projections.audit.served import evidence
from services.projections.boards import boards
from services.projections.bundle_routes import bundles
from services.projections.policy import relations
from services.projections.reading import Reading
from services.projections.reads import decide, evolve
from services.projections.search.index import Index
from services.projections.search.routes import searches
from services.projections.swaps import HEARS, told_of_swaps, view_of

__all__ = ["HEARS", "build"]


def build(parts: Parts) -> Service:
    """Shows what the other services decided, and records who looked."""
    commands = commands_of(parts, decide, evolve)
    api = api_of(parts, commands, relations)
    reading = Reading(api, commands, parts.pool, parts.keys)
    files(reading)
    audits(reading)
    index = Index(parts.pool, parts.keys)
    searches(reading, index)
    boards(api, parts.pool)
    evidence(api, parts.pool)
    bundles(api)
    api.document()
    view = view_of(parts.pool, parts.settings.kafka, parts.log)
    decided = parked_in_a_view(parts.name, view.again, view.drop)
    loops = loops_of(parts, commands, contracts.projections, decided=decided)
    loops |= view.loops() | {"swaps": told_of_swaps(parts.pool, commands)}
    loops |= Monitor(parts.pool, parts.settings, parts.time).loops()
    return Service(parts, api.app, loops, {"search": index.run}, created=contracts.projections.LogCreated)

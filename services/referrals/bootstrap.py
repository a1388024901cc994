"""The referrals service, wired."""

import contracts.referrals
from chassis.follow import Handlers
from chassis.service import Parts, Service
from chassis.settings import key_from
from chassis.wiring import api_of, commands_of, loops_of
from contracts.calendar import local_day
from contracts.kernel import Command
from services.referrals.adapters.directory import agency_at, registered
from services.referrals.adapters.page import acknowledgement_page
from services.referrals.api import routes
from services.referrals.domain import decide, evolve
from services.referrals.domain.sending import SendReferral
from services.referrals.policy import relations
from services.referrals.reactions import REACTIONS

HEARS = ("intake", "cases", "notifications")


def build(parts: Parts) -> Service:
    """Hands matters over and holds the silence; hears screenings, plans, and what became of messages."""

    async def with_agency(command: Command) -> Command:
        if not isinstance(command, SendReferral):
            return command
        agency = await agency_at(parts.pool, command.of.addressee, local_day(parts.time.now()))
        return command.model_copy(update={"agency_id": agency})

    commands = commands_of(parts, decide, evolve, with_agency)
    api = api_of(parts, commands, relations)
    acknowledgement_page(api.app, commands, key_from(parts.settings.link_key_file), parts.settings.call_back)
    routes(api, parts.pool)
    follows: Handlers = {contracts.referrals.AgencyRegistered: registered}
    loops = loops_of(parts, commands, contracts.referrals, hears=HEARS, reactions=REACTIONS, follows=follows)
    return Service(parts, api.app, loops, created=contracts.referrals.LogCreated)

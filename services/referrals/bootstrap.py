"""The referrals service, wired."""

from uuid import UUID

import contracts.referrals
from chassis.follow import Handlers
from chassis.service import Parts, Service
from chassis.settings import key_from
from chassis.wiring import api_of, commands_of, flushing, loops_of
from contracts.calendar import local_day
from contracts.intake import PersonForgotten
from contracts.kernel import Command
from contracts.shapes import Addressee
from services.referrals.adapters.directory import agency_at, registered, registered_for
from services.referrals.adapters.page import acknowledgement_page
from services.referrals.api import routes
from services.referrals.domain import decide, evolve
from services.referrals.domain.agencies import RegisterAgency
from services.referrals.domain.sending import SendReferral
from services.referrals.policy import relations
from services.referrals.reactions import REACTIONS

HEARS = ("intake", "cases", "notifications")


def build(parts: Parts) -> Service:
    """Hands matters over and holds the silence; hears screenings, plans, and what became of messages."""

    async def looked_up(_: UUID, command: Command) -> Command:
        match command:
            case SendReferral():
                agency = await agency_at(parts.pool, command.of.addressee, local_day(parts.time.now()))
                return command.model_copy(update={"agency_id": agency})
            case RegisterAgency():
                body = Addressee(role=command.role, place=command.place)
                return command.model_copy(update={"taken_by": await registered_for(parts.pool, body, command.valid_from_on)})
            case _:
                return command

    commands = commands_of(parts, decide, evolve, looked_up)
    api = api_of(parts, commands, relations)
    acknowledgement_page(api.app, commands, key_from(parts.settings.link_key_file), parts.settings.call_back)
    routes(api, parts.pool)
    follows: Handlers = {contracts.referrals.AgencyRegistered: registered}
    copies: Handlers = {PersonForgotten: flushing(parts.keys)}
    loops = loops_of(parts, commands, contracts.referrals, hears=HEARS, reactions=REACTIONS, copies=copies, follows=follows)
    return Service(parts, api.app, loops, created=contracts.referrals.LogCreated)

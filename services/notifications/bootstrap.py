"""The notifications service, wired."""

from uuid import UUID

import contracts.notifications
from chassis.follow import Handlers
from chassis.service import Parts, Service
from chassis.settings import key_from
from chassis.wiring import api_of, commands_of, flushing, loops_of
from contracts.calendar import local_day
from contracts.intake import PersonForgotten
from contracts.kernel import Command
from contracts.referrals import AgencyRegistered, ReferralSent
from services.notifications.adapters.directory import Directory, agency_heard, referral_heard
from services.notifications.adapters.mail import Mailer
from services.notifications.adapters.sender import WAKES, Sender
from services.notifications.api import routes
from services.notifications.domain import decide, evolve
from services.notifications.domain.queueing import QueueMessage
from services.notifications.policy import relations
from services.notifications.reactions import REACTIONS

HEARS = ("intake", "cases", "referrals", "projections")


def build(parts: Parts) -> Service:
    """Says what is to be said, to whom, over which channel; nothing else in the system sends a message to a person."""
    directory = Directory(parts.pool, parts.keys)

    async def with_channels(_: UUID, command: Command) -> Command:
        if not isinstance(command, QueueMessage):
            return command
        agency, channels = await directory.reach(command.recipient, local_day(parts.time.now()))
        return command.model_copy(update={"agency_id": agency, "channels": tuple(channels)})

    commands = commands_of(parts, decide, evolve, with_channels)
    api = api_of(parts, commands, relations)
    routes(api)
    settings = parts.settings
    mailer = Mailer(settings.smtp_host, settings.smtp_port, settings.mail_from)
    sender = Sender(parts, commands, directory, mailer, key_from(settings.link_key_file))
    forgotten = flushing(parts.keys)
    copies: Handlers = {AgencyRegistered: agency_heard, ReferralSent: referral_heard, PersonForgotten: forgotten}
    loops = loops_of(parts, commands, contracts.notifications, hears=HEARS, reactions=REACTIONS, copies=copies, follows=WAKES)
    return Service(parts, api.app, {**loops, "sender": sender.run}, created=contracts.notifications.LogCreated)

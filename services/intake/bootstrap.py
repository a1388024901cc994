"""The intake service, wired."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import contracts.intake
from chassis.service import Parts, Service
from chassis.settings import key_from
from chassis.wiring import api_of, commands_of, loops_of
from contracts import places
from contracts.kernel import Command
from services.intake.adapters.channels import READERS, channel_doors, reader
from services.intake.adapters.erasing import ERASURES, Eraser
from services.intake.adapters.inbox import Inbox
from services.intake.adapters.undecided import UNDECIDED, records_of
from services.intake.api import routes
from services.intake.domain import decide, evolve
from services.intake.domain.erasure import ApproveErasure, RequestErasure
from services.intake.policy import relations
from services.intake.reactions import REACTIONS

HEARS = ("cases",)


def build(parts: Parts) -> Service:
    """Takes contacts and reports, screens them, forgets persons; hears which cases were opened and closed."""

    async def looked_up(stream: UUID, command: Command) -> Command:
        match command:
            case RequestErasure():
                return command.model_copy(update={"known": await parts.keys.knows(stream)})
            case ApproveErasure():
                return command.model_copy(update={"undecided": await records_of(parts.pool, stream)})
        return command

    commands = commands_of(parts, decide, evolve, looked_up)
    inbox = Inbox(parts.pool, parts.keys, parts.time, key_from(parts.settings.fingerprint_key_file))
    api = api_of(parts, commands, relations)
    channel_doors(api.app, inbox, parts.settings)
    routes(api)
    readers = {channel: reader(channel, places.CENTRES[0]) for channel in READERS}

    def read_inbox(up: Callable[[], None]) -> Awaitable[None]:
        return inbox.work(commands, readers, up)

    loops = loops_of(parts, commands, contracts.intake, hears=HEARS, reactions=REACTIONS, follows={**ERASURES, **UNDECIDED})
    own = {"inbox": read_inbox, "erasing": Eraser(parts.pool, parts.keys, commands).run}
    return Service(parts, api.app, loops | own, created=contracts.intake.LogCreated)

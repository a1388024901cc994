"""The routes of intake: one line a command, and the doors of the channels."""

from chassis.web import Api
from contracts.clocks import WaiveClock
from services.intake.domain.contacts import AnswerContact, ClassifyContact, ReceiveContact
from services.intake.domain.reports import ReceiveReport
from services.intake.domain.screening import ScreenReport


def routes(api: Api) -> None:
    """`/intake/v1/contacts/…`, `/intake/v1/records/…`."""
    api.state("/v1/contacts", "contact")
    api.command("/v1/contacts", ReceiveContact)
    api.command("/v1/contacts/{id}/answer", AnswerContact)
    api.command("/v1/contacts/{id}/classification", ClassifyContact)
    api.state("/v1/records", "record")
    api.command("/v1/records", ReceiveReport)
    api.command("/v1/records/{id}/screening", ScreenReport)
    for stream in ("contacts", "records"):
        api.command(f"/v1/{stream}/{{id}}/clock-waivers", WaiveClock)
    api.document()

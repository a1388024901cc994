"""The routes of intake: one line a command, and the doors of the channels."""

from chassis.web import Api
from contracts.clocks import WaiveClock
from services.intake.domain.contacts import AnswerContact, ClassifyContact, ReceiveContact
from services.intake.domain.erasure import ApproveErasure, RefuseErasure, RequestErasure
from services.intake.domain.persons import (
    AnswerDataRequest,
    LiftHold,
    LiftRestriction,
    PlaceHold,
    ReceiveDataRequest,
    RestrictPerson,
)
from services.intake.domain.reports import ReceiveReport
from services.intake.domain.screening import ScreenReport


def routes(api: Api) -> None:
    """`/intake/v1/contacts/…`, `/intake/v1/records/…`, `/intake/v1/persons/…`."""
    api.state("/v1/contacts", "contact")
    api.command("/v1/contacts", ReceiveContact)
    api.command("/v1/contacts/{id}/answer", AnswerContact)
    api.command("/v1/contacts/{id}/classification", ClassifyContact)
    api.state("/v1/records", "record")
    api.command("/v1/records", ReceiveReport)
    api.command("/v1/records/{id}/screening", ScreenReport)
    api.state("/v1/persons", "person")
    api.command("/v1/persons/{id}/data-requests", ReceiveDataRequest)
    api.command("/v1/persons/{id}/data-answers", AnswerDataRequest)
    api.command("/v1/persons/{id}/holds", PlaceHold)
    api.command("/v1/persons/{id}/hold-liftings", LiftHold)
    api.command("/v1/persons/{id}/restrictions", RestrictPerson)
    api.command("/v1/persons/{id}/restriction-liftings", LiftRestriction)
    api.command("/v1/persons/{id}/erasure-requests", RequestErasure)
    api.command("/v1/persons/{id}/erasure-approvals", ApproveErasure)
    api.command("/v1/persons/{id}/erasure-refusals", RefuseErasure)
    for stream in ("contacts", "records", "persons"):
        api.command(f"/v1/{stream}/{{id}}/clock-waivers", WaiveClock)
    api.document()

"""The routes of notifications: threads can be looked at; messages are queued by reactions."""

from chassis.web import Api
from contracts.clocks import WaiveClock


def routes(api: Api) -> None:
    """`/notifications/v1/messages/{id}`."""
    api.state("/v1/messages", "message")
    api.command("/v1/messages/{id}/clock-waivers", WaiveClock)
    api.document()

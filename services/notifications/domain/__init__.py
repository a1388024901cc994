"""Messages: what is said to whom, over which channels, until it is delivered, undeliverable or no longer to be said."""

from services.notifications.domain import deadlines, queueing, sending
from services.notifications.domain.state import decide, evolve

__all__ = ["deadlines", "decide", "evolve", "queueing", "sending"]

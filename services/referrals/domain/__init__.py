"""Hand-offs: promises that one addressee has one matter, and the agencies that can be addressed."""

from services.referrals.domain import agencies, ladder, sending, settling, taking
from services.referrals.domain.state import decide, evolve

__all__ = ["agencies", "decide", "evolve", "ladder", "sending", "settling", "taking"]

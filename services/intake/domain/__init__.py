"""What intake may decide about a contact or a record, and what each fact makes of it. Pure: no framework, no clock, no database."""

from services.intake.domain import clocks, contacts, reports, screening
from services.intake.domain.state import Contact, Record, State, decide, evolve

__all__ = ["Contact", "Record", "State", "clocks", "contacts", "decide", "evolve", "reports", "screening"]

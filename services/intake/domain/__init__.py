"""What intake may decide about a contact, a record or a person, and what each fact makes of it.

Pure: no framework, no clock, no database.
"""

from services.intake.domain import clocks, contacts, erasure, persons, reports, screening
from services.intake.domain.state import Contact, Person, Record, State, decide, evolve

__all__ = [
    "Contact",
    "Person",
    "Record",
    "State",
    "clocks",
    "contacts",
    "decide",
    "erasure",
    "evolve",
    "persons",
    "reports",
    "screening",
]

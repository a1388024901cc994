"""What projections tells: who read what, who searched, and who was refused, recorded before the answer."""

from typing import Annotated, ClassVar
from uuid import UUID

from contracts import clocks, system
from contracts.codes import LogName, Purpose, ReadReason, SearchField, View
from contracts.kernel import Fact, Personal
from contracts.shapes import Line


class ProjectionFact(Fact):
    log: ClassVar[str] = "projections"


class CaseRead(ProjectionFact):
    """Somebody was about to be shown a file; `shown` is the instant of the answer, the stream is the id of what is read."""

    kind: Line
    view: View
    purpose: Purpose
    reason: Line | None = None
    shown: str


class SearchMade(ProjectionFact):
    """Somebody searched, and was about to be shown what was found; the stream is `search_id`, one per person and month.

    `hits`: how many files the answer names. `looked_in`: in which fields. `reason`: for which telephone numbers were
    looked through, too. `shown` is the instant of the answer. `query`, as it was typed, may name a child: it is sealed under a key
    for the searches of just this person and month.
    """

    search_id: UUID
    hits: int
    looked_in: list[SearchField]
    purpose: Purpose
    reason: ReadReason | None = None
    shown: Line
    query: Annotated[Line | None, Personal("search_id")] = None


class BundleRequested(ProjectionFact):
    """An auditor asked for evidence to take away. Its scope: one case, logs of which every state is shown, or both.

    `instant`: the positions that it must not go beyond, None for all that is signed. `opened`: with sealed parts in clear, which
    needs two approvals. `auditor`: who asked, and so cannot approve.
    """

    case_id: UUID | None = None
    logs: list[LogName] | None = None
    instant: Line | None = None
    opened: bool
    reason: ReadReason
    auditor: Line


class BundleApproved(ProjectionFact):
    """Somebody else agreed that sealed parts are shown in clear; the `number`-th to do so."""

    number: int
    approver: Line


class BundleExported(ProjectionFact):
    """A bundle was written and handed over. `digest`: SHA-256 of its tar, in hexadecimal; `instant`: sizes of the logs in it."""

    digest: Line
    instant: Line
    auditor: Line


class ReadRefused(ProjectionFact):
    """Somebody asked for a file and was refused; the stream is the id that was asked for, whether or not there is such a file.

    `route`: the template of the address, never the address itself. `code`: that of the problem which was answered.
    """

    route: Line
    code: Line


class ViewSwapped(ProjectionFact):
    """Another build of a view is read since then. `digest` is over every row of its tables at `instant`, where it was compared."""

    view: Line
    build: int
    digest: Line
    instant: Line


class ClockStarted(ProjectionFact, clocks.Started):
    """See `contracts.clocks`."""


class ClockMet(ProjectionFact, clocks.Met):
    """See `contracts.clocks`."""


class ClockBreached(ProjectionFact, clocks.Breached):
    """See `contracts.clocks`."""


class ClockWaived(ProjectionFact, clocks.Waived):
    """See `contracts.clocks`."""


class ClockRecomputed(ProjectionFact, clocks.Recomputed):
    """See `contracts.clocks`."""


class LogCreated(ProjectionFact, system.Created):
    """See `contracts.system`."""


class HeartbeatRecorded(ProjectionFact, system.Heartbeat):
    """See `contracts.system`."""


class KeyIntroduced(ProjectionFact, system.Introduced):
    """See `contracts.system`."""


class KeyRetired(ProjectionFact, system.Retired):
    """See `contracts.system`."""


class PolicyAdopted(ProjectionFact, system.Adopted):
    """See `contracts.system`."""


class LogRecovered(ProjectionFact, system.Recovered):
    """See `contracts.system`."""


class ParkedRetried(ProjectionFact, system.Retried):
    """See `contracts.system`."""


class ParkedDiscarded(ProjectionFact, system.Discarded):
    """See `contracts.system`."""

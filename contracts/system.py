"""Facts of a log about itself, on its system stream `uuid5(NS, origin)`; they are never folded into a domain.

Also what an operator decides about facts of other logs that this one's service could not digest and parked.
"""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from contracts.codes import ParkedReason
from contracts.kernel import Command, Shape
from contracts.shapes import Line, Text

Position = Annotated[int, Field(ge=1, lt=2**63)]


class Created(Shape):
    """The first entry of a log. `origin` = `<authority>/<environment>/<log>` is also the name of the key that will sign it."""

    origin: Line
    entry_format: Line


class Heartbeat(Shape):
    """Nothing was recorded for `period` seconds. Signing an unchanged log gives the same bytes again; this is how a log that rests
    differs from one that is cut off: whoever keeps its newest checkpoint knows when the next one is due."""

    period: Annotated[int, Field(ge=1)]


class Introduced(Shape):
    """From here on checkpoints of this log are signed by one key more: `<name>+<id>+<key>`, as it stands in a policy."""

    verifier: Line


class Retired(Shape):
    """A key signs no more. `key`: `<name>+<id>`; `size`: of the last checkpoint that it signed."""

    key: Line
    size: Position


class Adopted(Shape):
    """The policy by which checkpoints are judged from here on, the file whose SHA-256 in hexadecimal this is."""

    epoch: Annotated[int, Field(ge=1)]
    sha256: Line


class Recovered(Shape):
    """The database was restored from an old backup; positions `first` to `last` were brought back from the log's topic, byte for
    byte. `checkpoint` is the newest signed note from before the loss, with whose root the log was compared."""

    first: Position
    last: Position
    checkpoint: Text | None = None


class AboutParked(Shape):
    """What was decided about the fact at `position` of the log `source`; `stream` is the stream of that fact."""

    source: Line
    position: Position
    stream: UUID
    reason: ParkedReason


class Retried(AboutParked):
    """An operator wants this parked fact digested again, and then those of its stream that wait behind it."""


class Discarded(AboutParked):
    """An operator decided that this parked fact will not be digested; it no longer holds back its stream."""


class DecideParked(Command):
    """source, position: what is decided about, from the route. stream: of the parked fact, None if nothing is parked there;
    first: the first position of that stream that is parked. Both are looked up before the decision."""

    filled: ClassVar[frozenset[str]] = frozenset({"source", "position", "stream", "first"})
    reason: ParkedReason
    source: Line = ""
    position: Position = 0
    stream: UUID | None = None
    first: int = 0


class RetryParked(DecideParked):
    """Digest a parked fact again, and then those of its stream that wait behind it."""


class DiscardParked(DecideParked):
    """Give up on a parked fact, so that its stream goes on without it."""


COMMANDS: tuple[type[DecideParked], ...] = (RetryParked, DiscardParked)
"""What is decided on every log's system stream."""

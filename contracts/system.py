"""Facts of a log about itself, on its system stream `uuid5(NS, origin)`; they are never folded into a domain."""

from contracts.kernel import Shape
from contracts.shapes import Line


class Created(Shape):
    """The first entry of a log. `origin` = `<authority>/<environment>/<log>` is also the name of the key that will sign it."""

    origin: Line
    entry_format: Line

"""The one place in Python that time comes from; `append()` is the one place in SQL, and is given the same offset."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

LOOK_AGAIN = 0.02  # seconds


class Time:
    """Now, in UTC. In a demo or a test a file with seconds moves it, so that a story dated in 2026 runs at its own instants."""

    def __init__(self, file: Path | None = None) -> None:
        self._file, self._shift, self._looked = file, timedelta(), 0.0

    def shift(self) -> timedelta:
        """The demo's offset; zero where there is no file."""
        if self._file and time.monotonic() - self._looked > LOOK_AGAIN:
            self._looked = time.monotonic()
            try:
                self._shift = timedelta(seconds=float(self._file.read_text(encoding="ascii")))
            except FileNotFoundError:
                self._shift = timedelta()
        return self._shift

    def now(self) -> datetime:
        return datetime.now(UTC) + self.shift()

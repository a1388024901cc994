"""Entry point of `hotline`: the commands are in `tools/commands.py`, which takes a while to load."""

import signal
import sys

INTERRUPTED = 128 + signal.SIGINT


def main() -> None:
    """Ctrl-C ends with 130 and no word of Python's, also while the commands are still being loaded."""
    try:
        from tools.commands import app  # noqa: PLC0415 - loading it can be interrupted

        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)

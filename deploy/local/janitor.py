"""Ends the children of a program that is gone: reads `pid start signal` lines until the pipe closes, then cleans up."""

import contextlib
import sys
from collections.abc import Iterable

import psutil

SAME_START = 2.0  # seconds within which two readings of a start time mean the same process: clocks are corrected


def end_all(children: Iterable[tuple[int, float, int]], patience: float = 10) -> None:
    """Send each (pid, start, signal) its signal, wait `patience` seconds for all, kill what is left and its children."""
    family: list[psutil.Process] = []
    for pid, started, polite in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if abs(process.create_time() - started) < SAME_START:
                family += [*process.children(recursive=True), process]
                process.send_signal(polite)
    _, alive = psutil.wait_procs(family, timeout=patience)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)


def main() -> None:
    """Run until standard input closes."""
    told = [line.split() for line in sys.stdin]
    end_all((int(pid), float(started), int(polite)) for pid, started, polite in told)


if __name__ == "__main__":
    main()

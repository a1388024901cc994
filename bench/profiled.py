"""Where the processor time of a process goes: `python -m bench.profiled FILE MODULE ARGUMENTS…` runs a module and, from SIGUSR1 on,
looks at its main thread at each tick of processor time. Waiting costs nothing and is not seen, and nothing is slowed down."""

import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

EVERY = 0.001  # seconds of processor time; the kernel makes it its own tick, often 4 ms
LINES = 30
COMMON = 0.95  # whoever calls everything says nothing
ROOT = Path(__file__).parent.parent


class Samples:
    """Functions by how often they were at work themselves, and by how often they or somebody they called were."""

    def __init__(self) -> None:
        self.own: Counter[str] = Counter()
        self.all: Counter[str] = Counter()
        self.taken = 0

    def start(self, *_: object) -> None:
        """Begin, or begin anew."""
        self.own.clear()
        self.all.clear()
        self.taken = 0
        signal.signal(signal.SIGPROF, self.take)
        signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)

    def take(self, _: int, frame: FrameType | None) -> None:
        """One sample."""
        self.taken += 1
        seen: set[str] = set()
        while frame is not None:
            name = _name(frame)
            if not seen:
                self.own[name] += 1
            seen.add(name)
            frame = frame.f_back
        self.all.update(seen)

    def text(self) -> str:
        """Both lists, in per cent."""
        lines = [f"{self.taken} samples", "", "  own", ""]
        lines += [f"  {times / self.taken:6.1%}  {name}" for name, times in self.own.most_common(LINES)]
        lines += ["", "  with what it called", ""]
        below = [(name, times) for name, times in self.all.most_common(4 * LINES) if times < COMMON * self.taken]
        lines += [f"  {times / self.taken:6.1%}  {name}" for name, times in below]
        return "\n".join(lines) + "\n"


def _name(frame: FrameType) -> str:
    file = frame.f_code.co_filename
    place = file.removeprefix(f"{ROOT}/").rpartition("site-packages/")[2]
    if place.startswith("/"):  # the standard library: the last two parts say enough
        place = "/".join(place.split("/")[-2:])
    return f"{place} {frame.f_code.co_qualname if hasattr(frame.f_code, 'co_qualname') else frame.f_code.co_name}"


def main() -> None:
    """Run the module as if it had been started itself."""
    file, module, *arguments = sys.argv[1:]
    samples = Samples()
    signal.signal(signal.SIGUSR1, samples.start)
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        if samples.taken:
            Path(file).write_text(samples.text(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Named places at which a process of a test stack can be made to die or to freeze, between any two steps that must hold together.

A file of the process's own says where: `<name> <nth> <kill|stop>`, the nth time the place is reached from now on. It is renamed to
`….hit` just before, so that the successor does not die of it and the tester knows. In production there is no such file: a process
that is given one refuses to start (`chassis.settings`).
"""

import os
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

PLACES: Mapping[str, str] = {
    "append.before-commit": "decided and sealed, nothing written",
    "append.after-commit": "durable, nobody told",
    "answer.before": "durable, the answer not sent",
    "keys.after-create": "a person's key is durable, no event uses it yet",
    "read.recorded": "a read is in the log, its answer not sent",
    "relay.before-send": "rows read, none told",
    "relay.mid-batch": "all but the last part of the rows acknowledged by the broker",
    "relay.after-send": "acknowledged by the broker, not noted here",
    "signer.after-file": "a checkpoint is signed and in the file, not in the table",
    "signer.after-table": "a checkpoint is in file and table, the topic does not tell it",
    "hearing.before-reaction": "a fact is heard, nothing done",
    "hearing.after-reaction": "the effect is durable, the place is not moved",
    "hearing.after-heard": "the place is moved, the broker does not know",
    "retry.after-reaction": "the effect of a parked fact is durable, the fact still parked",
    "follower.before-commit": "facts of the own log folded, not committed",
    "follower.after-commit": "committed, not noted here",
    "timer.before-breach": "a clock is found due, nothing said",
    "timer.after-breach": "the breach is told, its row still there",
    "view.before-commit": "rows folded into tables, not committed",
    "view.after-commit": "committed, not noted here",
    "rebuild.before-commit": "rows folded into a build that nobody reads yet, not committed",
    "swap.before": "the live build is held still, nothing is compared",
    "swap.before-commit": "the builds are equal and the pointer moved, not committed",
    "swap.after-commit": "the new build is live, nobody told",
    "sender.before-send": "a message is about to leave",
    "sender.after-send": "accepted by the mail server, not recorded",
    "inbox.before-command": "a kept delivery is read, nothing done",
    "inbox.after-command": "its command is durable, the delivery not marked",
    "erasure.after-destroy": "keys are destroyed, nobody is told to be forgotten",
    "erasure.after-command": "a person is told to be forgotten, still due in the table",
    "bundle.requested": "a bundle is asked for on record, nothing is written",
    "bundle.written": "a bundle lies whole in a hidden folder, its hand-over is not on record",
    "bundle.exported": "the hand-over of a bundle is on record, it still lies in the hidden folder",
    "export.written": "the export of a log lies whole in a hidden folder, nobody finds it",
}
"""Place → what has happened and what has not when it is reached."""
ACTIONS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
_file: Path | None = None
_reached: Counter[str] = Counter()


def use(file: Path | None) -> None:
    """Look at this file from now on; None: never die."""
    global _file  # noqa: PLW0603 - a process has one place to be told where to die
    _file = file


def reach(place: str) -> None:
    """The process is at this place."""
    if _file is not None:
        _obey(place, _file)


def _obey(place: str, file: Path) -> None:
    try:
        name, nth, action = file.read_text(encoding="ascii").split()
    except FileNotFoundError:
        _reached.clear()
        return
    if name == place:
        _reached[name] += 1
        if _reached[name] >= int(nth):
            _reached.clear()
            file.rename(file.with_suffix(".hit"))
            os.kill(os.getpid(), ACTIONS[action])

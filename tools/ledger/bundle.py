"""An audit bundle: what a reader needs to check a case, or whole logs, without us."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tools.ledger.layout import INSTANT, POLICY, STREAMS
from tools.ledger.writing import CannotWriteError, LogWriter, StateWriter, lines, new_folder, write, write_tar

Streams = Mapping[str, Iterable[str]]
"""By log: the streams of which every state is shown; `*` for all of a log."""


class LogToShow(NamedTuple):
    """All entries from position 1 to the size of the checkpoint `note`; archived: earlier notes, by their size."""

    entries: Iterable[bytes]
    note: bytes
    archived: Mapping[int, bytes] = {}


def write_bundle(
    logs: Mapping[str, LogToShow],
    *,
    instant: Mapping[str, int],
    streams: Streams,
    states: Iterable[bytes],
    policy: bytes,
    out: Path,
    tar: bool = False,
) -> str:
    """The bundle at `out`, as a folder or as a tar. The SHA-256 of the tar, in either case: the same content, the same sum.

    The whole range of entries of every log is in it: entries name nobody, and only all of them show that nothing is left out.
    Raises CannotWriteError if something lies at `out`, or a log is not as it was signed, or not of the size in `instant`.
    """
    if not tar:
        _write_folder(logs, instant=instant, streams=streams, states=states, policy=policy, folder=new_folder(out))
        os.sync()  # one by one, a million small files would take an hour
        return write_tar(out)
    if out.exists():
        raise CannotWriteError(f"{out} is there already")
    with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder, out.open("xb") as file:
        _write_folder(logs, instant=instant, streams=streams, states=states, policy=policy, folder=Path(folder))
        sum_ = write_tar(Path(folder), file)
        file.flush()
        os.fsync(file.fileno())
    return sum_


def _write_folder(
    logs: Mapping[str, LogToShow],
    *,
    instant: Mapping[str, int],
    streams: Streams,
    states: Iterable[bytes],
    policy: bytes,
    folder: Path,
) -> None:
    for name, log in logs.items():
        writer = LogWriter(folder / "logs" / name)
        for entry in log.entries:
            writer.add(entry)
        head = writer.finish(log.note)
        if instant.get(name) != head.size:
            raise CannotWriteError(f"the instant does not name the size of the checkpoint of {name}")
        writer.archive(log.archived)
    if instant.keys() != logs.keys():
        raise CannotWriteError("the instant names other logs than those that are shown")
    shown = StateWriter(folder)
    for state in states:
        shown.add(state)
    shown.finish()
    write(folder / INSTANT, lines(instant.items()))
    write(folder / STREAMS, lines((name, stream) for name, listed in streams.items() for stream in set(listed)))
    write(folder / POLICY, policy)

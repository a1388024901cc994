"""Sealed parts in clear, for an auditor of whom two others have agreed that he may see them: encrypted to him as they are written.

Nothing of them is on a disk in clear: they go from boxes through the tar, which is made while it is encrypted (age), into a file
that only the auditor's own key opens. What the boxes hold of forgotten persons is not there: their keys are gone.
"""

import asyncio
import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from hashlib import file_digest, sha256
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID

import psycopg
import pyrage
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from chassis.keys import KeyStore
from chassis.mapper import people_in
from chassis.sealing import Place, open_box
from chassis.settings import key_from
from deploy.local.postgres import key_role
from tools.ledger.writing import CannotWriteError, write_tar
from tools.recovery.running import Running

Boxes = Mapping[str, Place]
"""SHA-256 of a state that holds boxes, in hexadecimal → the place that they are bound to."""
_SEALED = """
SELECT position, originator_id, originator_version, topic, state FROM event
WHERE position > %s AND position <= %s AND (%s OR originator_id = ANY(%s)) ORDER BY position LIMIT 2000"""


def recipient_of(text: str) -> pyrage.x25519.Recipient:
    """An auditor's public key, `age1…`, or a file that holds it. Raises CannotWriteError for anything else."""
    try:
        file = Path(text)
        word = file.read_text(encoding="ascii").strip() if file.is_file() else text
        return pyrage.x25519.Recipient.from_str(word)
    except (OSError, ValueError, pyrage.RecipientError):
        raise CannotWriteError("the auditor's key is a public key of age, age1…, or a file that holds one") from None


def boxes_in(db: psycopg.Connection[Any], size: int, streams: Collection[UUID] | None) -> tuple[dict[str, Place], set[UUID]]:
    """The sealed states of these streams, None for all, and the persons whose keys open them."""
    last, boxes, persons = 0, dict[str, Place](), set[UUID]()
    cursor = db.cursor(row_factory=tuple_row)
    while found := cursor.execute(_SEALED, (last, size, streams is None, list(streams or ()))).fetchall():
        for last, stream, version, kind, state in found:  # noqa: B007 - the last one is where the next look begins
            if own := people_in(state):
                boxes[sha256(state).hexdigest()] = Place(stream, version, kind)
                persons.update(own)
    return boxes, persons


def keys_of(stack: Running, persons: Iterable[UUID]) -> dict[UUID, bytes]:
    """The keys that are still there, as projections gets them. Raises StoreGone."""

    async def get() -> dict[UUID, bytes]:
        uri = stack.uri("keys", key_role("projections", "api"))
        async with AsyncConnectionPool(uri, min_size=1, max_size=1, open=False, kwargs={"autocommit": True}) as pool:
            keys = KeyStore(pool, key_from(Path(stack.state["master_key_file"])))
            try:
                return await keys.get(persons)
            finally:
                await keys.close()

    return asyncio.run(get())


def write_encrypted(folder: Path, boxes: Boxes, keys: Mapping[UUID, bytes], to: pyrage.x25519.Recipient, out: Path) -> str:
    """The bundle in `folder` as a tar, with what its boxes hold, encrypted into `out`; the SHA-256 of that file.

    Raises whatever reading the bundle does; then what lies at `out` is not whole.
    """
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def make() -> None:
        try:
            with os.fdopen(writing, "wb") as pipe:
                write_tar(folder, pipe, _opened(folder, boxes, keys))
        except BaseException as why:  # noqa: BLE001 - it is raised below, in the thread that waits for it
            failed.append(why)

    maker = Thread(target=make, daemon=True)  # it ends when nobody reads any more
    with os.fdopen(reading, "rb") as pipe, out.open("xb") as file:
        maker.start()
        pyrage.encrypt_io(pipe, file, [to])
        file.flush()
        os.fsync(file.fileno())
    maker.join()
    if failed:
        raise failed[0]
    with out.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _opened(folder: Path, boxes: Boxes, keys: Mapping[UUID, bytes]) -> dict[str, Callable[[], bytes]]:
    """Name in the bundle → how its content is had, once it is its turn. A state of whose persons all are forgotten has none."""
    states = {digest: folder / "states" / digest for digest in boxes}
    return {
        f"opened/{digest}.json": lambda digest=digest: _clear(states[digest].read_bytes(), boxes[digest], keys)
        for digest in boxes
        if any(person in keys for person in people_in(states[digest].read_bytes()))
    }


def _clear(state: bytes, place: Place, keys: Mapping[UUID, bytes]) -> bytes:
    """By person what was sealed: JSON pointer into the fact → value."""
    boxes = {UUID(person): box for person, box in json.loads(state)["sealed"].items()}
    parts = {str(person): open_box(keys[person], box, place, person) for person, box in boxes.items() if person in keys}
    return json.dumps(parts, ensure_ascii=False, sort_keys=True, indent=1).encode()

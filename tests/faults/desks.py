"""People at work while things break: each desk tells one story after the other over REST, as careful consoles do."""

import hashlib
import json
import time
import traceback
from random import Random
from threading import Event, Lock, Thread
from typing import Any, Self
from uuid import UUID, uuid4

import httpx2

from contracts.ids import referral_by
from contracts.shapes import Addressee
from deploy.local.environment import HERE, ZALO_APP_ID
from tests.line import OTHER_COMMUNE, Line, call, child, eventually, report, screening

COMMUNE_PC = Addressee(role="commune_pc", place=OTHER_COMMUNE)
PROCEDURE = {"procedures": ["domestic_violence"], "emergency": False}
MARK = "Ốc Bươu Đỏ"
"""Stands in what persons say at the desks, and nowhere else in the world."""
PATIENCE = 600.0  # seconds: longer than any outage that is made here


def reported(line: Line, *, seconds: float = 90) -> dict[str, Any]:
    """A call and a report about one child; answers the record."""
    contact = _done(line, "/intake/v1/contacts", call(line, text=f"{MARK} kể"), seconds)
    return _done(line, "/intake/v1/records", report(line, contact, child(name=MARK), commune=OTHER_COMMUNE, **PROCEDURE), seconds)


def handed_over(line: Line, record: dict[str, Any], *, seconds: float = 90) -> UUID:
    """The record screened; answers the id of the hand-off that must come of it."""
    told = screening(OTHER_COMMUNE, **PROCEDURE, send_to=[COMMUNE_PC.model_dump()])
    screened = _decided(line, record, told, seconds)
    return referral_by(UUID(record["id"]), f"intake:{screened['told'][0]['position']}", COMMUNE_PC)


def taken_over(line: Line, referral: UUID, *, seconds: float = 90) -> None:
    """Taken over by telephone, as soon as the hand-off is there."""
    taker = {"via": "phone", "office": "UBND (mẫu)", "taker_id": str(uuid4()), "name": "Thử Văn Nhận"}
    path = f"/referrals/v1/referrals/{referral}"
    eventually(lambda: line.surely(f"{path}/acknowledgement", taker, seconds=seconds).is_success, seconds=seconds, every=0.1)


def looked_at(line: Line, record: dict[str, Any], *, seconds: float = 90) -> None:
    """The file of a record, as soon as the view has come so far."""

    def shown() -> bool:
        try:
            return line.get(f"/projections/v1/records/{record['id']}", hotline_purpose="duty").is_success
        except httpx2.TransportError:
            return False

    eventually(shown, seconds=seconds, every=0.2)


def written_in(line: Line, *, seconds: float = 90) -> None:
    """A message over Zalo, delivered again until the channel has it, as that provider does."""
    secret = (HERE / "zalo-oa-secret").read_text(encoding="utf-8").strip()
    message = {"text": f"{MARK} viết", "msg_id": uuid4().hex}
    delivery = {"app_id": ZALO_APP_ID, "sender": {"id": uuid4().hex}, "event_name": "user_send_text", "message": message}
    stamp = "1773133512000"
    raw = json.dumps(delivery | {"timestamp": stamp}, ensure_ascii=False).encode()
    mac = hashlib.sha256(ZALO_APP_ID.encode() + raw + stamp.encode() + secret.encode()).hexdigest()
    headers = {"x-zevent-signature": f"mac={mac}", "x-zevent-timestamp": stamp}

    def taken() -> bool:
        try:
            return line.http.post(f"{line.stack.urls['front']}/intake/v1/channels/zalo", content=raw, headers=headers).is_success
        except httpx2.TransportError:
            return False

    eventually(taken, seconds=seconds, every=0.2)


def _decided(line: Line, record: dict[str, Any], body: Any, seconds: float) -> dict[str, Any]:
    """As somebody who looks again if the record has changed meanwhile: a clock may have run out."""
    version = record["version"]
    while True:
        answer = line.surely(f"/intake/v1/records/{record['id']}/screening", body, seen=version, seconds=seconds)
        if answer.status_code != 412:
            assert answer.is_success, f"{answer.status_code} {answer.text}"
            return answer.json()
        version = answer.json()["current"]


def _done(line: Line, path: str, body: Any, seconds: float, **more: Any) -> dict[str, Any]:
    answer = line.surely(path, body, seconds=seconds, **more)
    assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
    return answer.json()


class Desks:
    """So many people at work, as a context manager. What went wrong at a desk stands in `complaints`: nothing may."""

    def __init__(self, line: Line, random: Random, people: int, *, patience: float = PATIENCE) -> None:
        self.line, self.stories = line, 0
        self.complaints: list[str] = []
        seeds = [random.randrange(2**32) for _ in range(people)]
        self._patience, self._enough, self._open = patience, Event(), Event()
        self._telling = [Lock() for _ in range(people)]
        self._desks = [
            Thread(target=self._work, args=desk, daemon=True) for desk in zip(map(Random, seeds), self._telling, strict=True)
        ]

    def __enter__(self) -> Self:
        self._open.set()
        for desk in self._desks:
            desk.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._enough.set()
        self._open.set()
        for desk in self._desks if kind is not KeyboardInterrupt else []:  # who interrupts does not wait for the stories' ends
            desk.join()

    def pause(self) -> None:
        """Let everybody finish the story they tell, and begin no other."""
        self._open.clear()
        for telling in self._telling:
            with telling:
                pass

    def go_on(self) -> None:
        """Begin again."""
        self._open.set()

    def tell(self, stories: int, seconds: float = PATIENCE) -> None:
        """Wait until so many more stories were told."""
        enough = self.stories + stories
        eventually(lambda: self.stories >= enough or self.complaints, seconds, every=0.1)

    def _work(self, random: Random, telling: Lock) -> None:
        while self._open.wait() and not self._enough.is_set():
            try:
                with telling:
                    if self._open.is_set():
                        self._story(random)
            except Exception:  # noqa: BLE001 - whatever it is, it is the finding
                self.complaints.append(traceback.format_exc(limit=-3))
                time.sleep(1)
            self.stories += 1

    def _story(self, random: Random) -> None:
        """A report that goes its way; one in three is left without an answer, so that its clocks run out."""
        patience = self._patience
        if random.random() < 0.6:
            written_in(self.line, seconds=patience)
        record = reported(self.line, seconds=patience)
        hand_off = handed_over(self.line, record, seconds=patience)
        if random.random() < 0.5:
            looked_at(self.line, record, seconds=patience)
        if random.random() < 0.66:
            taken_over(self.line, hand_off, seconds=patience)

"""A row of the inbox: what one delivery of a channel is, as far as its bytes say, and the contact that comes of it."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Literal
from uuid import UUID

from contracts.places import Place
from services.intake.domain.contacts import ReceiveContact

LONGEST_TEXT, LONGEST_LINE, MOST_FILES = 20_000, 300, 100
LOST = "\N{REPLACEMENT CHARACTER}"

Kind = Literal["contact", "no_contact", "unknown", "unreadable"]
"""contact: somebody speaks to the line · no_contact: echoes, receipts and returns · unknown: an event we do not know, to be looked
at · unreadable: signed, but no message; to be looked at. All are kept as raw bytes."""

NOTES = {
    "encoding-guessed": "[Bảng mã khai trong thư không đúng: đọc phỏng đoán theo windows-1258. Bản gốc được lưu.]",
    "encoding-unreadable": f"[Không xác định được bảng mã: chỗ không đọc được hiện là {LOST}. Bản gốc được lưu.]",
    "malformed": "[Thư sai cấu trúc: nội dung dưới đây là nguyên văn các byte nhận được. Bản gốc được lưu.]",
    "auto-submitted": "[Thư do máy gửi tự động: không trả lời tự động.]",
    "cut": "[Nội dung bị cắt bớt vì quá dài. Bản gốc được lưu.]",
}
"""What whoever reads the contact must know about how it was read, by remark."""


@dataclass(frozen=True, slots=True)
class File:
    """An attachment. sha256: of the bytes that came along; without it they were not fetched, and `address` says where they lie."""

    name: str
    media_type: str
    size: int | None = None
    sha256: str | None = None
    address: str | None = None

    def __str__(self) -> str:
        told = (
            self.media_type,
            None if self.size is None else f"{self.size} bytes",
            self.sha256 and f"sha256:{self.sha256}",
            self.address,
        )
        return f"{self.name} ({', '.join(part for part in told if part)})"


@dataclass(frozen=True, slots=True)
class Delivery:
    """`id` is the provider's and safe in a cause or a header: printable ASCII of at most 128 characters, never a sender's words.

    sha256: of the raw bytes, hex; the same id with other bytes is a conflict to be shown. event: the provider's name for it.
    sent_at: the provider's or the sender's claim. handle, text, files: personal. remarks: codes of how it was read.
    """

    channel: str
    form: str
    id: str
    sha256: str
    kind: Kind
    event: str
    sent_at: datetime | None = None
    handle: str | None = None
    text: str | None = None
    files: tuple[File, ...] = ()
    remarks: tuple[str, ...] = ()

    def contact(self, *, caller_id: UUID, received_at: datetime, centre: Place) -> ReceiveContact | None:
        """The command that this delivery is; None for what is no contact.

        caller_id: the person minted for the delivery, under whom its raw bytes are sealed too. received_at: arrival at us.
        """
        if self.kind != "contact":
            return None
        return ReceiveContact(
            channel=self.channel,
            line="child",
            form=self.form,
            received_at=received_at,
            sent_at=self.sent_at,
            centre=centre,
            caller_id=caller_id,
            handle=self.handle[:LONGEST_LINE] if self.handle else None,
            text=self._text(),
            files=self._files() or None,
        )

    def _text(self) -> str | None:
        said = self.text or ""
        room = LONGEST_TEXT - sum(len(note) + 1 for note in NOTES.values())
        remarks = [*self.remarks, "cut"] if len(said) > room and "cut" not in self.remarks else self.remarks
        return "\n".join([*(NOTES[remark] for remark in remarks if remark in NOTES), said[:room]]).strip("\n") or None

    def _files(self) -> list[str]:
        listed = [str(file) for file in self.files[:MOST_FILES]]
        more = len(self.files) - MOST_FILES
        return [*listed, f"+ {more} tệp khác trong bản gốc"] if more > 0 else listed


def digest(raw: bytes) -> str:
    """SHA-256 in hex: the id of what has none of its own."""
    return sha256(raw).hexdigest()


def clean(text: str) -> str:
    """Text as a database can hold it: U+FFFD for NUL and for half a surrogate pair, everything else word for word."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", LOST)


def line(text: str) -> str:
    """One line of at most 300 characters: no control characters, and none that turn the direction of writing around."""
    kinds = ((letter, unicodedata.category(letter)) for letter in " ".join(clean(text).split()))
    return "".join(LOST if kind == "Cc" else letter for letter, kind in kinds if kind != "Cf")[:LONGEST_LINE].strip()

"""Signed notes (C2SP signed-note, type 0x01): a text, an empty line, and lines of Ed25519 signatures over the text.

A key has a name, and here the name of a log's key is the origin of the log: a signature of a test never verifies in production.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chassis.ledger import encoding
from chassis.ledger.errors import LedgerError

ED25519 = 1
LARGEST = 64 * 1024
"""Bytes of a note that is looked at: a checkpoint with a hundred signatures has 15,000."""
MOST_SIGNATURES = 100


@dataclass(frozen=True)
class VerifierKey:
    """The public half of a key, as it stands in a policy. `type`: 1 signs notes of a log, 4 cosigns as a witness."""

    name: str
    type: int
    public: bytes

    @classmethod
    def read(cls, text: str) -> "VerifierKey":
        """From `<name>+<id>+<base 64 of type and key>`. Raises LedgerError `policy`; the id is computed anew, not believed."""
        name, _, rest = text.partition("+")
        id_, _, body = rest.partition("+")
        try:
            raw = encoding.decode(body)
        except ValueError as problem:
            raise LedgerError("policy", f"a verifier key is {problem}") from None
        if not is_name(name) or len(raw) < 2:
            raise LedgerError("policy", "a verifier key has no proper name or no key")
        key = cls(name, raw[0], raw[1:])
        if key.id.hex() != id_:
            raise LedgerError("policy", "the id of a verifier key is not that of its name and key")
        return key

    @cached_property
    def id(self) -> bytes:
        """Four bytes that lead each signature line."""
        return sha256(f"{self.name}\n".encode() + bytes([self.type]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{encoding.encode(bytes([self.type]) + self.public)}"

    def verifies(self, signature: bytes, signed: bytes) -> bool:
        """Whether this key's Ed25519 signature over these bytes is genuine."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, signed)
        except (InvalidSignature, ValueError):
            return False
        return True


class SigningKey:
    """The private half. Whoever has it can say anything in the name of the log; only the worker reads its file."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        """Raises ValueError for a name that no note can carry."""
        if not is_name(name):
            raise ValueError("a key's name has no space and no plus sign")
        self._private = private
        self.key = VerifierKey(name, ED25519, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    @classmethod
    def of_seed(cls, name: str, seed: bytes) -> "SigningKey":
        """seed: the 32 secret bytes that an Ed25519 key is made of. Raises ValueError for any other length."""
        return cls(name, Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def verifier(self) -> str:
        """The text for policies."""
        return str(self.key)

    def line(self, text: str) -> str:
        """The signature line for a note of this text; the same text gives the same line."""
        return signature_line(self.key, self._private.sign(text.encode()))

    def sign(self, text: str) -> bytes:
        """The note. Raises ValueError for a text that does not end its last line."""
        return signed(text, [self])


def signed(text: str, keys: Iterable[SigningKey]) -> bytes:
    """A note with a line of each key, as both sign while one key takes over from another. Raises ValueError as `sign`."""
    if not text.endswith("\n"):
        raise ValueError("the text of a note ends its last line")
    return f"{text}\n{''.join(key.line(text) for key in keys)}".encode()


def signature_line(key: VerifierKey, signature: bytes) -> str:
    """`— <name> <base 64 of id and signature>`, ended."""
    return f"— {key.name} {encoding.encode(key.id + signature)}\n"


@dataclass(frozen=True)
class Signature:
    """One line below a text."""

    name: str
    id: bytes
    signature: bytes

    def by(self, key: VerifierKey) -> bool:
        """Whether the line says that it is this key's."""
        return (self.name, self.id) == (key.name, key.id)


def taken_apart(note: bytes) -> tuple[str, list[Signature]]:
    """Text and lines of a note, nothing verified. Raises LedgerError `checkpoint` for what is no note."""
    try:
        whole = note.decode() if len(note) <= LARGEST else ""
    except UnicodeDecodeError:
        raise LedgerError("checkpoint", "a note is not UTF-8") from None
    text, gap, below = whole.rpartition("\n\n")
    if not gap or not below.endswith("\n") or any(ord(character) < 32 for character in whole if character != "\n"):
        raise LedgerError("checkpoint", f"not a signed note, or larger than {LARGEST} bytes")
    lines = [_signature(line) for line in below[:-1].split("\n")]
    if len(lines) > MOST_SIGNATURES or len({(line.name, line.id) for line in lines}) < len(lines):
        raise LedgerError("checkpoint", "a note repeats a signature, or has more than a hundred")
    return f"{text}\n", lines


def opened(note: bytes, keys: Sequence[VerifierKey]) -> str:
    """The text, if a known key signed it and no line of a known key is false. Lines of unknown keys are ignored.

    Raises LedgerError `signature`, or `checkpoint` for what is no note.
    """
    text, lines = taken_apart(note)
    known = [(line, key) for line in lines for key in keys if key.type == ED25519 and line.by(key)]
    if not known:
        raise LedgerError("signature", "a note is not signed by any known key of its log")
    if not all(key.verifies(line.signature, text.encode()) for line, key in known):
        raise LedgerError("signature", "a signature in the name of a known key is false")
    return text


def is_name(name: str) -> bool:
    """Whether a note can carry the name: no space of any kind, no plus sign, no control character."""
    return bool(name) and name.isprintable() and not any(character.isspace() or character == "+" for character in name)


def _signature(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, _, body = rest.partition(" ")
    try:
        raw = encoding.decode(body)
    except ValueError:
        raw = b""
    if dash != "—" or not is_name(name) or len(raw) < 5:
        raise LedgerError("checkpoint", "a line below a note is not a signature")
    return Signature(name, raw[:4], raw[4:])

"""Cosignatures of witnesses (C2SP tlog-cosignature, Ed25519): "at this time, this was the largest head I had seen of that log"."""

from collections.abc import Iterable

from chassis.ledger.note import Signature, VerifierKey

COSIGNATURE = 4
"""Type of the key; the other published type, ML-DSA-44, is not read here."""


def cosigned_at(text: str, lines: Iterable[Signature], witness: VerifierKey) -> int | None:
    """Seconds since 1970 at which the witness cosigned a checkpoint of this text; None without a genuine line of its own."""
    for line in lines:
        if line.by(witness) and len(line.signature) == 72:
            time, signature = int.from_bytes(line.signature[:8], "big"), line.signature[8:]
            if time < 2**63 and witness.verifies(signature, cosigned(text, time)):
                return time
    return None


def cosigned(text: str, time: int) -> bytes:
    """The bytes that a witness signs."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()

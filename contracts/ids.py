"""Derived ids (catalogue of identity): the same cause always names the same stream and the same command."""

from uuid import UUID, uuid5

from contracts.kernel import NS
from contracts.shapes import Addressee


def command_id(stream: UUID, cause: str, command: str) -> UUID:
    """One intention happens once: the id that `append()` writes beside the events of a command."""
    return uuid5(stream, f"{cause}:{command}")


def created_stream(cause: str, command: str) -> UUID:
    """Stream that a creating command of this cause begins."""
    return uuid5(NS, f"{cause}:{command}")


def case_of(record: UUID, child: UUID) -> UUID:
    """One case a child and record, whoever asks first."""
    return uuid5(record, str(child))


def referral_by(record: UUID, cause: str, addressee: Addressee) -> UUID:
    """Hand-off that a reaction makes for one addressee."""
    return uuid5(record, f"{cause}:{addressee}")


def referral_of_item(case: UUID, cause: str, item: int) -> UUID:
    """Hand-off that asks for the service of one plan item."""
    return uuid5(case, f"{cause}:{item}")


def thread_of(about: UUID, recipient: Addressee) -> UUID:
    """One thread of messages a matter and recipient."""
    return uuid5(about, str(recipient))


def system_stream(origin: str) -> UUID:
    """Stream on which a log speaks of itself."""
    return uuid5(NS, origin)

"""Bundles: who asked for evidence to take away, why, who agreed, and what was handed over."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import Field

from contracts.codes import LogName, ReadReason
from contracts.kernel import Command, Refused, changed
from contracts.projections import BundleApproved, BundleExported, BundleRequested
from contracts.shapes import told
from services.projections.reads import ReadBefore, decide, evolve

APPROVALS = 2
"""People other than the asker who must agree before sealed parts are shown in clear."""
Positions = Annotated[str, Field(pattern=r"^[a-z]{1,40}:[0-9]{1,18}(,[a-z]{1,40}:[0-9]{1,18}){0,9}$")]
"""An instant as answers quote it: `intake:812,cases:18421`."""


class RequestBundle(Command):
    """An auditor asks for a bundle: of one case, of whole logs, or of both."""

    creates: ClassVar[bool] = True
    case_id: UUID | None = None
    logs: Annotated[list[LogName] | None, Field(max_length=10)] = None
    instant: Positions | None = None
    opened: bool = False
    reason: ReadReason


class ApproveBundle(Command):
    """Agree that this bundle shows sealed parts in clear."""

    needs_if_match: ClassVar[bool] = True


class ExportBundle(Command):
    """The bundle is written and about to be handed over: the SHA-256 of its tar, and the sizes of the logs in it."""

    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    instant: Positions


@dataclass(frozen=True, kw_only=True)
class Bundle(ReadBefore):
    """A bundle that was asked for. requester: subject id. exported: the digest once it was handed over."""

    case_id: UUID | None
    logs: tuple[str, ...]
    instant: str | None
    opened: bool
    reason: str
    requester: str
    approvers: tuple[str, ...] = ()
    exported: str | None = None


def bundle_in(state: ReadBefore | None) -> Bundle:
    """Raises Refused `not-found` for a stream of another kind."""
    if not isinstance(state, Bundle):
        raise Refused("not-found")
    if state.exported:
        raise Refused("already-exported", digest=state.exported)
    return state


@decide.register
def request_bundle(command: RequestBundle, _: ReadBefore | None) -> Iterator[BundleRequested]:
    if not (command.case_id or command.logs):
        raise Refused("scope-is-empty")
    yield BundleRequested(**told(command), auditor=command.actor)


@decide.register
def approve_bundle(command: ApproveBundle, state: ReadBefore | None) -> Iterator[BundleApproved]:
    """One approval a person: whoever agrees twice is still one."""
    bundle = bundle_in(state)
    if command.actor == bundle.requester:
        raise Refused("own-request")
    if command.actor not in bundle.approvers:
        yield BundleApproved(number=len(bundle.approvers) + 1, approver=command.actor)


@decide.register
def export_bundle(command: ExportBundle, state: ReadBefore | None) -> Iterator[BundleExported]:
    bundle = bundle_in(state)
    if command.actor != bundle.requester:  # to whom others have agreed
        raise Refused("not-your-request")
    if bundle.opened and len(bundle.approvers) < APPROVALS:
        raise Refused("approvals-missing", needed=APPROVALS, given=len(bundle.approvers))
    yield BundleExported(**told(command), auditor=command.actor)


@evolve.register
def bundle_requested(fact: BundleRequested, _: Any) -> Bundle:
    return Bundle(
        case_id=fact.case_id,
        logs=tuple(fact.logs or ()),
        instant=fact.instant,
        opened=fact.opened,
        reason=fact.reason,
        requester=fact.auditor,
    )


@evolve.register
def bundle_approved(fact: BundleApproved, bundle: Bundle) -> Bundle:
    return changed(bundle, approvers=(*bundle.approvers, fact.approver))


@evolve.register
def bundle_exported(fact: BundleExported, bundle: Bundle) -> Bundle:
    return changed(bundle, exported=fact.digest)

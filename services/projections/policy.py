"""Who may read what: the relations of `contracts/roles.yaml` between a capacity and a file, judged by how things stand today."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from chassis.commands import NotFound
from chassis.identity import Actor, Capacity, may, roles
from chassis.problems import Problem
from chassis.view_builds import reading
from contracts.kernel import Command
from contracts.places import NATION
from services.projections.bundles import Bundle
from services.projections.views.history import Sees

LINE = frozenset({"counsellor", "supervisor", "operator"})
DATA_DESK = f"data_desk@{NATION}"
BODIES = {"commune_officer": "commune_pc", "commune_chair": "commune_pc", "provincial_officer": "province_health"}


@dataclass(frozen=True, slots=True)
class Standing:
    """Whose a file is. owner: the officer of the line who answers for the record it belongs to."""

    kind: str
    owner: str | None = None
    lead: str | None = None
    incident: str | None = None
    residence: str | None = None
    addressee: str | None = None
    provinces: tuple[str, ...] = ()


def body_of(capacity: Capacity) -> str | None:
    """The body somebody acts for, as an addressee is written."""
    if capacity.role in BODIES and capacity.place:
        return f"{BODIES[capacity.role]}@{capacity.place}"
    return DATA_DESK if capacity.role == "data_officer" else capacity.agency


def relations(state: Any, capacity: Capacity, command: Command | None = None) -> frozenset[str]:  # noqa: ARG001
    """How this capacity stands to a file, or to a bundle that was asked for.

    A contact is the line's alone: its words may tell who called.
    """
    if isinstance(state, Bundle):  # who is audited is not told that somebody asked
        return frozenset({"line"} if capacity.role == "supervisor" else ())
    held = {"line"} if capacity.role in LINE else set[str]()
    if not isinstance(state, Standing):
        return frozenset(held)
    if state.owner == capacity.subject:
        held.add("own")
    if BODIES.get(capacity.role) == "commune_pc" and capacity.place:
        held |= {"lead"} if capacity.place == state.lead else set()
        held |= {"incident"} if capacity.place in {state.lead, state.incident, state.residence} else set()
    if capacity.role == "provincial_officer" and capacity.place in state.provinces:
        held.add("province")
    if state.addressee and state.addressee == body_of(capacity):
        held |= {"addressed", "agency"}
    return frozenset(held)


def permitted(actor: Actor, view: str, standing: Standing) -> Capacity | None:
    """The first capacity in which this view of this file may be read."""
    for capacity, relation in may(actor, view, roles()["views"]):
        if relation == "any" or relation in relations(standing, capacity):
            return capacity
    return None


def reader_of(actor: Actor, views: tuple[str, ...], standing: Standing | None) -> tuple[Capacity, str]:
    """The capacity, and the first of the views, in which this file may be read. Unknown and not yours look alike.

    Raises Problem 403 where no role held has any of these views, NotFound where none stands in the needed relation.
    """
    if not any(may(actor, view, roles()["views"]) for view in views):
        raise Problem(403, "not-allowed")
    for view in views:
        if standing and (capacity := permitted(actor, view, standing)):
            return capacity, view
    raise NotFound


def sees(capacity: Capacity, view: str) -> Sees:
    """A restricted person is shown to the data officer alone."""
    if view == "restricted":
        return "restricted"
    return "everybody" if capacity.role == "data_officer" else "unrestricted"


async def standing(pool: AsyncConnectionPool, kind: str, id_: UUID) -> Standing | None:
    """Whose this file is today; None if there is no such file, or no file names such a person. The searches are nobody's."""
    if kind == "searches":
        return Standing(kind)
    if kind == "person":
        async with reading(pool) as db:
            named = await db.execute("SELECT 1 FROM belongs WHERE to_stream = %s AND kind LIKE '%%:%%' LIMIT 1", (id_,))
            return Standing(kind) if await named.fetchone() else None
    query = (
        "SELECT w.kind, coalesce(r.owner, w.owner), w.lead, w.incident, w.residence, w.addressee, w.provinces"
        " FROM work w LEFT JOIN work r ON r.id = w.record_id WHERE w.id = %s AND w.kind = %s"
    )
    async with reading(pool) as db:
        row = await (await db.execute(query, (id_, kind))).fetchone()
    return Standing(*row[:-1], provinces=tuple(row[-1])) if row else None

"""The monitor's trees and what is served of them, over the real database; topics and signers are played by the test."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.ledger.checkpoint import Checkpoint
from chassis.ledger.encoding import decode
from chassis.ledger.entry import entry
from chassis.ledger.errors import LedgerError
from chassis.ledger.note import SigningKey
from chassis.ledger.policy import Policy
from chassis.ledger.proof import Proof
from chassis.ledger.tree import Frontier, consistent, leaf, root
from chassis.log import Row
from services.projections.audit.monitor import Monitor
from services.projections.audit.trees import Edge, over
from services.projections.test_world import BASE

pytestmark = [pytest.mark.anyio, pytest.mark.real]
ORIGIN = "hotline111.example/test/cases"
KEY = SigningKey.of_seed(ORIGIN, bytes(range(32)))
POLICY = Policy.read(f"log {KEY.verifier}\nquorum none\n".encode())
AT, STREAM = datetime(2026, 11, 23, 3, tzinfo=UTC), UUID(int=1)


def row(position, state=b"{}"):
    return Row(STREAM, position, "cases.CaseOpened", state, position, AT)


def raw(position, state=b"{}"):
    return entry(ORIGIN, position, AT, STREAM, position, "cases.CaseOpened", state)


def frontier(size, state=b"{}"):
    tree = Frontier()
    for position in range(1, size + 1):
        tree.add(leaf(raw(position, state)))
    return tree


@dataclass
class Record:
    """A record of the topic of checkpoints."""

    value: bytes
    key: bytes = b"cases"
    offset: int = 0


def signed(size, state=b"{}", key=KEY):
    return Record(key.sign(Checkpoint(ORIGIN, size, frontier(size, state).root()).text()))


@pytest.fixture
async def monitor(worker, postgres):
    with psycopg.connect(postgres.uri("projections"), autocommit=True) as db:
        db.execute("ALTER TABLE audit_hash DISABLE TRIGGER USER; TRUNCATE audit_tree, audit_hash, audit_note, audit_read")
        db.execute("ALTER TABLE audit_hash ENABLE TRIGGER USER")
    return Monitor(worker.pool, worker.settings, worker.time)


@pytest.fixture
def hears(monitor):
    """The topic of cases tells this many rows, and its signer told these notes."""

    async def hear(size, *notes, first=1):
        await monitor.take("cases", [row(position) for position in range(first, size + 1)])
        if notes:
            await monitor.keep(POLICY, notes)
        await monitor.compare("cases")

    return hear


async def test_a_monitor_that_starts_anew_reads_on_behind_what_it_judged_and_judges_it_anew_under_another_policy(monitor):
    stranger = SigningKey.of_seed(ORIGIN, bytes(32))
    await monitor.keep(POLICY, [replace(signed(1), offset=6), replace(signed(2, key=stranger), offset=7)])
    assert 8 == await monitor.read_to(POLICY)
    both = Policy.read(f"log {KEY.verifier}\nlog {stranger.verifier}\nquorum none\n".encode())
    assert 0 == await monitor.read_to(both)


@pytest.fixture
def get(reading):
    async def ask(path, who="TVV-01", status=200):
        answer = await (reading.get(f"{BASE}/audit{path}", who=who) if who else reading.http.get(f"{BASE}/audit{path}"))
        assert status == answer.status_code, answer.text
        return answer

    return ask


async def test_a_tree_grown_in_any_portions_has_the_root_of_all_that_was_told(monitor):
    sizes, tree = [1, 2, 255, 256, 257, 600, 65_536, 65_900], Frontier()
    rows, roots = [row(position) for position in range(1, sizes[-1] + 1)], {}
    for each in rows:
        tree.add(leaf(raw(each.position)))
        roots[tree.size] = tree.root() if tree.size in sizes else b""
    begun = 0
    for size in sizes:
        monitor._edges.clear()  # as after a restart
        assert size == await monitor.take("cases", rows[begun:size])
        begun = max(0, size - 3)  # told again
    async with monitor.pool.connection() as db:
        assert [roots[size] for size in sizes] == [
            await over(db, "cases", size, lambda read, size=size: root(read, size)) for size in sizes
        ]


@given(st.integers(1, 700))
def test_the_edge_of_a_tree_completes_each_tile_when_its_last_hash_comes(size):
    edge = Edge()
    hashes = [each for position in range(1, size + 1) for each in edge.add(b"%d" % position)]
    assert size == sum(each.level == 0 for each in hashes)
    assert [*range(size // 256)] == [each.number for each in hashes if each.level == 1]
    assert [size % 256, size // 256 % 256] == [len(each) for each in [*edge.open, []][:2]]


async def test_a_gap_is_not_closed_by_what_follows_it(monitor):
    await monitor.take("cases", [row(1), row(3), row(4)])
    assert 2 == await monitor.take("cases", [row(1), row(2)])
    assert 4 == await monitor.take("cases", [row(3), row(4)])


async def test_a_receipt_proves_offline_that_the_entry_is_under_the_served_checkpoint(hears, get):
    await hears(600, signed(600))
    for position in (1, 256, 257, 600):
        shown = Proof.read((await get(f"/cases/{position}/proof")).content).checked(POLICY, ORIGIN)
        assert (position, "cases.CaseOpened", 600) == (shown.entry.position, shown.entry.type, shown.checkpoint.size)
    receipt = (await get("/cases/257/proof")).text
    for place in ("extra ", "index "):
        altered = receipt.replace(place, place.replace("x", "y", 1) if place == "extra " else "index 1", 1)
        with pytest.raises(LedgerError):
            Proof.read(altered.encode()).checked(POLICY, ORIGIN)


async def test_every_served_checkpoint_continues_the_ones_before(hears, get):
    await hears(600, signed(600))
    for old, new in ((1, 600), (256, 257), (257, 600), (512, 600), (599, 600)):
        hashes = [decode(line) for line in (await get(f"/cases/consistency?from={old}&to={new}", who=None)).text.splitlines()]
        assert consistent(old, frontier(old).root(), new, frontier(new).root(), hashes)
    for same in ("from=0&to=600", "from=600&to=600", "from=0&to=0"):
        assert "" == (await get(f"/cases/consistency?{same}", who=None)).text
    await get("/cases/consistency?from=3&to=2", who=None, status=400)
    await get("/cases/consistency?from=x&to=2", who=None, status=400)


async def test_checkpoints_are_public_and_receipts_are_for_whoever_is_logged_in(hears, get):
    await hears(3, signed(3))
    note = (await get("/cases/checkpoint", who=None)).content
    assert frontier(3).root() == POLICY.opened(note, ORIGIN).checkpoint.root
    (item,) = (await get("/checkpoints", who=None)).json()["items"]
    assert ("cases", ORIGIN, 3, note.decode()) == (item["log"], item["origin"], item["size"], item["note"])
    await get("/cases/1/proof", who=None, status=401)


async def test_what_is_not_covered_yet_is_asked_for_later_and_what_is_not_there_is_not_found(hears, get, monitor):
    await hears(3, signed(2))
    answer = await get("/cases/3/proof", status=503)
    assert ("urn:hotline111:not-caught-up", "cases:2", "2") == (
        answer.json()["type"],
        answer.json()["position"],
        answer.headers["retry-after"],
    )
    await get("/cases/4/proof", status=503)  # nobody knows yet whether there is more
    await get("/intake/checkpoint", who=None, status=503)
    await get("/kitchen/1/proof", status=404)
    await get(f"/cases/{2**70}/proof", status=404)
    await get("/cases/0/proof", status=400)

    async def at_end():
        while True:
            async with monitor.pool.connection() as db:
                await db.execute("UPDATE audit_tree SET at_end = %s", (monitor.time.now(),))
            await asyncio.sleep(0.2)

    task = asyncio.create_task(at_end())
    try:
        await get("/cases/4/proof", status=404)
    finally:
        task.cancel()


async def test_a_receipt_asked_for_at_once_waits_for_its_checkpoint(hears, get):
    await hears(2)
    asked = asyncio.create_task(get("/cases/2/proof"))
    await asyncio.sleep(0.3)
    await hears(2, signed(2))
    assert 2 == Proof.read((await asked).content).checked(POLICY).entry.position


async def test_a_checkpoint_over_something_else_than_what_was_told_is_an_alarm_and_is_not_served(hears, get, monitor):
    await hears(3, signed(2), signed(3, b"{} "))
    async with monitor.pool.connection() as db:
        assert [(2, True), (3, False)] == await (await db.execute("SELECT size, agrees FROM audit_note ORDER BY size")).fetchall()
    assert b"\n2\n" in (await get("/cases/checkpoint", who=None)).content
    await get("/cases/3/proof", status=503)


async def test_a_note_that_the_policy_does_not_accept_is_passed_over(hears, monitor):
    stranger = SigningKey.of_seed(ORIGIN, bytes(32))
    await hears(
        2,
        signed(2, key=stranger),
        Record(b"\xff"),
        Record(signed(2).value, b"intake"),
        Record(signed(2).value, b"kitchen"),
        Record(b""),
    )
    async with monitor.pool.connection() as db:
        assert [] == await (await db.execute("SELECT size FROM audit_note")).fetchall()


async def test_a_rebuild_of_the_views_leaves_the_trees_alone_and_nobody_rewrites_them(hears, monitor, postgres):
    await hears(2, signed(2))
    with psycopg.connect(postgres.uri("projections", "projections_owner"), autocommit=True) as db:
        tables = "SELECT table_schema FROM information_schema.tables WHERE table_name LIKE 'audit%%'"
        assert {("public",)} == set(db.execute(tables).fetchall())
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            db.execute("UPDATE audit_hash SET hash = ''")

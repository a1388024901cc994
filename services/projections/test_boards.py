"""Worklists and the breach board: what is open, whose it is, and no personal field in any of it."""

from datetime import timedelta
from uuid import UUID

import pytest

from contracts import cases as c
from contracts import intake as i
from contracts import notifications as n
from contracts.shapes import About, Addressee
from services.projections.test_samples import (
    ALLEGED_NAME,
    CHILD_NAME,
    COMMUNE,
    HANDLE,
    INFORMANT_NAME,
    T0,
    TAKER_NAME,
    XA,
    Ids,
    Tape,
    breach,
    clock,
    closed,
    message,
    opened,
    reported,
    sent,
    silent,
    stored,
    tell_story,
)
from services.projections.test_world import AUDITOR, BASE, CHAIR, DATA, ELSEWHERE, POLICE, PROVINCE, SUPERVISOR, take

pytestmark = [pytest.mark.anyio, pytest.mark.real]


@pytest.fixture
def hear(view):
    async def hear(tape):
        await take(view, tape)

    return hear


@pytest.fixture
def listed(reading):
    async def ask(path, groups=SUPERVISOR, who="GS-01", status=200):
        answer = await reading.get(path if path.startswith(BASE) else BASE + path, who=who, groups=groups)
        assert status == answer.status_code, answer.text
        return answer

    return ask


def begun(tape, ids, commune_is_silent=False):
    """A record and a case in the open; the commune may have been asked in vain."""
    for stream, facts in reported(ids):
        tape.tell(stream, *facts)
    tape.tell(ids.case, *opened(ids))
    tape.tell(ids.to_commune, *sent(ids), *(silent(ids) if commune_is_silent else []))


def ids_in(answer):
    return [UUID(item["id"]) for item in answer.json()["items"]]


async def test_the_line_sees_what_is_open_soonest_due_first_and_nothing_that_is_done(hear, listed):
    tape, open_, over = Tape(), Ids(11), Ids(12)
    begun(tape, open_)
    begun(tape, over)
    tape.tell(over.case, c.ClockMet(clock="emergency", met_at=T0, late=False), closed(over))
    await hear(tape)
    answer = await listed("/worklists/team")
    items = answer.json()["items"]
    assert {open_.to_commune, over.to_commune, open_.case} == set(ids_in(answer))
    assert sorted(item["clock"]["due_at"] for item in items) == [item["clock"]["due_at"] for item in items]
    (case,) = [item for item in items if item["kind"] == "case"]
    assert ("TRIAGED", "Đã phân loại nguy cơ", XA, "emergency") == (
        case["label"]["code"],
        case["label"]["vi"],
        case["commune"]["code"],
        case["clock"]["clock"],
    )
    assert case["reference"].startswith("C-")
    assert "cases:6" in answer.headers["hotline-instant"]


async def test_a_page_ends_where_the_next_one_begins_and_every_row_comes_once(hear, listed):
    tape = Tape()
    for number in range(20, 27):
        begun(tape, Ids(number))
    await hear(tape)
    found, path = [], "/worklists/team?limit=3"
    while path:
        answer = await listed(path)
        assert len(answer.json()["items"]) <= 3
        found += ids_in(answer)
        path = answer.links["next"]["url"] if "next" in answer.links else None
    assert 14 == len(found) == len(set(found))
    assert found == ids_in(await listed("/worklists/team?limit=200"))


async def test_everybody_sees_their_own_rows_only(hear, listed):
    tape, ids = Tape(), Ids(30)
    begun(tape, ids)
    await hear(tape)
    own = {ids.case, ids.to_commune}
    assert own == set(ids_in(await listed("/worklists/mine", ("counsellor",), "TVV-01")))
    assert set() == set(ids_in(await listed("/worklists/mine", ("counsellor",), "TVV-02")))
    assert own == set(ids_in(await listed("/worklists/commune", CHAIR)))
    assert set() == set(ids_in(await listed("/worklists/commune", ELSEWHERE)))
    assert own == set(ids_in(await listed("/worklists/province", PROVINCE)))
    assert set() == set(ids_in(await listed("/worklists/mine", POLICE)))
    assert own == set(ids_in(await listed("/worklists/team", AUDITOR)))
    for scope, groups in (
        ("team", ("counsellor",)),
        ("team", CHAIR),
        ("commune", PROVINCE),
        ("province", POLICE),
        ("mine", AUDITOR),
    ):
        await listed(f"/worklists/{scope}", groups, status=403)
    await listed("/worklists/everything", status=400)


async def test_a_silent_hand_off_stands_on_the_breach_board_once_until_somebody_takes_over(hear, listed):
    tape, ids = Tape(), Ids(40)
    begun(tape, ids, commune_is_silent=True)
    tape.tell(ids.case, breach(c, "emergency", T0 + timedelta(hours=12)))
    await hear(tape)
    board = (await listed("/breaches")).json()["items"]
    assert [("referrals", "acknowledgement", 1), ("cases", "emergency", 1)] == [
        (b["log"], b["clock"], b["breaches"]) for b in board
    ]
    assert ["SILENT", "TRIAGED"] == [b["about"]["label"]["code"] for b in board]
    assert [None, "Decree 56/2017 art. 26.3, 31.1"] == [b["law"] for b in board]
    assert str(COMMUNE) == board[0]["responsible"]
    assert 2 == len((await listed("/breaches", CHAIR)).json()["items"])
    assert [] == (await listed("/breaches", ELSEWHERE)).json()["items"]
    first = await listed("/breaches?limit=1")
    assert board[1:] == (await listed(first.links["next"]["url"])).json()["items"]


async def test_a_right_that_was_not_answered_in_time_stands_on_the_board_of_the_data_desk(hear, listed):
    tape, desk = Tape(), Addressee(role="data_desk", place="vn@2025-07-01")
    asked = i.DataRequestReceived(number=1, right="erase", received_at=T0, authority="subject", person_id=Ids(43).child)
    late = i.ClockBreached(clock="data-right/1", due_at=T0, responsible=desk, tell=[desk])
    tape.tell(Ids(43).child, asked, clock(i, "data-right/1", T0, desk), late)
    await hear(tape)
    (row,) = (await listed("/breaches", DATA, "DL-01")).json()["items"]
    assert ("data-right/1", "Law 91/2025 art. 4", str(desk), None) == tuple(
        row[n] for n in ("clock", "law", "responsible", "about")
    )
    assert 1 == len((await listed("/breaches")).json()["items"])
    assert [] == (await listed("/breaches", ("counsellor",), "TVV-01")).json()["items"]


async def test_a_story_that_ended_leaves_no_breach_behind_on_the_board_but_in_the_file(hear, listed):
    tape, ids = Tape(), Ids(41)
    tell_story(tape, ids)
    await hear(tape)
    assert [ids.to_police] == [
        UUID(item["id"]) for item in (await listed("/worklists/team")).json()["items"] if item["kind"] == "hand_off"
    ]
    assert [] == (await listed("/breaches")).json()["items"]


async def test_a_message_that_reached_nobody_stands_on_the_breach_board_until_it_is_sent_again(hear, listed):
    tape, ids = Tape(), Ids(42)
    begun(tape, ids)
    lost = n.MessageUndeliverable(
        about=About(kind="hand_off", id=ids.to_commune), recipient=COMMUNE, number=1, tried=2, because="exhausted"
    )
    queued = message(ids)[0]
    tape.tell(ids.thread, queued, lost)
    await hear(tape)
    (row,) = (await listed("/breaches")).json()["undeliverable"]
    assert (str(ids.thread), str(ids.to_commune), str(COMMUNE)) == (row["message"], row["about"]["id"], row["recipient"])
    tape.tell(ids.thread, queued.model_copy(update={"number": 2}))
    await hear(tape)
    assert [] == (await listed("/breaches")).json()["undeliverable"]
    assert "undeliverable" not in (await listed("/breaches", CHAIR)).json()


async def test_what_is_parked_is_counted_on_the_board_and_listed_with_its_reason_for_those_who_mend_it(hear, listed):
    tape, ids = Tape(), Ids(43)
    begun(tape, ids)
    stored(tape, ids.case, b'{"v":9,"meta":{},"fact":{}}', version=3)
    await hear(tape)
    assert 1 == (await listed("/breaches")).json()["parked"]
    (row,) = (await listed("/parked", ("operator",))).json()["items"]
    assert ("hotline.cases.events.v1", 3, "cases.ClockMet") == (row["topic"], row["position"], row["type"])
    assert "newer than this reader" in row["reason"]
    await listed("/parked", ("counsellor",), status=403)


async def test_no_board_shows_a_personal_field_and_none_is_a_read(hear, listed, worker):
    tape, ids = Tape(), Ids(44)
    tell_story(tape, ids)
    begun(tape, Ids(45), commune_is_silent=True)
    await hear(tape)
    before = await worker.log.head()
    for path in ("/worklists/team", "/breaches", "/parked"):
        text = (await listed(path)).text
        assert not [name for name in (CHILD_NAME, ALLEGED_NAME, INFORMANT_NAME, TAKER_NAME, HANDLE) if name in text]
    assert before == await worker.log.head()


async def test_a_due_time_that_moved_moves_the_row(hear, listed):
    tape, early, late = Tape(), Ids(46), Ids(47)
    for ids, due in ((early, T0), (late, T0 + timedelta(hours=1))):
        tape.tell(ids.case, opened(ids)[0], clock(c, "emergency", due))
    await hear(tape)
    assert [early.case, late.case] == ids_in(await listed("/worklists/team"))
    moved = c.ClockRecomputed(
        clock="emergency", was_due_at=T0, due_at=T0 + timedelta(hours=2), because="calendar", rule="emergency@2017-07-01"
    )
    tape.tell(early.case, moved)
    await hear(tape)
    assert [late.case, early.case] == ids_in(await listed("/worklists/team"))


@pytest.mark.parametrize("query", ["after=nonsense", "after=W10=", "after=eyJhIjogMX0=", "limit=0", "limit=201", "limit=x"])
async def test_a_cursor_that_is_not_ours_is_refused(listed, query):
    await listed(f"/worklists/team?{query}", status=400)


async def test_the_instant_of_a_time_needs_a_role_and_a_time(listed):
    await listed("/instants?at=2026-11-23T03:00:00Z", POLICE, status=403)
    await listed("/instants?at=yesterday", status=400)
    await listed("/instants", status=400)

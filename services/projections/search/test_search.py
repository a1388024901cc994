"""Searching: what is found, by whom, and that nothing personal is in the answer; over the real database."""

import asyncio
from uuid import UUID, uuid4

import pytest

from contracts import intake as i
from contracts.references import reference
from services.projections.search import finding
from services.projections.search import index as searching
from services.projections.search.finding import SHOWN
from services.projections.search.folding import words
from services.projections.test_refusals import STRANGERS
from services.projections.test_samples import CAU, CHILD_NAME, HANDLE, HANOI, SIBLING_NAME, T0, XA, child
from services.projections.test_world import CHAIR, DATA, ELSEWHERE, OFFICER, PROVINCE, SUPERVISOR, problem, take_as_before

pytestmark = [pytest.mark.anyio, pytest.mark.real]
RESTRICTED = i.PersonRestricted(basis="hold")
LIFTED = i.RestrictionLifted(reason="settled")
FORGOTTEN = i.PersonForgotten(decision="12/QĐ", destroyed_at=T0)
NUMBER = "+84 320 000 017"
assert HANDLE == "0320000017"


def ids_in(answer):
    assert 200 == answer.status_code, answer.text
    return [hit["id"] for hit in answer.json()["hits"]]


async def report(world, *names, commune=XA, heard=True):
    """A further report with children of these names; its id and those of the children."""
    record, children = uuid4(), {uuid4(): name for name in names}
    world.keys |= await world.worker.keys.create(children)
    said = {"source": "school", "centre": HANOI, "owner": "TVV-02", "received_at": T0, "incident_commune": commune}
    said |= {"contacts": [], "alleged": [], "emergency": False, "procedures": []}
    world.tape.tell(record, i.ReportReceived(**said, children=[child(id_, name) for id_, name in children.items()]))
    if heard:
        await world.hear()
    return record, *children


async def told(world, person, *facts):
    """What intake says of a person, heard."""
    world.tape.tell(person, *facts, by="DL-01", as_="data_officer")
    await world.hear()


# -- what is found -----------------------------------------------------------------------------------------------------------------


async def test_a_child_is_found_by_name_and_the_answer_names_the_case_and_nobody(world, ask):
    answer = await ask("Mẫu Văn Tí")
    case = next(event for event in world.tape.events if event.stream == world.ids.case)
    hit = {
        "kind": "case",
        "id": str(world.ids.case),
        "reference": reference("C", case.position),
        "matched": {"code": "child_name", "vi": "tên trẻ"},
        "likeness": "same",
        "recorded_at": case.recorded_at.isoformat().replace("+00:00", "Z"),
    }
    found = answer.json()
    assert XA == found["hits"][0].pop("commune")["code"]
    assert ([hit], False) == (found["hits"], found["more"])
    assert ["id", "reference", "child_id", "child_name"] == [field["code"] for field in found["looked_in"]]
    assert CHILD_NAME not in answer.text
    assert str(world.ids.child) not in answer.text
    assert "no-store" == answer.headers["cache-control"]
    assert answer.headers["hotline-instant"]


@pytest.mark.parametrize("query", ["mau van ti", "Tí Mẫu Văn", "MẪU VĂN TÍ", "Mau Vna Ti", "Maaux Vawn Tis", "  Mẫu  Tí. "])
async def test_however_the_name_is_written(world, ask, query):
    assert [str(world.ids.case)] == ids_in(await ask(query))


async def test_siblings_are_two_cases_and_their_record_is_none_beside_them(world, ask):
    assert {str(world.ids.case), str(world.ids.other_case)} == set(ids_in(await ask("Mẫu")))


async def test_a_child_without_a_case_is_found_in_the_record(world, ask):
    record, _ = await report(world, "Thử Thị Đào")
    (hit,) = (await ask("thu thi dao")).json()["hits"]
    assert ("record", str(record), "without_marks") == (hit["kind"], hit["id"], hit["likeness"])
    assert hit["reference"].startswith("R-")


async def test_alike_comes_before_like_whole_names_before_parts_and_the_newest_first(world, ask):
    plain, *_ = await report(world, "Thu Thi Dao")
    part, *_ = await report(world, "Thử Thị Đào Mai")
    old, *_ = await report(world, "Thử Thị Đào")
    new, *_ = await report(world, "Thử Thị Đào")
    slip, *_ = await report(world, "Thửa Thị Đào")
    found = (await ask("Thử Thị Đào")).json()["hits"]
    assert [new, old, part, plain] == [UUID(hit["id"]) for hit in found]
    assert [slip] == [UUID(hit["id"]) for hit in (await ask("Thửaa Thị Đào")).json()["hits"]]


async def test_a_reference_and_an_id_name_their_file_and_an_id_of_a_child_its_case(world, ask):
    first = {event.stream: event.position for event in reversed(world.tape.events)}
    for kind, letter, id_ in (("case", "C", "case"), ("record", "R", "record"), ("hand_off", "H", "to_commune")):
        stream = getattr(world.ids, id_)
        for query, field in ((reference(letter, first[stream]), "reference"), (str(stream), "id")):
            (hit,) = (await ask(query.lower())).json()["hits"]
            assert (kind, str(stream), field) == (hit["kind"], hit["id"], hit["matched"]["code"])
    (hit,) = (await ask(str(world.ids.child))).json()["hits"]
    assert (str(world.ids.case), "child_id") == (hit["id"], hit["matched"]["code"])


@pytest.mark.parametrize(
    "query", ["C-HZN-6", "C-HZN-7", "R-ZZZZZZZZZZZZZ-0", "H-000-0", "TVV-01", "bị đánh", "Suối Mẫu", "Mẫu Thị Thử"]
)
async def test_nothing_else_is_looked_in_and_what_is_not_there_is_not_found(world, ask, query):
    """No address, no story, no officer; and no alleged person, who is a mention and no finding."""
    found = (await ask(query)).json()
    assert ([], False) == (found["hits"], found["more"])


async def test_alleged_and_informants_are_found_by_no_name(world, ask):
    for name in ("Giả Văn Hung", "Thử Văn Láng"):
        for groups in (("counsellor",), SUPERVISOR, CHAIR):
            assert [] == ids_in(await ask(name, groups=groups, hotline_reason="safety"))


async def test_of_many_hits_the_best_are_shown_and_that_there_are_more(world, ask, monkeypatch):
    monkeypatch.setattr(finding, "AT_ONCE", 20)
    told = [(await report(world, "Na Thử", heard=False))[0] for _ in range(SHOWN + 10)]
    mine, *_ = await report(world, "Na Thử Nhân", commune=CAU, heard=False)
    await world.hear()
    found = (await ask("na thu")).json()
    assert (told[: -SHOWN - 1 : -1], True) == ([UUID(hit["id"]) for hit in found["hits"]], found["more"])
    assert [str(mine)] == ids_in(await ask("na thu", groups=ELSEWHERE))


# -- by whom -----------------------------------------------------------------------------------------------------------------------

MINE = {
    "counsellor": ("counsellor",),
    "supervisor": SUPERVISOR,
    "commune_officer": OFFICER,
    "commune_chair": CHAIR,
    "provincial_officer": PROVINCE,
}


@pytest.mark.parametrize("query", ["Mẫu Văn Tí", "the case", "the reference", "the child"])
async def test_each_role_finds_what_it_may_open_and_a_stranger_of_it_nothing(world, ask, query):
    position = next(event.position for event in world.tape.events if event.stream == world.ids.case)
    said = {"the case": str(world.ids.case), "the reference": reference("C", position), "the child": str(world.ids.child)}
    for role, groups in MINE.items():
        assert [str(world.ids.case)] == ids_in(await ask(said.get(query, query), groups=groups, who=f"my-{role}")), role
    whole_line = {"counsellor", "supervisor"}
    for role in ("counsellor", "supervisor", "commune_officer", "commune_chair", "provincial_officer", "therapist"):
        found = ids_in(await ask(said.get(query, query), groups=(STRANGERS[role],), who=f"stranger-{role}"))
        assert ([str(world.ids.case)] if role in whole_line else []) == found, role


async def test_what_is_not_mine_is_counted_in_nothing_that_i_am_told(world, ask):
    await report(world, "Mẫu Văn Tí", commune=CAU)
    assert 2 == len(ids_in(await ask("Mẫu Văn Tí")))
    for groups in (CHAIR, ELSEWHERE):
        answer = await ask("Mẫu Văn Tí", groups=groups)
        assert (1, False) == (len(ids_in(answer)), answer.json()["more"])


async def test_a_number_is_looked_up_for_a_reason_by_whoever_may_see_who_told_us(world, ask):
    told_us = {str(world.ids.contact), str(world.ids.record)}
    assert told_us == set(ids_in(await ask(NUMBER, hotline_reason="call_back")))
    assert told_us == set(ids_in(await ask(HANDLE, groups=SUPERVISOR, who="GS-01", hotline_reason="safety")))
    answer = await ask(NUMBER)
    assert [] == ids_in(answer)
    assert "number" not in [field["code"] for field in answer.json()["looked_in"]]
    assert [] == ids_in(await ask(NUMBER, who="TVV-02", hotline_reason="call_back"))  # not the owner
    for groups in (OFFICER, CHAIR, PROVINCE):
        answer = await ask(NUMBER, groups=groups, hotline_reason="safety")
        assert [] == ids_in(answer)
        assert "number" not in [field["code"] for field in answer.json()["looked_in"]]
    assert [] == ids_in(await ask(HANDLE[:-1], hotline_reason="call_back"))


async def test_a_contact_that_no_record_names_is_not_found_by_its_number(world, ask):
    caller, contact = uuid4(), uuid4()
    world.keys |= await world.worker.keys.create([caller])
    said = {"channel": "phone", "line": "child", "form": "call", "received_at": T0, "centre": HANOI, "caller_id": caller}
    world.tape.tell(contact, i.ContactReceived(**said, handle="0320000999"))
    await world.hear()
    assert [] == ids_in(await ask("0320000999", groups=SUPERVISOR, hotline_reason="safety"))


# -- who is hidden -----------------------------------------------------------------------------------------------------------------


async def test_who_is_restricted_is_found_by_nobody_until_the_restriction_is_lifted(world, ask, index):
    await told(world, world.ids.child, RESTRICTED)
    for groups in (("counsellor",), SUPERVISOR, CHAIR, PROVINCE):
        assert [] == ids_in(await ask("Mẫu Văn Tí", groups=groups))
        assert [] == ids_in(await ask(str(world.ids.child), groups=groups))
    assert [str(world.ids.other_case)] == ids_in(await ask("Mẫu"))
    problem(await ask("Mẫu Văn Tí", groups=DATA), 403, "not-allowed")
    assert words(CHILD_NAME).spoken[-1] not in index._names._words
    await told(world, world.ids.child, LIFTED)
    assert [str(world.ids.case)] == ids_in(await ask("Mẫu Văn Tí"))


async def test_who_becomes_restricted_is_gone_with_the_next_search(world, ask):
    assert [str(world.ids.case)] == ids_in(await ask("Mẫu Văn Tí"))
    await told(world, world.ids.child, RESTRICTED)
    assert [] == ids_in(await ask("Mẫu Văn Tí"))
    assert [str(world.ids.case)] == ids_in(await ask(str(world.ids.case)))  # the file is there, without the child


async def test_who_is_forgotten_is_found_no_more_and_nothing_of_the_name_stays_in_memory(world, ask, index):
    assert [str(world.ids.other_case)] == ids_in(await ask(SIBLING_NAME))
    before = set(index._names._words)
    await told(world, world.ids.sibling, FORGOTTEN)
    assert [] == ids_in(await ask(SIBLING_NAME))
    assert set(words(SIBLING_NAME).spoken[1:]) == before - set(index._names._words)
    assert [] == ids_in(await ask(str(world.ids.sibling)))


async def test_a_caller_who_is_restricted_is_not_found_by_number(world, ask):
    await told(world, world.ids.caller, RESTRICTED)
    assert [str(world.ids.record)] == ids_in(await ask(NUMBER, hotline_reason="call_back"))
    await told(world, world.ids.informant, FORGOTTEN)
    assert [] == ids_in(await ask(NUMBER, hotline_reason="call_back"))
    await told(world, world.ids.caller, LIFTED)
    assert [str(world.ids.contact)] == ids_in(await ask(NUMBER, hotline_reason="call_back"))


async def test_in_doubt_a_person_is_not_found(world, ask, view):
    """What intake says of the person cannot be read by this build; read later, it was nothing that hides them."""
    world.tape.tell(world.ids.child, RESTRICTED, LIFTED, by="DL-01")
    await take_as_before(view, world.tape, world.ids.child)
    assert [] == ids_in(await ask("Mẫu Văn Tí"))
    await view.again("intake", world.ids.child)
    assert [str(world.ids.case)] == ids_in(await ask("Mẫu Văn Tí"))


# -- what was heard ----------------------------------------------------------------------------------------------------------------


async def test_a_search_finds_everything_that_was_heard_before_it(world, ask):
    for n in range(3):
        record, _ = await report(world, f"Thử Bờm {n}")
        assert [str(record)] == ids_in(await ask(f"bom {n}"))


async def test_a_report_that_was_parked_is_found_once_it_is_folded_late(world, ask, view):
    record, _ = await report(world, "Thử Thị Đào", heard=False)
    await take_as_before(view, world.tape, record)
    later, _ = await report(world, "Thử Thị Mai")
    assert [] == ids_in(await ask("Thử Thị Đào"))
    assert 1 == (await view.again("intake", record)).folded
    assert [str(record)] == ids_in(await ask("Thử Thị Đào"))
    assert [str(later)] == ids_in(await ask("Thử Thị Mai"))


async def test_while_not_everything_heard_is_in_memory_nobody_is_answered_and_it_goes_on(world, ask, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(searching, "PATIENCE", 0.0)
        answer = await ask("Mẫu Văn Tí")
    assert "position" in problem(answer, 503, "not-caught-up")
    assert int(answer.headers["retry-after"]) > 0
    assert [str(world.ids.case)] == ids_in(await ask("Mẫu Văn Tí"))


async def test_without_any_search_it_is_filled_from_the_start_and_forgets_who_is_forgotten(world, index, monkeypatch):
    monkeypatch.setattr(searching, "AGAIN", 0.01)
    following = asyncio.create_task(index.run(lambda: None))
    try:
        async with asyncio.timeout(10):
            while len(index._names) < 2:
                await asyncio.sleep(0.01)
            await told(world, world.ids.child, FORGOTTEN)
            while len(index._names) > 1:
                await asyncio.sleep(0.01)
    finally:
        following.cancel()
    await asyncio.wait([following])
    assert ([], [world.ids.sibling]) == tuple(
        [each.person for each in index._names.find(words(name))] for name in (CHILD_NAME, "Na")
    )

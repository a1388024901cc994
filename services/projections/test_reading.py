"""Files over HTTP: who sees what, that every read is recorded before its answer, and that an instant gives the same bytes again."""

import json
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from contracts.intake import CaseLinked
from services.projections.test_samples import (
    ALLEGED_NAME,
    CHILD_NAME,
    GOALS,
    HANDLE,
    INFORMANT_NAME,
    SIBLING_NAME,
    T0,
    TAKER_NAME,
    measure,
    stored,
)
from services.projections.test_world import AUDITOR, ELSEWHERE, POLICE, SUPERVISOR, problem, rows
from services.projections.views import instants
from services.projections.views.history import LOGS
from services.projections.views.instants import note_end, text

pytestmark = [pytest.mark.anyio, pytest.mark.real]


# -- the file ----------------------------------------------------------------------------------------------------------------


async def test_the_file_of_a_case_shows_the_child_the_silence_the_plan_and_never_the_informant(world, get):
    answer = await get(f"/cases/{world.ids.case}")
    assert 200 == answer.status_code, answer.text
    file = answer.json()
    assert (CHILD_NAME, "CLOSED", "Đã kết thúc") == (file["child"]["name"], file["label"]["code"], file["label"]["vi"])
    assert f'"{len(world.tape.of(world.ids.case))}"' == answer.headers["etag"]
    assert {"handover", "crime_report"} == {each["kind"]["code"] for each in file["hand_offs"]}
    assert file["hand_offs"][0]["silence"]
    assert GOALS[1] == file["plans"][1]["approval"]["seen"]["goals"]
    assert ALLEGED_NAME == file["alleged"][0]["name"]
    assert TAKER_NAME in answer.text
    assert not [name for name in (INFORMANT_NAME, SIBLING_NAME, HANDLE) if name in answer.text]
    assert not file["incomplete"]


async def test_the_record_and_the_contact_have_files_too(world, get):
    record = (await get(f"/records/{world.ids.record}")).json()
    assert [CHILD_NAME, SIBLING_NAME] == [each["name"] for each in record["children"]]
    assert (2, 2) == (len(record["cases"]), len(record["hand_offs"]))
    contact = await get(f"/contacts/{world.ids.contact}")
    assert "Có cháu bé bị đánh (mẫu)" == contact.json()["text"]
    assert HANDLE not in contact.text


async def test_an_answer_is_quoted_and_as_of_its_instant_gives_the_same_bytes_again(world, get):
    for path in (f"/cases/{world.ids.case}", f"/records/{world.ids.record}", f"/cases/{world.ids.case}/timeline"):
        first = await get(path)
        world.tape.tell(world.ids.case, measure(world.ids)[0])
        world.tape.tell(world.ids.record, CaseLinked(case_id=world.ids.case, child_id=world.ids.child))
        await world.hear()
        assert first.content != (await get(path)).content
        again = await get(f"{path}?as_of={first.headers['hotline-instant']}")
        assert (first.content, first.headers["etag"]) == (again.content, again.headers["etag"])
        assert first.headers["hotline-instant"] == again.headers["hotline-instant"]


async def test_the_file_as_of_an_instant_knows_nothing_that_came_later(world, get):
    silent = (await get(f"/cases/{world.ids.case}?as_of={text(world.marks['silent'])}")).json()
    assert ("SILENT", [], None) == (silent["label"]["code"], silent["plans"], silent["closure"])
    before = await get(f"/cases/{world.ids.case}?as_of={text(world.marks['first plan'])}")
    assert [GOALS[0]] == [each["goals"] for each in before.json()["plans"]]
    assert GOALS[1] not in before.text


async def test_an_instant_before_the_case_says_with_which_entry_it_begins_and_only_to_whoever_may_see_it(world, get):
    before = f"?as_of={text(world.marks['screened'])}"
    first = world.tape.of(world.ids.case)[0]
    said = problem(await get(f"/cases/{world.ids.case}{before}"), 404, "not-yet")
    assert {"position": first.cause, "recorded_at": first.recorded_at.isoformat().replace("+00:00", "Z")} == said["begins"]
    assert text(world.marks["screened"]) == said["instant"]
    assert problem(await get(f"/cases/{world.ids.case}/timeline{before}"), 404, "not-yet")["begins"]
    theirs = await get(f"/cases/{world.ids.case}{before}", groups=ELSEWHERE)
    assert (await get(f"/cases/{uuid4()}{before}", groups=ELSEWHERE)).content == theirs.content
    problem(theirs, 404, "not-found")


async def test_a_time_of_day_is_resolved_to_an_instant_once_and_quoted(world, get):
    last = world.tape.events[-1].recorded_at
    for log in LOGS:
        await note_end(world.worker.pool, log, last + timedelta(days=1))
    closed = world.marks["closed"]
    answer = await get(f"/cases/{world.ids.case}?as_of={last.isoformat()}")
    assert text(closed) == answer.headers["hotline-instant"]
    with_offset = last.astimezone().isoformat()
    assert answer.content == (await get(f"/cases/{world.ids.case}?as_of={with_offset}")).content
    at = (await get(f"/instants?at={T0.isoformat().replace('+00:00', 'Z')}")).json()
    assert {"intake": 1, "cases": 0, "referrals": 0, "notifications": 0, "projections": 0} == at["positions"]


@pytest.mark.parametrize(
    "as_of",
    [
        "nobody:1",
        "cases",
        "cases:",
        "cases:-1",
        "cases:1,cases:2",
        "cases:x",
        "2026-11-23",
        "2026-11-23T03:00:00",
        "0001-01-01T00:00:00%2B09:00",
        "",
        "cases:9999999999999999999",
    ],
)
async def test_an_instant_that_is_none_is_refused_and_no_read_recorded(world, get, as_of):
    problem(await get(f"/cases/{world.ids.case}?as_of={as_of}"), 400, "bad-request")
    assert [] == await world.reads_of(world.ids.case)


async def test_an_instant_without_the_cause_of_what_it_shows_is_refused_and_the_cause_named(world, get):
    cause = world.marks["screened"]["intake"]
    vector = text({**world.marks["closed"], "intake": cause - 1})
    body = problem(await get(f"/cases/{world.ids.case}?as_of={vector}"), 400, "bad-request")
    assert f"intake:{cause}" == body["missing"]


async def test_what_is_not_folded_yet_is_never_answered_with_an_older_state(world, get, monkeypatch):
    monkeypatch.setattr(instants, "PATIENCE", 0.1)
    head = world.marks["closed"]["cases"]
    waiting = await get(f"/cases/{world.ids.case}", hotline_wait_for=f"cases:{head + 1}")
    body = problem(waiting, 503, "not-caught-up")
    assert (text(world.marks["closed"]), "2") == (body["position"], waiting.headers["retry-after"])
    problem(await get(f"/cases/{world.ids.case}?as_of={text({**world.marks['closed'], 'cases': head + 1})}"), 503, "not-caught-up")
    for log in LOGS:
        await note_end(world.worker.pool, log, T0 + timedelta(days=1))
    future = problem(await get(f"/cases/{world.ids.case}?as_of=2999-01-01T00:00:00Z"), 503, "not-caught-up")
    assert 200 == (await get(f"/cases/{world.ids.case}?as_of={future['until']}")).status_code  # that much is available
    assert 200 == (await get(f"/cases/{world.ids.case}", hotline_wait_for=f"cases:{head},intake:1")).status_code
    problem(await get(f"/cases/{world.ids.case}", hotline_wait_for="nonsense"), 400, "bad-request")


# -- reads -------------------------------------------------------------------------------------------------------------------


async def test_every_request_is_a_read_of_its_own_with_who_why_and_the_instant_shown(world, get):
    first = await get(f"/cases/{world.ids.case}", groups=SUPERVISOR, who="GS-01", hotline_purpose="supervision")
    await get(f"/cases/{world.ids.case}?as_of={first.headers['hotline-instant']}")
    shown = first.headers["hotline-instant"]
    assert [("case", "file", "supervision", shown), ("case", "as_of", "duty", shown)] == [
        (read.kind, read.view, read.purpose, read.shown) for read in await world.reads_of(world.ids.case)
    ]
    rows_ = await world.worker.log.open(await world.worker.log.rows_of(world.ids.case))
    assert ("GS-01", "supervisor", "contact") == tuple(rows_[0].meta[name] for name in ("actor", "as", "correlation"))


async def test_a_read_that_cannot_be_recorded_is_not_answered(world, get, postgres):
    right = "EXECUTE ON FUNCTION append"
    with psycopg.connect(postgres.uri("projections"), autocommit=True) as db:
        db.execute(f"REVOKE {right} FROM projections_api")
        try:
            answer = await get(f"/cases/{world.ids.case}")
        finally:
            db.execute(f"GRANT {right} TO projections_api")
    problem(answer, 503, "try-again")
    assert CHILD_NAME not in answer.text
    assert 200 == (await get(f"/cases/{world.ids.case}")).status_code


@pytest.mark.parametrize(("header", "given"), [("hotline_purpose", ""), ("hotline_purpose", "curiosity")])
async def test_a_read_without_a_purpose_is_refused_naming_the_header(world, get, header, given):
    body = problem(await get(f"/cases/{world.ids.case}", **{header: given}), 400, "bad-request")
    assert "Hotline-Purpose" == body["header"]
    assert [] == await world.reads_of(world.ids.case)


async def test_whoever_may_ask_sees_who_has_read_anything_of_the_case_and_why(world, get):
    await get(f"/cases/{world.ids.case}", who="TVV-02")
    await get(f"/records/{world.ids.record}")
    await get(f"/cases/{world.ids.case}?view=informant", hotline_reason="call_back")
    await get(f"/hand-offs/{world.ids.to_police}", groups=POLICE, who="CAX-99801")
    await world.hear_reads()
    answer = await get(f"/cases/{world.ids.case}/reads", groups=AUDITOR, who="KTV-01", hotline_purpose="audit")
    found = [
        (each["actor"], each["kind"], each["view"]["code"], each["reason"] and each["reason"]["code"])
        for each in answer.json()["reads"]
    ]
    assert [
        ("TVV-02", "case", "file", None),
        ("TVV-01", "record", "file", None),
        ("TVV-01", "case", "informant", "call_back"),
        ("CAX-99801", "hand_off", "hand_off", None),
    ] == found
    assert "reads" == (await world.reads_of(world.ids.case))[-1].view
    problem(await get(f"/cases/{world.ids.case}/reads", groups=POLICE), 403, "not-allowed")


# -- keys and what cannot be read --------------------------------------------------------------------------------------------


async def test_a_forgotten_child_is_gone_from_its_file_as_of_every_instant_and_the_others_still_read(world, get, reading, postgres):
    with psycopg.connect(postgres.uri("keys"), autocommit=True) as db:
        db.execute("SELECT destroy_key(%s, 'test', now())", (world.ids.child,))
    reading.parts.keys.flush()
    answer = await get(f"/cases/{world.ids.case}")
    file = answer.json()
    assert (None, None, ALLEGED_NAME) == (file["child"]["name"], file["plans"][1]["goals"], file["alleged"][0]["name"])
    assert CHILD_NAME not in (await get(f"/cases/{world.ids.case}?as_of={text(world.marks['approved'])}")).text
    assert [None, SIBLING_NAME] == [each["name"] for each in (await get(f"/records/{world.ids.record}")).json()["children"]]


async def test_a_key_store_that_does_not_answer_is_not_the_same_as_a_missing_key(world, get, reading, postgres):
    reading.parts.keys.flush()
    right = "EXECUTE ON FUNCTION get_keys(uuid[])"
    with psycopg.connect(postgres.uri("keys"), autocommit=True) as db:
        db.execute(f"REVOKE {right} FROM projections_keys")
        try:
            answer = await get(f"/cases/{world.ids.case}")
        finally:
            db.execute(f"GRANT {right} TO projections_keys")
    problem(answer, 503, "try-again")
    assert [] == await world.reads_of(world.ids.case)


async def test_a_file_of_which_something_is_parked_says_that_it_is_incomplete(world, get):
    newer = b'{"v":9,"meta":{},"fact":{}}'
    stored(world.tape, world.ids.case, newer, version=90)
    await world.hear()
    assert (await get(f"/cases/{world.ids.case}")).json()["incomplete"]
    assert not (await get(f"/cases/{world.ids.other_case}")).json()["incomplete"]
    before = await get(f"/cases/{world.ids.case}?as_of={text(world.marks['closed'])}")
    assert not before.json()["incomplete"]


async def test_a_parked_fact_that_began_a_stream_is_noticed_by_the_case_it_names(world, get):
    body = json.dumps({"v": 9, "meta": {}, "fact": {"of": {"cases": [str(world.ids.other_case)]}}}).encode()
    stored(world.tape, uuid4(), body, version=1, topic="cases.SomethingNewer")
    await world.hear()
    assert (await get(f"/cases/{world.ids.other_case}")).json()["incomplete"]
    assert not (await get(f"/cases/{world.ids.case}")).json()["incomplete"]


async def test_a_read_of_the_case_is_not_part_of_its_file_or_timeline(world, get):
    first = await get(f"/cases/{world.ids.case}/timeline")
    await world.hear_reads()
    second = await get(f"/cases/{world.ids.case}/timeline")
    assert first.content == second.content
    assert first.headers["hotline-instant"] != second.headers["hotline-instant"]
    assert 0 < len(await rows(world.worker, "SELECT FROM history WHERE log = 'projections'"))

"""A search is a fact before it is an answer; who may not search is told so; what is asked stands in no table; who searched can be asked."""

from datetime import UTC, datetime
from functools import partial

import psycopg
import pytest

from chassis.log import recorded
from chassis.mapper import FactMapper
from contracts.projections import SearchMade
from contracts.references import CHECK
from services.projections.reads import RecordSearch, decide, evolve, search_id
from services.projections.search import made, routes
from services.projections.search.made import ROUTE, SEARCHES
from services.projections.test_refusals import STRANGERS
from services.projections.test_samples import CHILD_NAME, HANDLE
from services.projections.test_world import AUDITOR, CHAIR, DATA, POLICE, problem
from tests.given import STREAM
from tests.given import given as any_given

real = [pytest.mark.anyio, pytest.mark.real]
given = partial(any_given, decide=decide, evolve=evolve)
ASKED = RecordSearch(hits=2, looked_in=["child_name"], purpose="duty", shown="cases:1", query="Mẫu Văn Tí")
TOLD = SearchMade(search_id=STREAM, hits=2, looked_in=["child_name"], purpose="duty", shown="cases:1", query="Mẫu Văn Tí")


def test_every_search_is_told_again_however_often_it_is_made():
    given().when(ASKED).then(TOLD)
    given(TOLD, TOLD).when(ASKED).then(TOLD)
    assert 2 == given(TOLD, TOLD).state.searches


def test_the_searches_of_one_person_and_month_are_one_stream_and_of_anybody_else_or_another_month_another():
    march, april = datetime(2026, 3, 31, 23, 59, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
    assert search_id("TVV-01", march) == search_id("TVV-01", march.replace(day=1))
    assert 4 == len({search_id(who, at) for who in ("TVV-01", "TVV-02") for at in (march, april)})


@pytest.fixture
def mine(reading):
    """The stream of what somebody searches for just now."""
    return lambda who="TVV-01": search_id(who, reading.parts.time.now())


async def searches_of(world, stream):
    log = world.worker.log
    rows = [row for row in await log.rows_of(stream) if row.type == SearchMade.TOPIC]
    return rows, [event.fact for event in await log.open(rows)]


class TestRecorded:
    pytestmark = real

    async def test_a_search_says_how_many_hits_why_and_in_which_fields_and_the_query_only_to_whoever_has_its_key(
        self, world, ask, mine
    ):
        before, _ = await searches_of(world, mine("TVV-31"))
        await ask("mau van ti", who="TVV-31")
        await ask(HANDLE, who="TVV-31", hotline_purpose="supervision", hotline_reason="safety")
        rows, facts = await searches_of(world, mine("TVV-31"))
        (first, second) = facts[len(before) :]
        assert (1, "duty", None, "mau van ti") == (first.hits, first.purpose, first.reason, first.query)
        assert ["id", "reference", "child_id", "child_name"] == first.looked_in
        assert (0, "supervision", "safety", HANDLE) == (second.hits, second.purpose, second.reason, second.query)
        assert "number" == second.looked_in[-1]
        for row in rows:
            assert b"mau van ti" not in row.state
            assert HANDLE.encode() not in row.state
        closed = recorded("projections", rows[-1], FactMapper()).fact
        assert (None, mine("TVV-31")) == (closed.query, closed.search_id)

    async def test_it_stands_in_the_log_before_the_answer_or_there_is_no_answer(self, world, ask, mine, postgres):
        assert 200 == (await ask("Mẫu Văn Tí", who="TVV-32")).status_code
        told, _ = await searches_of(world, mine("TVV-32"))
        right = "EXECUTE ON FUNCTION append"
        with psycopg.connect(postgres.uri("projections"), autocommit=True) as db:
            db.execute(f"REVOKE {right} FROM projections_api")
            try:
                answers = [await ask("Mẫu Văn Tí", who="TVV-32"), await ask("Mẫu Văn Tí", groups=POLICE, who="CAX-99801")]
            finally:
                db.execute(f"GRANT {right} TO projections_api")
        for answer in answers:
            problem(answer, 503, "try-again")
            assert str(world.ids.case) not in answer.text
        assert told == (await searches_of(world, mine("TVV-32")))[0]

    @pytest.mark.parametrize("function", ["create_keys(uuid[], text[], bytea[])", "get_keys(uuid[])"])
    async def test_without_the_key_store_nobody_searches(self, world, ask, postgres, function):
        with psycopg.connect(postgres.uri("keys"), autocommit=True) as db:
            db.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM projections_keys")
            try:
                answer = await ask("Mẫu Văn Tí", who="TVV-33-" + function[:3])
            finally:
                db.execute(f"GRANT EXECUTE ON FUNCTION {function} TO projections_keys")
        problem(answer, 503, "try-again")

    async def test_whoever_has_no_search_is_refused_and_the_refusal_is_recorded_without_what_was_asked(self, world, ask, mine):
        roles = ("agency_user", "data_officer", "auditor", "operator")
        for role in roles:
            who = f"nosy-{role}"
            before = len(await world.refusals_of(mine(who)))
            problem(await ask("Mẫu Văn Tí", groups=(STRANGERS[role],), who=who), 403, "not-allowed")
            refused = (await world.refusals_of(mine(who)))[before:]
            assert [(ROUTE, "not-allowed")] == [(each.fact.route, each.fact.code) for each in refused]
            assert [who] == [each.meta["actor"] for each in refused]

    async def test_somebody_with_several_capacities_searches_in_those_that_may(self, world, ask, mine, reading):
        await ask("Mẫu Văn Tí", groups=("therapist", *CHAIR, "auditor"), who="CT-31")
        assert 403 == (await ask("Mẫu", groups=("auditor", *CHAIR), who="CT-31", hotline_as="auditor")).status_code
        log = reading.parts.log
        (event, *_) = [event for event in await log.open(await log.rows_of(mine("CT-31"))) if isinstance(event.fact, SearchMade)]
        assert f"therapist,{CHAIR[0].replace(':', '@')}" == event.meta["as"]

    async def test_too_many_searches_in_a_minute_are_told_when_to_come_again_and_others_are_not(self, world, ask, monkeypatch):
        monkeypatch.setattr(routes, "PER_MINUTE", routes.limit_of("2/minute"))
        assert [200, 200] == [(await ask("Tí", who="TVV-34")).status_code for _ in range(2)]
        answer = await ask("Tí", who="TVV-34")
        problem(answer, 429, "too-many-requests")
        assert 1 <= int(answer.headers["retry-after"]) <= 61
        assert 200 == (await ask("Tí", who="TVV-35")).status_code


FARTHEST = f"R-{'Z' * 13}-{CHECK[(32**13 - 1) % 29]}"
"""A reference without a mistake, to a position that no database can count to."""
BROKEN = [
    (b"", 400, "bad-request"),
    (b"{", 400, "bad-request"),
    (b'{"query": "\\ud800"}', 400, "bad-request"),
    (b"\xff\xfe", 400, "bad-request"),
    (b"[]", 422, "invalid-command"),
    (b"{}", 422, "invalid-command"),
    (b'{"query": 7}', 422, "invalid-command"),
    (b'{"query": null}', 422, "invalid-command"),
    (b'{"query": ""}', 422, "invalid-command"),
    (b'{"query": "a"}', 422, "invalid-command"),
    (b'{"query": "   "}', 422, "invalid-command"),
    (b'{"query": "\\u0000\\u0000"}', 422, "invalid-command"),
    (b'{"query": "-- ..."}', 422, "invalid-command"),
    (b'{"query": "' + b"a" * 201 + b'"}', 422, "invalid-command"),
    (b'{"query": "Na", "as_of": "x"}', 422, "invalid-command"),
    (b'{"query": "' + b"a" * 5000 + b'"}', 413, "too-large"),
]


class TestAsked:
    pytestmark = real

    @pytest.mark.parametrize(("body", "status", "code"), BROKEN)
    async def test_a_query_that_is_none_is_told_what_to_mend_and_nothing_is_recorded(self, world, reading, body, status, code):
        head = await world.worker.log.head()
        answer = await reading.post(ROUTE, body, hotline_purpose="duty")
        told = problem(answer, status, code)
        if status == 422 and b"query" in body[:9] and b"as_of" not in body:
            assert "/query" == told["errors"][0]["pointer"]
        assert head == await world.worker.log.head()

    @pytest.mark.parametrize(
        "query",
        [
            "\\u0000Na", "' OR 1=1 --", "%%%na%%%", "{}[]na", FARTHEST, "a" * 200, "na " * 60, "𝔑𝔞", "١٢٣", "Ω≈ç√",
            "9" * 200, "00000000-0000-0000-0000-000000000000",
        ],
    )  # fmt: skip
    async def test_a_strange_query_finds_nothing_and_breaks_nothing(self, world, reading, query):
        body = f'{{"query": "{query}"}}'.encode()
        answer = await reading.post(ROUTE, body, hotline_purpose="duty", hotline_reason="safety")
        assert 200 == answer.status_code, answer.text

    @pytest.mark.parametrize(
        "headers",
        [{"hotline_purpose": ""}, {"hotline_purpose": "curiosity"}, {"hotline_reason": "curiosity"}, {"hotline_wait_for": "x"}],
    )
    async def test_a_header_that_cannot_be_read_is_named(self, world, ask, headers):
        told = problem(await ask("Mẫu", **headers), 400, "bad-request")
        assert "header" in told or "parameter" in told

    async def test_another_media_type_and_another_method_are_refused_and_nobody_knows_nobody(self, world, reading):
        problem(await reading.post(ROUTE, b"query=Na", content_type="text/plain", hotline_purpose="duty"), 415, "wrong-type")
        problem(await reading.http.put(ROUTE), 405, "wrong-method")
        problem(await reading.http.post(ROUTE, json={"query": "Na"}), 401, "who-are-you")

    async def test_a_search_waits_for_what_it_is_told_to_wait_for(self, world, ask):
        position = world.tape.at()["intake"]
        assert 200 == (await ask("Mẫu", hotline_wait_for=f"intake:{position}")).status_code
        problem(await ask("Mẫu", hotline_wait_for=f"intake:{position + 1}"), 503, "not-caught-up")


class TestWhoSearched:
    pytestmark = real

    async def heard(self, world):
        await world.hear_reads()
        return f"?from=projections:{len(world.tape.rows['projections'])}"

    async def test_auditors_and_data_officers_are_told_who_searched_with_how_many_hits_and_never_for_what(self, world, ask, get):
        since = await self.heard(world)
        await ask("Mẫu Văn Tí", who="TVV-36")
        await ask(HANDLE, who="GS-36", groups=("supervisor",), hotline_purpose="supervision", hotline_reason="safety")
        await ask("Mẫu Văn Tí", who="CAX-36", groups=POLICE)
        await world.hear_reads()
        for groups in (AUDITOR, DATA):
            answer = await get(f"/searches{since}", groups=groups, who="KTV-36", hotline_purpose="audit")
            told = answer.json()
            said = [(each["actor"], each["capacity"], each["hits"], each["purpose"]["code"]) for each in told["searches"]]
            assert [("TVV-36", "counsellor", 1, "duty"), ("GS-36", "supervisor", 2, "supervision")] == said
            assert ["safety"] == [each["reason"]["code"] for each in told["searches"] if each["reason"]]
            assert [("CAX-36", "not-allowed")] == [(each["actor"], each["code"]) for each in told["refusals"]]
            assert (False, False) == (told["more"], told["incomplete"])
            assert [] == [word for word in (CHILD_NAME, HANDLE, "query") if word in answer.text]

    async def test_looking_at_the_searches_is_a_read_itself_and_nobody_else_may(self, world, get):
        before = len(await world.reads_of(SEARCHES))
        assert 200 == (await get("/searches", groups=AUDITOR, hotline_purpose="audit")).status_code
        read = (await world.reads_of(SEARCHES))[before]
        assert ("searches", "searches", "audit") == (read.kind, read.view, read.purpose)
        for role in ("counsellor", "supervisor", "commune_chair", "provincial_officer", "agency_user", "therapist", "operator"):
            problem(await get("/searches", groups=(STRANGERS[role],)), 403, "not-allowed")

    async def test_a_long_stretch_is_told_in_parts(self, world, ask, get, monkeypatch):
        since = await self.heard(world)
        for number in range(5):
            await ask("Mẫu", who=f"TVV-4{number}")
        await world.hear_reads()
        monkeypatch.setattr(made, "SHOWN", 2)
        found, more = [], True
        while more:
            told = (await get(f"/searches{since}", groups=AUDITOR, hotline_purpose="audit")).json()
            found += [each["actor"] for each in told["searches"]]
            since, more = f"?from=projections:{told['upto']}", told["more"]
        assert [f"TVV-4{number}" for number in range(5)] == found

    async def test_a_search_is_no_read_of_the_file_that_it_finds(self, world, ask, get):
        await ask("Mẫu Văn Tí")
        await world.hear_reads()
        told = (await get(f"/cases/{world.ids.case}/reads", groups=AUDITOR, hotline_purpose="audit")).json()
        assert ([], [], True) == (told["reads"], told["refusals"], told["nobody"])

"""That nobody opened a file can be said, and over which part of the read log; and who has read about a person."""

from uuid import uuid4

import psycopg
import pytest

from services.projections.test_builds import OWN
from services.projections.test_samples import HOUR, T0, measure, stored
from services.projections.test_world import AUDITOR, DATA, POLICE, SUPERVISOR, problem, rows
from services.projections.views.instants import text

pytestmark = [pytest.mark.anyio, pytest.mark.real]


@pytest.fixture
def audit(get):
    """GET as an auditor."""

    async def ask(path, **headers):
        return await get(path, **{"groups": AUDITOR, "who": "KTV-01", "hotline_purpose": "audit"} | headers)

    return ask


def at(vector, position):
    return text({**vector, "projections": position})


async def test_nobody_opened_a_case_between_two_instants_and_the_answer_names_the_entries_and_streams_it_looked_through(
    world, get, audit
):
    await get(f"/cases/{world.ids.case}", who="TVV-02")
    await get(f"/records/{uuid4()}")  # somebody asks for something else
    await get(f"/cases/{world.ids.other_case}")
    await world.hear_reads()
    first, head = world.tape.rows["projections"][-3].position, world.tape.rows["projections"][-1].position
    closed, path = world.marks["closed"], f"/cases/{world.ids.case}/reads"
    answer = (await audit(f"{path}?from={at(closed, first)}&to={at(closed, head)}")).json()
    assert (True, [], []) == (answer["nobody"], answer["reads"], answer["refusals"])
    stretch = answer["stretch"]
    assert ("projections", first, head, at(closed, first), at(closed, head)) == tuple(
        stretch[name] for name in ("log", "after", "upto", "since", "until")
    )
    assert {str(world.ids.case): "case", str(world.ids.record): "record", str(world.ids.to_police): "hand_off"}.items() <= (
        stretch["streams"].items()
    )
    found = [row for row in await world.worker.log.after(first, head - first) if str(row.stream) in stretch["streams"]]
    assert [] == found  # what anybody can look up in the entries of the log
    before = (await audit(f"{path}?to={at(closed, first)}")).json()
    assert (False, ["TVV-02"], None) == (before["nobody"], [each["actor"] for each in before["reads"]], before["stretch"]["since"])


async def test_a_stretch_is_asked_by_time_too_and_one_that_ends_before_it_begins_is_refused(world, get, audit):
    await get(f"/cases/{world.ids.case}")
    await world.hear_reads()
    path, told = f"/cases/{world.ids.case}/reads", world.tape.rows["projections"]
    first = min(T0, told[0].recorded_at) - HOUR  # the story is told at its own time, the reads at that of the machine
    early, late, head = first.isoformat().replace("+00:00", "Z"), at(world.marks["closed"], told[-1].position), told[-1].position
    stretch = (await audit(f"{path}?from={early}&to={late}")).json()["stretch"]
    assert (0, head, text({})) == (stretch["after"], stretch["upto"], stretch["since"])
    body = problem(await audit(f"{path}?from={late}&to={at(world.marks['closed'], head - 1)}"), 400, "bad-request")
    assert ("from lies behind to", ["projections"]) == (body["parameter"], body["logs"])
    problem(await audit(f"{path}?from=nonsense"), 400, "bad-request")
    problem(await audit(f"{path}?as_of={late}&to={late}"), 400, "bad-request")
    problem(await audit(f"{path}?to={at(world.marks['closed'], head + 100)}"), 503, "not-caught-up")


async def test_nobody_is_not_said_where_something_of_the_case_cannot_be_read(world, audit):
    stored(world.tape, world.ids.case, b'{"v":9,"meta":{},"fact":{}}', version=90)
    await world.hear()
    answer = (await audit(f"/cases/{world.ids.case}/reads")).json()
    assert (None, True, []) == (answer["nobody"], answer["incomplete"], answer["reads"])


async def test_whoever_read_a_file_that_names_a_person_is_found_by_the_person(world, get, audit):
    ids = world.ids
    await get(f"/cases/{ids.case}", who="TVV-02")
    await get(f"/cases/{ids.other_case}", who="TVV-03")
    await get(f"/records/{ids.record}", who="TVV-04")
    await get(f"/contacts/{ids.contact}", who="TVV-05")
    await get(f"/hand-offs/{ids.to_police}", groups=POLICE, who="CAX-99801")
    await world.hear_reads()

    async def readers(person):
        return [each["actor"] for each in (await audit(f"/persons/{person}/reads")).json()["reads"]]

    everybody = ["TVV-02", "TVV-03", "TVV-04", "CAX-99801"]
    assert everybody == await readers(ids.alleged) == await readers(ids.informant)
    assert ["TVV-02", "TVV-04", "CAX-99801"] == await readers(ids.child)
    assert ["TVV-03", "TVV-04", "CAX-99801"] == await readers(ids.sibling)
    assert (["TVV-05"], []) == (await readers(ids.caller), await readers(ids.taker))
    await world.hear_reads()
    assert ["KTV-01"] == (await readers(ids.caller))[1:], "reading the read records is a read"
    assert "person_reads" == (await world.reads_of(ids.child))[-1].view


async def test_only_the_data_officer_and_auditors_ask_who_read_about_a_person(world, get):
    path = f"/persons/{world.ids.child}/reads"
    assert 200 == (await get(path, groups=DATA, hotline_purpose="data_subject")).status_code
    problem(await get(path, groups=SUPERVISOR), 403, "not-allowed")
    problem(await get(f"/persons/{uuid4()}/reads", groups=AUDITOR), 404, "not-found")


async def test_views_that_were_folded_before_persons_were_looked_for_get_the_same_rows(world, postgres):
    world.tape.tell(world.ids.case, measure(world.ids)[0])
    await world.hear()
    query = "SELECT stream, to_stream, kind, log, position FROM belongs ORDER BY 1, 2"
    expected = await rows(world.worker, query)
    assert {"contact:caller", "record:child", "record:alleged", "record:informant", "case:child", "hand_off:child"} < {
        kind for _, _, kind, *_ in expected
    }
    with psycopg.connect(postgres.uri("projections"), autocommit=True) as db:
        ((live,),) = db.execute("SELECT build FROM live").fetchall()
        assert 0 < db.execute(f"DELETE FROM build_{live}.belongs WHERE kind LIKE '%:%'").rowcount
        db.execute((OWN / "005_persons.sql").read_text(encoding="utf-8"))
    assert expected == await rows(world.worker, query)

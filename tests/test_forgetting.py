"""A person forgotten on the running line: a mark through every personal field, gone from every answer; every byte told stays as it was.

What is asked is every GET of every service, with every id of the story, through many eyes, for today and as of an instant before.
"""

import asyncio
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import product
from types import SimpleNamespace
from uuid import UUID, uuid4

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from typer.testing import CliRunner

from chassis.kafka import topic_of
from contracts.ids import case_of
from contracts.intake import ErasureApproved, HoldLifted, HoldPlaced, PersonForgotten
from contracts.rules import LOGS
from deploy.local.stack import ROOT
from tests.faults.canary import hits
from tests.faults.erasing import PLACES, approve, die_at, is_told, key_lives
from tests.line import call, eventually
from tests.test_canary import BARE, MARK, mark, protect, record, write_in
from tools.commands import app

pytestmark = [pytest.mark.real, pytest.mark.slow]
EYES = ("TVV-01", "GS-01", "CT-99803", "DL-01", "KTV-01")
FILES = ("cases", "records", "contacts")
SEARCHERS = ("TVV-01", "GS-01", "CT-99803")
MEMORY = 31  # seconds after which no API, which hears no topic, remembers a key


@pytest.fixture(scope="module")
def story(own_line):
    """A case from call to closure with a mark in every personal field, a Zalo message and a mail; and the erasure that was refused."""
    line, s = own_line, SimpleNamespace(refused=[], used=set())
    record(line, s)
    s.child_id = s.child["child_id"]
    s.early = refused_while_the_case_is_open(line, s.child_id)
    protect(line, s)
    write_in(line, s)
    line.rest()
    report = line.fact("intake.ReportReceived", s.record["id"]).fact
    takers = {event.fact.taker_id for event in line.facts("referrals.ReferralAcknowledged")}
    letters = {event.fact.caller_id for event in line.facts("intake.ContactReceived")}
    s.others = {report.alleged[0].person_id, report.informant.person_id, *takers, *letters}
    s.agencies = {event.fact.agency_id for event in line.facts("referrals.AgencyRegistered")}
    s.instant = ",".join(f"{log}:{position}" for log, position in line.heads().items())
    s.case_id = case_of(UUID(s.record["id"]), UUID(s.child_id))
    s.ids = [s.contact["id"], s.record["id"], s.case_id, s.child_id, s.written[0].stream]
    s.ids += sorted({event.stream for event in line.facts("referrals.ReferralSent")}, key=str)[:3]
    s.ids += sorted({event.stream for event in line.facts("notifications.MessageQueued")}, key=str)[:1]
    return s


def refused_while_the_case_is_open(line, child):
    """What a data officer is answered who wants to forget a child with an open case."""
    base = f"/intake/v1/persons/{child}"
    line.fact(HoldPlaced.TOPIC, child)
    line.done(f"{base}/erasure-requests", {"basis": "subject"}, "DL-01")
    return line.decided(f"{base}/erasure-approvals", {"decision": "11/QĐ"}, "DL-02", of=base)


def paths(s):
    """Every GET that the documents know, with every id; the files in each of their views and as of the instant before."""
    for service in LOGS:
        for path, methods in json.loads((ROOT / "contracts" / "openapi" / f"{service}.json").read_bytes())["paths"].items():
            if "get" in methods:
                yield from _filled(path, s)


def _filled(path, s):
    if "{id}" not in path:
        filled = path.format(scope="{scope}", source="intake", log="intake", position=1, token=s.token)
        yield from (
            [filled.format(scope=scope) for scope in ("mine", "team", "commune", "province")] if "{scope}" in filled else [filled]
        )
        return
    for id_ in s.ids:
        whole = path.format(id=id_)
        yield whole
        if path.startswith("/projections"):
            yield f"{whole}?as_of={s.instant}"
        if re.search(rf"/({'|'.join(FILES)})/{{id}}$", path) and path.startswith("/projections"):
            yield f"{whole}?view=informant"
            yield f"{whole}?view=restricted"


def answers(line, s):
    """What all these eyes see: (path, body) of every answer that is no problem."""
    asked = {"hotline-purpose": "duty", "hotline-reason": "data_subject"}
    tokens = {who: line.token(who) for who in EYES}

    def look(path, who):
        answer = line.http.get(f"{line.stack.urls['front']}{path}", headers={"authorization": f"Bearer {tokens[who]}"} | asked)
        assert answer.status_code < 500, f"{path}: {answer.status_code} {answer.text}"
        return [(f"{who} {path}", f"{answer.headers} {answer.text}".encode())] if answer.is_success else []

    with ThreadPoolExecutor(6) as lookers:
        return [each for seen in lookers.map(look, *zip(*product(paths(s), EYES), strict=True)) for each in seen]


def words_of(s, found):
    """The marks that stand in these answers."""
    return {word for _, body in found for word in re.findall(rf"{MARK} [\w.\[\]]+", body.decode())}


def told(line):
    """Every row of every log, by position, as a digest of all that stands in it."""
    query = "SELECT position, md5(e::text) FROM event e ORDER BY position"
    return {log: dict(line.rows(log, query)) for log in LOGS}


def spoken(line):
    """Every record of every topic, by offset, as a digest of key, headers and body."""

    async def read(log):
        partition = TopicPartition(topic_of(log), 0)
        async with AIOKafkaConsumer(bootstrap_servers=line.stack.kafka.bootstrap, enable_auto_commit=False) as consumer:
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            end, found = (await consumer.end_offsets([partition]))[partition], {}
            while len(found) < end:
                for each in (await consumer.getmany(partition, timeout_ms=1000)).get(partition, []):
                    found[each.offset] = sha256(repr((each.key, each.headers, each.value)).encode()).hexdigest()
            return found

    async def all_of_them():
        return {log: await read(log) for log in LOGS}

    return asyncio.run(all_of_them())


def heap_of_keys(line):
    """The bytes of the table of keys as they lie on the disk."""
    with psycopg.connect(line.stack.postgres.uri("postgres"), autocommit=True) as db:
        db.execute("CHECKPOINT")
    ((file,),) = line.rows("keys", "SELECT pg_relation_filepath('person_key')")
    return (line.stack.postgres.home / "data" / file).read_bytes()


def wrapped(line, persons):
    return dict(
        line.rows("keys", "SELECT person, wrapped FROM person_key WHERE person = ANY(%s::uuid[])", [str(each) for each in persons])
    )


@pytest.fixture(scope="module")
def forgotten(own_line, story):
    """The child is forgotten, then everybody else of the story, each by two people; what was seen and told before, between and after."""
    line, s = own_line, story
    s.repeated = uuid4()
    s.heard = call(line, text=mark("repeated"), caller_id=str(uuid4()))
    assert mark("repeated") in line.post("/intake/v1/contacts", s.heard, key=s.repeated).text
    line.rest()
    s.others |= {UUID(s.heard["caller_id"])}
    s.keys, s.found = wrapped(line, [s.child_id, *s.others]), [searched(line)]
    s.rows, s.records, s.before = told(line), spoken(line), answers(line, s)
    s.heads = [line.get(f"/projections/v1/audit/{log}/checkpoint", None).raise_for_status().text for log in LOGS]
    s.between = forget(line, s, [s.child_id])
    s.found.append(searched(line))
    s.after = forget(line, s, s.others)
    s.again = line.post("/intake/v1/contacts", s.heard, key=s.repeated)
    return s


def searched(line):
    """Who finds which files by the name of the child, written without its marks."""
    found = {who: line.search(f"name child {BARE}", who).raise_for_status().json()["hits"] for who in SEARCHERS}
    return {who: [hit["id"] for hit in hits] for who, hits in found.items()}


def forget(line, s, persons):
    """All of them, and what everybody is answered once no process remembers a key."""
    for person in persons:
        approve(line, person)
    for person in persons:
        line.fact(PersonForgotten.TOPIC, person)
    time.sleep(MEMORY)
    return answers(line, s)


# -- who decides -------------------------------------------------------------------------------------------------------------------


def test_a_child_with_an_open_case_is_not_forgotten_and_the_hold_ends_with_the_case(own_line, story):
    problem = story.early.json()
    assert (409, "urn:hotline111:hold-binds") == (story.early.status_code, problem["type"])
    assert [("open_case", str(story.case_id))] == [(held["hold"], held["case_id"]) for held in problem["holds"]]
    assert story.case_id == own_line.fact(HoldLifted.TOPIC, story.child_id).fact.case_id


def test_two_people_are_needed(own_line):
    person = uuid4()
    own_line.done("/intake/v1/contacts", call(own_line, caller_id=str(person), text="Kể (thử)"))
    base = f"/intake/v1/persons/{person}"
    asked = own_line.done(f"{base}/erasure-requests", {"basis": "subject"}, "DL-01")
    own = own_line.post(f"{base}/erasure-approvals", {"decision": "12/QĐ"}, "DL-01", seen=asked["version"])
    assert (409, "urn:hotline111:own-proposal") == (own.status_code, own.json()["type"])
    blind = own_line.post(f"{base}/erasure-approvals", {"decision": "12/QĐ"}, "DL-02")
    assert 428 == blind.status_code
    stale = own_line.post(f"{base}/erasure-approvals", {"decision": "12/QĐ"}, "DL-02", seen=asked["version"] + 1)
    assert 412 == stale.status_code


# -- what is seen ------------------------------------------------------------------------------------------------------------------


def test_before_anybody_is_forgotten_the_marks_are_seen(forgotten):
    seen = words_of(forgotten, forgotten.before)
    for word in ("child.name", "child.narrative", "PlanSubmitted.goals", "ContactReceived.text", "CaseClosed.note"):
        assert mark(word) in seen
    assert 20 < len(seen)


def test_a_forgotten_child_is_in_no_answer_and_everybody_else_is(forgotten):
    seen = words_of(forgotten, forgotten.between)
    others = {word for word in words_of(forgotten, forgotten.before) if about_somebody_else(word)}
    assert others == seen
    assert others


def about_somebody_else(word):
    """Marks under the key of caller, alleged, informant, or whoever took over."""
    field = word.removeprefix(f"{MARK} ")
    return field.startswith(("ContactReceived", "ContactClassified", "files", "topics", "zalo", "mail", "repeated")) or any(
        part in field for part in ("alleged", "informant", "ReferralAcknowledged")
    )


def test_a_search_finds_the_child_before_and_nobody_after(forgotten):
    before, after = forgotten.found
    assert {who: [str(forgotten.case_id)] for who in SEARCHERS} == before
    assert {who: [] for who in SEARCHERS} == after


def test_when_everybody_is_forgotten_no_answer_of_any_route_holds_a_word(forgotten):
    assert [] == hits(forgotten.after, MARK)
    assert [] == hits(forgotten.after, BARE)
    assert len(forgotten.after) >= len(forgotten.before)


def test_the_repeat_of_a_command_answers_what_it_led_to_without_a_word(forgotten):
    fact = forgotten.again.json()["told"][0]["fact"]
    assert (201, None) == (forgotten.again.status_code, fact["text"])


def test_nothing_more_is_recorded_about_the_forgotten(own_line, forgotten):
    answer = own_line.post("/intake/v1/contacts", call(own_line, text="Kể (thử)", caller_id=str(forgotten.child_id)))
    assert (409, "urn:hotline111:person-forgotten") == (answer.status_code, answer.json()["type"])


# -- what stays --------------------------------------------------------------------------------------------------------------------


def test_every_row_and_every_record_told_before_is_the_same_to_the_byte(own_line, forgotten):
    rows, records = told(own_line), spoken(own_line)
    assert forgotten.rows == {log: {at: rows[log][at] for at in known} for log, known in forgotten.rows.items()}
    assert forgotten.records == {log: {at: records[log][at] for at in known} for log, known in forgotten.records.items()}
    came = own_line.log("intake")[len(forgotten.rows["intake"]) :]
    assert {PersonForgotten, ErasureApproved} <= {type(event.fact) for event in came if event.stream == UUID(forgotten.child_id)}


def test_no_key_of_a_forgotten_person_lies_in_the_file_of_the_table_and_those_of_others_do(own_line, forgotten):
    heap = heap_of_keys(own_line)
    assert len(forgotten.others) < len(forgotten.keys)
    assert [] == [person for person, key in forgotten.keys.items() if key in heap]
    kept = {agency: key for agency, key in wrapped(own_line, forgotten.agencies).items() if key}
    assert kept
    assert all(key in heap for key in kept.values())


def test_the_bundle_of_the_case_verifies_against_the_heads_held_from_before_and_holds_no_word(own_line, forgotten, tmp_path):
    where, held = tmp_path / "bundle", []
    for number, note in enumerate(forgotten.heads):
        held += ["--held", str(tmp_path / f"{number}.note")]
        (tmp_path / f"{number}.note").write_text(note, encoding="utf-8")
    case = str(forgotten.case_id)
    written = eventually(lambda: (done := bundled(own_line, case, where)).exit_code == 0 and done)
    assert written.exit_code == 0
    policy = ["--policy", str(own_line.stack.policy_file), "--quiet"]
    checked = CliRunner().invoke(app, ["verify", str(where), "--case", case, *held, *policy])
    assert (0, len(LOGS)) == (checked.exit_code, checked.stdout.count("OK ")), checked.output
    assert [] == [file.name for file in where.rglob("*") if file.is_file() and MARK.encode() in file.read_bytes()]


def test_the_certificate_is_the_receipt_of_the_last_word(own_line, forgotten, tmp_path):
    last = own_line.fact(PersonForgotten.TOPIC, UUID(forgotten.child_id))
    path = f"/projections/v1/audit/intake/{last.position}/proof"
    (tmp_path / "certificate").write_text(eventually(lambda: (got := own_line.get(path, "DL-01")).is_success and got).text)
    (tmp_path / "state").write_bytes(last.state)
    policy = ["--policy", str(own_line.stack.policy_file), "--state", str(tmp_path / "state"), "--quiet"]
    checked = CliRunner().invoke(app, ["verify", str(tmp_path / "certificate"), *policy])
    assert 0 == checked.exit_code, checked.output


def bundled(line, case, where):
    return CliRunner().invoke(app, ["bundle", "--case", case, str(where), "--home", str(line.stack.home)])


def test_nothing_was_parked(own_line, forgotten):
    assert [] == own_line.get("/projections/v1/parked", "GS-01").json()["items"]


# -- killed in between -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_a_worker_killed_on_the_way_is_followed_by_one_that_ends_it_once(own_line, place):
    person = str(uuid4())
    own_line.done("/intake/v1/contacts", call(own_line, text="Kể (thử)", caller_id=person))
    assert key_lives(own_line, person)
    hit = die_at(own_line, place)
    approve(own_line, person)
    eventually(hit.exists)
    assert not key_lives(own_line, person)
    eventually(lambda: is_told(own_line, person))
    own_line.rest()
    assert 1 == is_told(own_line, person)

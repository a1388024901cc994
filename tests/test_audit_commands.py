"""The auditor at the machine: the same answers from the logs as over HTTP from the views, and one clear sentence where there is none."""

import json
from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.persistence import NotSupportedError
from typer.testing import CliRunner

from contracts.ids import case_of
from contracts.references import reference
from services.projections.views.history import LOGS
from tests.line import call, child, eventually, report, screening
from tools.audit.running_logs import OPTIONS, running_logs
from tools.commands import app
from tools.recovery.running import Running

pytestmark = [pytest.mark.real, pytest.mark.slow]
NAMES = ["Mẫu Văn Kiểm", "Giả Văn Toán", "Thử Thị Báo"]


@pytest.fixture(scope="module")
def line(own_line):
    return own_line


@pytest.fixture(scope="module")
def told(line):
    """A case of an emergency with its hand-offs, one assessment, three reads and two refusals."""
    s = SimpleNamespace(child=child(name=NAMES[0]))
    contact = line.done("/intake/v1/contacts", call(line))
    persons = {"alleged": [{"person_id": str(uuid4()), "name": NAMES[1]}]}
    persons["informant"] = {"person_id": str(uuid4()), "agrees_to_be_named": False, "name": NAMES[2]}
    s.record = line.done("/intake/v1/records", report(line, contact, s.child, **persons))
    line.done(f"/intake/v1/records/{s.record['id']}/screening", screening(), seen=s.record["version"])
    s.case = case_of(UUID(s.record["id"]), UUID(s.child["child_id"]))
    s.opened = line.fact("cases.CaseOpened", s.case)
    eventually(lambda: 3 == len(line.facts("cases.HandOffNoted", s.case, step="sent")))
    s.path = f"/projections/v1/cases/{s.case}"
    eventually(lambda: line.get(s.path, "GS-01", hotline_purpose="supervision").is_success)
    s.first = line.get(s.path, "CT-99801", hotline_purpose="duty").headers["hotline-instant"]
    form = {"form": "form03@2017-07-01", "level": "high", "answers": [{"row": "form03.harm.severity", "level": "high"}]}
    line.decided(f"/cases/v1/cases/{s.case}/detailed-assessments", form, "CB-99801", of=f"/cases/v1/cases/{s.case}")
    assert 404 == line.get(s.path, "CT-99803", hotline_purpose="duty").status_code
    assert 403 == line.get(s.path, "VH-01", hotline_purpose="duty").status_code
    line.rest()
    return s


@pytest.fixture(scope="module")
def hotline(line):
    def run(*words):
        return CliRunner().invoke(app, [*map(str, words), "--home", str(line.stack.home)], catch_exceptions=False)

    return run


@pytest.fixture(scope="module")
def asked(hotline):
    def run(*words):
        done = hotline(*words, "--json")
        assert 0 == done.exit_code, done.output
        return json.loads(done.stdout)

    return run


def over_http(line, path):
    answer = line.get(path, "KTV-01", hotline_purpose="audit")
    assert answer.is_success, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (["replay"], ""),
        (["timeline"], "/timeline"),
        (["timeline", "--by", "occurred"], "/timeline?by=occurred"),
    ],
)
def test_what_the_logs_tell_is_what_the_views_show_an_auditor_now_and_at_an_earlier_instant(line, told, asked, words, path):
    for instant in (told.first, asked("replay", told.case)["instant"]):
        mine = asked(*words, told.case, "--as-of", instant)
        theirs = over_http(line, f"{told.path}{path}{'&' if '?' in path else '?'}as_of={instant}")
        assert (instant, theirs) == (mine["instant"], mine["answer"])


def test_the_differences_and_the_reads_are_the_same_too(line, told, asked):
    now = asked("replay", told.case)["instant"]
    for words, path in ((["diff"], "diff"), (["reads"], "reads")):
        mine = asked(*words, told.case, "--from", told.first, "--to", now)["answer"]
        assert over_http(line, f"{told.path}/{path}?from={told.first}&to={now}") == mine
    facts = asked("diff", told.case, "--from", told.first, "--to", now)["answer"]["facts"]
    assert "cases.DetailedAssessmentRecorded" in {each["told"]["type"] for each in facts}


def test_a_time_is_resolved_as_over_http_and_the_reference_names_the_case_too(line, told, asked):
    at = told.opened.recorded_at.isoformat()
    theirs = line.get(f"{told.path}?as_of={at}", "KTV-01", hotline_purpose="audit")
    spoken = reference("C", told.opened.position)
    mine = asked("replay", spoken.lower().replace("-", " "), "--as-of", at)
    assert (theirs.headers["hotline-instant"], theirs.json()) == (mine["instant"], mine["answer"])
    assert spoken == mine["answer"]["reference"]


def test_who_looked_who_was_refused_and_that_nobody_did_is_said(told, asked, hotline):
    reads = asked("reads", told.case)["answer"]
    assert [("CT-99803", "not-found"), ("VH-01", "not-allowed")] == [(each["actor"], each["code"]) for each in reads["refusals"]]
    assert {"GS-01", "CT-99801"} <= {each["actor"] for each in reads["reads"]}
    refused = [each["position"] for each in reads["refusals"]]
    last = max(each["position"] for each in reads["reads"] if each["position"] < refused[0])
    others = told.first.rpartition(",projections:")[0]
    silent = hotline("reads", told.case, "--from", f"{others},projections:{last}", "--to", f"{others},projections:{refused[-1]}")
    assert 0 == silent.exit_code, silent.output
    assert f"Nobody opened this case: no entry of projections {last + 1}..{refused[-1]}" in silent.stdout
    assert "CT-99803" in silent.stdout, "who was refused stands there all the same"
    assert False is reads["nobody"]


def test_on_a_terminal_stand_tables_and_no_name_of_anybody(told, hotline):
    pages = {
        words: hotline(words, told.case, *(["--from", told.first] if words == "diff" else []))
        for words in ("replay", "timeline", "diff", "reads")
    }
    assert {0} == {page.exit_code for page in pages.values()}
    assert not [name for page in pages.values() for name in NAMES if name in page.output]
    assert "Decree 56/2017 art. 26.3, 31.1" in pages["replay"].stdout
    assert "cases:" in pages["timeline"].stdout
    assert "/assessments/0" in pages["diff"].stdout
    assert "CT-99801 (commune_chair@99801@2025-07-01)" in pages["reads"].stdout


def test_what_cannot_be_asked_is_said_in_one_sentence_and_ends_with_2(line, told, hotline):
    now, later = line.now(), (line.now() + timedelta(hours=2)).isoformat()
    cause = int(told.opened.meta["cause"].partition(":")[2])
    before = (told.opened.recorded_at - timedelta(hours=1)).isoformat()
    said = {
        ("replay", uuid4()): "there is no case",
        ("replay", "nothing"): "neither the id nor the reference of a case",
        ("replay", reference("H", 1)): "no reference of a case",
        ("replay", reference("C", 99_999)): "no case has the reference",
        ("replay", told.case, "--as-of", later): "lies in the future",
        ("replay", told.case, "--as-of", "cases:99999"): "cases ends at",
        ("replay", told.case, "--as-of", f"cases:{told.opened.position},intake:{cause - 1}"): f"intake:{cause}",
        ("replay", told.case, "--as-of", "yesterday"): "is no instant",
        ("replay", told.case, "--as-of", now.replace(tzinfo=None).isoformat()): "is no instant",
        ("replay", told.case, "--as-of", before): f"it begins with cases:{told.opened.position}",
        ("timeline", told.case, "--as-of", before): f"it begins with cases:{told.opened.position}",
        ("diff", told.case, "--from", told.first, "--to", before): "ends before it begins",
        ("reads", told.case, "--from", later): "lies in the future",
    }
    for words, sentence in said.items():
        done = hotline(*words)
        assert (2, "", 1) == (done.exit_code, done.stdout, done.stderr.strip().count("\n") + 1), (words, done.output)
        assert sentence in done.stderr, (words, done.stderr)


def test_nothing_can_be_written_on_this_way(line, told):
    stack = Running.of(line.stack.home)
    with running_logs(stack) as logs:
        assert set(LOGS) == set(logs.logs)
        with pytest.raises(NotSupportedError):
            logs.logs["cases"].recorder.insert_events([])
    with (
        psycopg.connect(stack.uri("cases", "cases_api"), autocommit=True, options=OPTIONS) as db,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        db.execute("SELECT append('{}', '{}', '{}', NULL, '0', '{}', '{}', '{}', '{}', '{}')")
        db.execute("CREATE TEMP TABLE one (n int)")
        db.execute("DELETE FROM event")


def test_no_stack_is_said_so(tmp_path):
    done = CliRunner().invoke(app, ["replay", str(uuid4()), "--home", str(tmp_path)])
    assert (2, "no local stack is running: make up") == (done.exit_code, done.stderr.strip())


def test_an_instant_lies_in_the_future_by_the_time_of_the_stack(line):
    with line.held(), running_logs(Running.of(line.stack.home)) as logs:
        assert abs(logs.time.now() - line.now()) < timedelta(seconds=5)

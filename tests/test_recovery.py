"""What operators ask and mend on the running line: what is parked, a topic told anew, and what is wrong."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from uuid import uuid4

import psycopg
import pytest
from typer import Exit
from typer.testing import CliRunner

from chassis.kafka import topic_of
from tests.faults.chaos import all_work
from tests.faults.desks import handed_over, reported, taken_over
from tests.faults.invariants import broken
from tests.line import COMMUNE, call, eventually
from tools.commands import app
from tools.recovery_commands import asking

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture
def line(own_line):
    return own_line


@pytest.fixture
def hotline(line):
    def run(*words):
        return CliRunner().invoke(app, [*map(str, words), "--home", str(line.stack.home)], catch_exceptions=False)

    return run


@contextmanager
def without_right(line, right, table, role):
    """What this role does there is refused, which nobody can digest, until the right is given back."""
    database = role.partition("_")[0]
    with psycopg.connect(line.stack.postgres.uri(database), autocommit=True) as db:  # as the superuser
        db.execute(f"REVOKE {right} ON {table} FROM {role}")
        try:
            yield
        finally:
            db.execute(f"GRANT {right} ON {table} TO {role}")


def parked(line, service="notifications"):
    return line.rows(service, "SELECT position, reason FROM parked WHERE discarded_at IS NULL ORDER BY topic, position")


def test_what_was_parked_is_retried_with_its_effect_once_though_the_worker_dies_in_the_middle(line, hotline):
    with without_right(line, "INSERT", "hand_off", "notifications_worker"):
        referral = handed_over(line, reported(line))
        taken_over(line, referral)
        (first, reason), *behind = eventually(lambda: len(found := parked(line)) > 1 and found)
        listed, shown = hotline("parked", "list"), hotline("parked", "show", "notifications", "referrals", first)
        again = hotline("parked", "retry", "notifications", "referrals", first, "--reason", "try_once_more")
        refused = hotline("parked", "retry", "notifications", "referrals", behind[0][0], "--reason", "cause_mended")
    assert (1, 0, 1, 2) == (listed.exit_code, shown.exit_code, again.exit_code, refused.exit_code)
    assert "InsufficientPrivilege" == reason
    assert all(word in listed.stdout for word in ("referrals.ReferralSent", str(first), reason))
    assert all(word in shown.stdout for word in (str(referral), '"kind": "handover"', f"behind    {behind[0][0]}"))
    assert "failed again: InsufficientPrivilege" in again.stdout
    assert f"earlier-is-parked (first: {first})" in refused.stderr

    place = line.stack.home / "failpoints" / "notifications-worker"
    place.parent.mkdir(exist_ok=True)
    place.write_text("retry.after-reaction 1 kill")
    hotline("parked", "retry", "notifications", "referrals", first, "--reason", "cause_mended")
    eventually(lambda: not parked(line), seconds=90)
    assert place.with_suffix(".hit").exists()
    assert (0, "nothing is parked\n") == (hotline("parked", "list").exit_code, hotline("parked", "list").stdout)
    assert 1 == len([each for each in line.facts("notifications.MessageQueued") if each.fact.about.id == referral])
    assert [(referral,)] == line.rows("notifications", "SELECT stream FROM hand_off WHERE stream = %s", referral)
    decisions = [each.fact for each in line.facts("notifications.ParkedRetried", reason="cause_mended")]
    assert [("referrals", first, referral)] == [(each.source, each.position, each.stream) for each in decisions]
    assert [] == broken(line.snapshot())


def test_what_is_given_up_stays_on_record_and_its_stream_goes_on(line, hotline):
    with without_right(line, "INSERT", "agency", "notifications_worker"):
        body = {"role": "hospital", "place": COMMUNE, "label": "Bệnh viện (mẫu)", "valid_from_on": "2025-07-01", "contacts": []}
        agency = line.done("/referrals/v1/agencies", body, "GS-01")
        position = agency["told"][0]["position"]
        eventually(lambda: parked(line))
    done = hotline("parked", "discard", "notifications", "referrals", position, "--reason", "not_needed")
    listed = json.loads(hotline("parked", "list", "--json").stdout)
    again = hotline("parked", "retry", "notifications", "referrals", position, "--reason", "cause_mended")
    assert (0, 2) == (done.exit_code, again.exit_code)
    assert "not-parked" in again.stderr
    (kept,) = listed
    (decision,) = line.facts("notifications.ParkedDiscarded")
    assert ("referrals", position, decision.position) == (kept["source"], kept["position"], kept["discarded_by"])
    assert [] == broken(line.snapshot())


def test_what_a_view_parked_is_folded_after_a_retry(line, hotline):
    ((build,),) = line.rows("projections", "SELECT build FROM live")
    with without_right(line, "INSERT", f"build_{build}.work", "projections_worker"):
        contact = line.done("/intake/v1/contacts", call(line))
        eventually(lambda: parked(line, "projections"))
        again = hotline("parked", "retry", "projections", "intake", contact["told"][0]["position"], "--reason", "try_once_more")
    assert (1, True) == (again.exit_code, "failed again: InsufficientPrivilege" in again.stdout), again.output
    while items := json.loads(hotline("parked", "list", "--service", "projections", "--json").stdout):
        first = (items[0]["source"], items[0]["position"])  # of its stream: they come in the order of their positions
        assert 0 == hotline("parked", "retry", "projections", *first, "--reason", "cause_mended").exit_code
    assert [("contact",)] == line.rows("projections", "SELECT kind FROM work WHERE id = %s", contact["id"])
    assert [] == broken(line.snapshot())


def test_a_decision_about_nothing_and_a_reason_that_is_no_code_are_refused_in_a_sentence(hotline):
    nothing = hotline("parked", "retry", "cases", "intake", 1_000_000, "--reason", "cause_mended")
    words = hotline("parked", "discard", "cases", "intake", 1, "--reason", "because I say so")
    stranger = hotline("parked", "show", "kitchen", "intake", 1)
    nowhere = hotline("parked", "show", "cases", "../a\nb", 1)
    assert [2, 2, 2, 2] == [nothing.exit_code, words.exit_code, stranger.exit_code, nowhere.exit_code]
    assert "cases has parked nothing at intake:1000000" in nothing.stderr
    assert "the reason is a code: cause_mended" in words.stderr
    assert "no service kitchen" in stranger.stderr


def test_a_service_that_is_away_hides_nothing_that_others_parked(line, hotline):
    api = line.stack.process("intake", "api")
    with without_right(line, "INSERT", "hand_off", "notifications_worker"):
        handed_over(line, reported(line))
        (first, _), *_ = eventually(lambda: parked(line))
        api.stop()
        listed, of_it = hotline("parked", "list"), hotline("parked", "list", "--service", "intake", "--json")
        api.start()
    assert (2, "[]\n") == (of_it.exit_code, of_it.stdout)
    assert (2, True) == (listed.exit_code, "referrals.ReferralSent" in listed.stdout)
    assert "intake does not say what it parked: it is away" in listed.stderr
    all_work(line.stack)
    hotline("parked", "retry", "notifications", "referrals", first, "--reason", "cause_mended")
    eventually(lambda: not parked(line))


def test_a_topic_is_told_anew_while_the_line_is_at_work_and_nobody_hears_anything_twice(line, hotline):
    enough = Event()

    def desk():
        while not enough.is_set():
            line.done("/intake/v1/contacts", call(line))

    with ThreadPoolExecutor() as desks:
        told = desks.submit(desk)
        try:
            done = hotline("republish", "intake")
        finally:
            enough.set()
        told.result(60)
    assert 0 == done.exit_code, done.output
    assert "the topic of intake tells its log again" in done.stdout
    snapshot = line.snapshot()
    assert [] == broken(snapshot)
    assert [*range(1, len(snapshot.logs["intake"]) + 1)] == [*dict.fromkeys(position for position, _ in snapshot.topics["intake"])]


# The doctor


def found(answer):
    """(part, page) of everything it finds."""
    return {(each["part"], each["page"]) for each in json.loads(answer.stdout)["findings"]}


def test_a_healthy_line_is_healthy_also_when_every_topic_is_read_to_the_letter(line, hotline):
    line.rest()
    answer = hotline("doctor", "--deep")
    assert 0 == answer.exit_code, answer.stdout
    assert "nothing is wrong" in answer.stdout


def test_a_right_too_many_and_what_is_parked_are_found_with_what_to_do(line, hotline):
    with psycopg.connect(line.stack.postgres.uri("cases"), autocommit=True) as db:
        db.execute("GRANT DELETE ON event TO cases_api")
        stream = uuid4()
        db.execute("INSERT INTO parked VALUES (%s, 0, 999999, %s, '{}', '', 'for a test')", (topic_of("intake"), stream))
        db.execute("INSERT INTO put_aside VALUES ('clocks', 999999, %s, 'for a test')", [stream])
        try:
            answer, text = hotline("doctor", "--json"), hotline("doctor").stdout
        finally:
            db.execute("REVOKE DELETE ON event FROM cases_api")
            db.execute("DELETE FROM parked WHERE stream = %s", [stream])
            db.execute("DELETE FROM put_aside WHERE stream = %s", [stream])
    assert 1 == answer.exit_code
    assert {("cases", "settings-changed"), ("cases", "parked-facts")} == found(answer)
    assert "cases_api may write into event" in text
    assert "hotline parked list --service cases" in text
    assert "1 facts of its own log are put aside by `clocks`" in text


def test_a_part_that_is_down_is_a_finding(line, hotline):
    smtp, kafka = line.stack._watched["smtp"].process, line.stack.kafka
    down = {("smtp", "part-down"), ("kafka", "part-down"), ("cases.worker", "part-down")}
    smtp.stop()
    kafka.kill()
    try:  # a worker notices when it next speaks to its broker
        answer = eventually(lambda: down <= found(answer := hotline("doctor", "--json", "--patience", 0)) and answer, seconds=120)
    finally:
        kafka.start()
        smtp.start()
    assert 1 == answer.exit_code
    line.rest(120)
    eventually(lambda: 0 == hotline("doctor").exit_code, seconds=120)


def test_without_postgresql_it_still_says_what_is_wrong(line, hotline):
    line.stack.postgres.kill()
    try:
        answer, listed = hotline("doctor", "--json", "--patience", 0), hotline("parked", "list")
    finally:
        line.stack.postgres.start()
    assert (1, 2) == (answer.exit_code, listed.exit_code)
    assert ("postgresql", "part-down") in found(answer)
    eventually(lambda: 0 == hotline("doctor").exit_code, seconds=120)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (psycopg.errors.UndefinedTable(), "PostgreSQL refuses what was asked (UndefinedTable)"),
        (psycopg.OperationalError(), "a part does not answer (OperationalError)"),
        (TimeoutError(), "a part does not answer (TimeoutError)"),
    ],
)
def test_a_refusal_is_not_taken_for_silence(problem, said, capsys):
    with pytest.raises(Exit) as ended, asking():
        raise problem
    assert (2, True) == (ended.value.exit_code, capsys.readouterr().err.startswith(said))


def test_where_no_stack_runs_it_cannot_be_asked(tmp_path):
    for words in (["doctor"], ["parked", "list"], ["republish", "cases"]):
        answer = CliRunner().invoke(app, [*words, "--home", str(tmp_path)])
        assert (2, "no local stack is running: make up\n") == (answer.exit_code, answer.stderr)

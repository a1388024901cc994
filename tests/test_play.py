"""The player of stories: what a file may say, how names are filled in, and that its checks can fail."""

import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from tools.commands import app
from tools.play import StoryError, load
from tools.play.checks import INVARIANTS, differences, lost
from tools.play.client import Answer, changed_mail, changed_payload, recorded_headers, zalo_headers
from tools.play.ears import Ears, Heard
from tools.play.looking import Seen, findings
from tools.play.printing import Checked, Result
from tools.play.story import FOLDER, Step, find
from tools.play.values import Missing, fill, local_time, same, select

NOW = datetime(2026, 3, 3, 2, 10, tzinfo=UTC)
STORY = """\
story: A story
about: Something.
rules: law
persons: [child]
steps:
  - say: It begins
    who: TVV-01
    what: ReceiveContact
    with: {channel: phone, age_band: 7_15, on: no}
    save: call
"""


def written(tmp_path, text):
    file = tmp_path / "story.yaml"
    file.write_text(text, encoding="utf-8")
    return file


# The format


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_story_of_the_repository_can_be_read(path):
    assert load(path).steps


def test_words_that_yaml_takes_for_numbers_dates_or_no_are_text(tmp_path):
    story = load(written(tmp_path, STORY))

    assert {"channel": "phone", "age_band": "7_15", "on": "no"} == story.steps[0].args


@pytest.mark.parametrize(
    ("line", "problem", "more"),
    [
        (11, "what: Field required", "  - {say: Nothing is done}\n"),
        (12, "Extra inputs are not permitted", "  - what: pass-time\n    wat: x\n    say: Misspelt\n"),
        (11, "${nobody} is used before it is saved", "  - {say: Too early, who: GS-01, what: AnswerContact, of: '${nobody.id}'}\n"),
        (11, "the step must say who", "  - {say: Nobody, what: AnswerContact, of: '${call.id}'}\n"),
        (11, "with: where: Input should be a valid dictionary", "  - {say: A verb, what: count, with: {fact: x, where: 1}}\n"),
        (11, "no service tells cases.CaseOpend", "  - {say: Misspelt, what: count, with: {fact: cases.CaseOpend}}\n"),
        (11, "runs at its own instants or in real time", "  - {say: Late, at: 2026-03-03 09:10, what: pass-time}\n"),
        (12, "say stands here twice", "  - say: Once\n    say: Twice\n    what: pass-time\n"),
        (12, "at: Input should be a valid datetime", "  - say: When\n    at: soon\n    what: pass-time\n"),
        (12, "expected <block end>", "  - say\n nonsense\n"),
    ],
)
def test_what_is_wrong_with_a_story_is_said_with_its_line(tmp_path, line, problem, more):
    file = written(tmp_path, STORY + more)

    with pytest.raises(StoryError) as refused:
        load(file)
    assert str(refused.value).startswith(f"{file}:{line}: ")
    assert problem in str(refused.value)


def test_time_does_not_run_backwards(tmp_path):
    dated = STORY.replace("  - say: It begins", "  - at: 2026-03-03 09:10\n    say: It begins")

    with pytest.raises(StoryError, match="time does not run backwards"):
        load(written(tmp_path, dated + "  - {say: Back, at: 2026-03-03 09:09, what: pass-time}\n"))


def test_a_story_is_found_by_the_beginning_of_its_name_and_an_unknown_one_is_refused():
    assert find("S01").stem == "S01-emergency-eve-of-tet"
    with pytest.raises(StoryError, match="there are S01"):
        find("S99")


def test_a_malformed_story_ends_the_command_with_2(tmp_path):
    played = CliRunner().invoke(app, ["play", str(written(tmp_path, "story: [\n"))])

    assert (played.exit_code, "story.yaml:2:" in played.output) == (2, True)


# Values


def test_midnight_may_be_written_as_24_hours_of_the_day_before():
    assert local_time("2026-03-11 00:00") == local_time("2026-03-10 24:00")
    assert datetime(2026, 3, 10, 17, tzinfo=UTC) == local_time("2026-03-10 24:00")


def test_a_text_that_is_one_name_takes_the_values_type():
    names = {"record": {"version": 3, "children": ["a"]}}

    filled = fill({"v": "${record.version}", "t": "v${record.version}", "c": "${record.children}"}, names, lambda: NOW)

    assert {"v": 3, "t": "v3", "c": ["a"]} == filled


def test_now_and_today_are_local_and_may_be_moved():
    filled = fill(["${now}", "${now-90s}", "${today+30d}", "2026-03-03 09:10"], {}, lambda: NOW)

    assert ["2026-03-03T09:10:00+07:00", "2026-03-03T09:08:30+07:00", "2026-04-02", "2026-03-03T09:10:00+07:00"] == filled


HAND_OFFS = {
    "state": {
        "hand_offs": {
            "r1": {"kind": "handover", "addressee": {"role": "commune_pc"}, "steps": [1, 2]},
            "r2": {"kind": "copy", "addressee": {"role": "province_health"}, "steps": []},
            "r3": {"kind": "copy", "addressee": {"role": "commune_pc"}, "steps": [3]},
        }
    }
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("state.hand_offs[kind=handover]@key", "r1"),
        ("state.hand_offs[kind=copy,addressee.role=commune_pc].steps[0]", 3),
        ("state.hand_offs[kind=copy]@count", 2),
        ("state.hand_offs[kind=notice]@count", 0),
        ("state.hand_offs@count", 3),
        ("state.hand_offs.r1.steps[-1]", 2),
        ("state.hand_offs.r1.steps@count", 2),
    ],
)
def test_a_path_finds(path, value):
    assert value == select(HAND_OFFS, path)


@pytest.mark.parametrize("path", ["state.nothing", "state.hand_offs[kind=copy].steps", "state.hand_offs.r2.steps[0]", "state.x.y"])
def test_a_path_that_leads_to_nothing_or_to_many_says_so(path):
    with pytest.raises(Missing, match=r"nothing at|2 at"):
        select(HAND_OFFS, path)


@pytest.mark.parametrize(
    ("expected", "actual", "held"),
    [
        ("2026-03-10 24:00", "2026-03-10T17:00:00Z", True),
        ("2026-03-10 24:00", "2026-03-10T17:00:01Z", False),
        ("~2026-03-04 09:36", "2026-03-04T02:35:55.1Z", True),
        ("~2026-03-04 09:36", "2026-03-04T02:37:01Z", False),
        ("*", "anything", True),
        ("*", None, False),
        (None, None, True),
        (False, 0, False),
        (1, True, False),
        ({"role": "police"}, {"role": "police", "place": "x"}, True),
        ([{"a": 1}], [{"a": 1}, {"a": 2}], False),
        ("2", 2, False),
    ],
)
def test_the_same_is_what_a_story_means_by_it(expected, actual, held):
    assert held == same(expected, actual)


# Looking


def step(**expect):
    return Step.model_validate({"say": "A step", "what": "pass-time", "expect": expect})


def plain(value):
    return fill(value, {}, lambda: NOW)


def answered(status, body):
    answer = Answer(status, body, json.dumps(body), {"hotline-position": "cases:12"})
    return Seen(answer.shown(), answer, answer.text)


REFUSED = answered(409, {"type": "urn:hotline111:own-plan", "detail": "Somebody else approves."})


@pytest.mark.parametrize(
    ("expect", "seen", "held"),
    [
        ({}, answered(200, {}), True),
        ({}, REFUSED, False),
        ({"status": 409, "code": "own-plan"}, REFUSED, True),
        ({"status": 409, "code": "review-first"}, REFUSED, False),
        ({"status": 201}, answered(200, {}), False),
        ({"told": ["CaseClosed"]}, answered(200, {"told": [{"type": "cases.CaseClosed"}]}), True),
        ({"told": []}, answered(200, {"told": [{"type": "cases.CaseClosed"}]}), False),
        ({"answer": {"position": "cases:12", "a.b": 1}}, answered(200, {"a": {"b": 1}}), True),
        ({"answer": {"a.c": None}}, answered(200, {"a": {"b": 1}}), False),
        ({"has": ["mở"], "lacks": ["tên"]}, Seen({}, text="mở trang"), True),
        ({"has": ["tên"]}, Seen({}, text="mở trang"), False),
        ({"lacks": ["trang"]}, Seen({}, text="mở trang"), False),
        ({"count": 1}, Seen({}, count=1), True),
        ({"count": 1}, Seen({}, count=2), False),
        ({"count": 0}, Seen({}, count=0), True),
    ],
)
def test_an_expectation_holds_or_says_why_not(expect, seen, held):
    found = findings(step(**expect), seen, plain)

    assert found
    assert held == all(finding.held for finding in found)


def test_a_refusal_shows_its_code_its_detail_and_what_it_carries():
    answer = Answer(412, {"type": "urn:hotline111:stale-version", "status": 412, "detail": "Look again.", "current": 8}, "", {})

    assert str(answer) == '412 stale-version: Look again. {"current": 8}'


@pytest.mark.parametrize(
    ("checks", "complete", "held"),
    [([True], True, True), ([True, False], True, False), ([True], False, False), ([], True, True)],
)
def test_a_play_held_if_it_came_to_its_end_and_every_check_did(checks, complete, held):
    result = Result("A story", "run", [Checked("", "it", each) for each in checks], complete=complete)

    assert (held, held) == (result.held, json.loads(result.as_json())["held"])


# Payloads


def test_the_recorded_delivery_of_zalo_is_signed_as_we_sign():
    folder = FOLDER.parent / "tests" / "channels" / "zalo"
    recorded = recorded_headers((folder / "text.headers").read_text())

    ours = zalo_headers((folder / "text.body").read_bytes(), "ours")
    foreign = zalo_headers((folder / "text.body").read_bytes(), "foreign")

    assert recorded == ours
    assert foreign["x-zevent-signature"] != ours["x-zevent-signature"]


def test_a_changed_delivery_is_changed_where_it_was_asked_and_nowhere_else():
    raw = b'{"message":{"text":"\xc4\x91","msg_id":"1"},"timestamp":"1"}'

    assert changed_payload(raw, {"message.msg_id": "2"}) == b'{"message":{"text":"\xc4\x91","msg_id":"2"},"timestamp":"1"}'


def test_a_changed_mail_keeps_every_other_byte():
    raw = b"Message-ID: <1@x>\r\nSubject: =?UTF-8?B?\xff?=\r\n\r\n\xfe body\r\n"

    assert changed_mail(raw, {"Message-ID": "<2@x>"}) == raw.replace(b"<1@x>", b"<2@x>")
    with pytest.raises(LookupError, match="no header Date"):
        changed_mail(raw, {"Date": "now"})


# Invariants, each of which must be able to fail


def heard(log, position, kind, stream="s", *, version=1, cause="rest:k", command=None, **fact):
    meta = {"cause": cause, "command": command or f"{log}{position}", "correlation": "story"}
    recorded_at = datetime.fromtimestamp(position, UTC)
    return Heard(log, position, stream, version, f"{log}.{kind}", recorded_at, meta, fact, json.dumps(fact).encode())


SENT = {"of": {"kind": "handover", "cases": ["c"]}}
CLOCK = {"clock": "acknowledgement"}
RECORD, CHILD = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
SCREENED = {"decision": "open_case", "children": [{"child_id": CHILD}]}

BROKEN = {
    "nothing is missing": [heard("cases", 1, "CaseOpened"), heard("cases", 3, "HandOffNoted", version=2)],
    "nothing happened twice": [
        heard("cases", 1, "CaseOpened", command="same"),
        heard("cases", 2, "CaseOpened", "t"),
        heard("cases", 3, "CaseOpened", "u", command="same"),
    ],
    "every cause is known and recorded before": [heard("cases", 1, "CaseOpened", cause="intake:9")],
    "every hand-off is settled or its clock runs": [
        heard("referrals", 1, "ReferralSent", command="a", **SENT),
        heard("referrals", 2, "ClockStarted", version=2, command="a", **CLOCK),
        heard("referrals", 3, "ClockBreached", version=3, command="b", **CLOCK),
    ],
    "every result owed has a clock": [
        heard("referrals", 1, "ReferralSent", due_on="2026-03-03", **SENT),
        heard("referrals", 2, "ReferralAcknowledged", version=2),
    ],
    "every screening opened its cases": [heard("intake", 1, "ReportScreened", RECORD, **SCREENED)],
    "every case was handed to somebody": [heard("cases", 1, "CaseOpened")],
    "every rung and every message once": [
        heard("referrals", 1, "ReferralEscalated", level=1),
        heard("referrals", 2, "ReferralEscalated", version=2, level=1),
    ],
}


def logs(facts):
    return {
        log: [fact for fact in facts if fact.log == log] for log in ("intake", "cases", "referrals", "notifications", "projections")
    }


def test_every_invariant_has_an_example_that_breaks_it():
    assert set(INVARIANTS) == set(BROKEN)


@pytest.mark.parametrize("name", INVARIANTS)
def test_a_broken_history_is_told(name):
    assert list(INVARIANTS[name](logs(BROKEN[name])))


def test_a_hand_off_that_is_breached_and_told_on_in_one_append_is_held():
    history = [
        heard("referrals", 1, "ReferralSent", command="a", **SENT),
        heard("referrals", 2, "ClockStarted", version=2, command="a", **CLOCK),
        heard("referrals", 3, "ClockBreached", version=3, command="b", **CLOCK),
        heard("referrals", 4, "ReferralEscalated", version=4, command="b", level=1),
        heard("referrals", 5, "ClockStarted", version=5, command="b", **CLOCK),
        heard("referrals", 6, "ReferralAcknowledged", version=6, command="c"),
        heard("referrals", 7, "ClockMet", version=7, command="c", **CLOCK),
    ]

    assert {name: [] for name in INVARIANTS} == {name: list(check(logs(history))) for name, check in INVARIANTS.items()}


def test_an_answered_fact_that_the_topic_does_not_tell_is_lost():
    told = logs([heard("cases", 1, "CaseOpened")])
    said = {"type": "cases.CaseOpened", "version": 1, "stream": "s"}

    assert list(lost([("cases", {**said, "position": 1})], told)) == []
    assert len(list(lost([("cases", {**said, "position": 2}), ("cases", {**said, "position": 1, "version": 2})], told))) == 2


def test_a_topic_that_reads_otherwise_the_second_time_is_told():
    before, after = logs([heard("cases", 1, "CaseOpened", a=1)]), logs([heard("cases", 1, "CaseOpened", a=2)])

    assert (len(list(differences(before, after))), list(differences(before, before))) == (1, [])


# Listening


def test_facts_are_chosen_by_type_stream_and_what_lies_at_their_paths():
    ears = Ears("nowhere", told=logs([heard("cases", 1, "ClockBreached", clock="emergency", responsible={"role": "commune_pc"})]))

    def chosen(stream, **where):
        return len(ears.matching("cases.ClockBreached", stream, where))

    assert (1, 0, 0, 0) == (
        chosen("s", **{"responsible.role": "commune_pc", "envelope.position": "cases:1"}),
        chosen("t"),
        chosen("s", clock="review"),
        chosen("s", **{"responsible.rolle": "commune_pc"}),
    )


def test_facts_of_earlier_plays_are_not_this_plays():
    ears = Ears("nowhere", told=logs([heard("cases", 1, "CaseOpened")]), old=frozenset({"story"}))

    assert ears.matching("cases.CaseOpened", None, {}) == []

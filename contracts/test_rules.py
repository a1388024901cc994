"""Deadlines as the law and the stories have them."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import codes, shapes
from contracts.calendar import ZONE
from contracts.rules import DEMO, LAW, rules_named

INSTANTS = st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
SECONDS = {
    "first-look": 60,
    "screening": 60,
    "case-opened": 30,
    "handover": 30,
    "acknowledgement": 5,
    "delivery": 4,
    "emergency": 240,
    "plan-internal": 120,
    "plan-draft": 120,
    "procedure": 180,
    "review": 120,
    "completion": 180,
}


def local(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=ZONE)


def due(rule: str, counted_from: datetime, now: datetime | None = None, **limits: object) -> datetime:
    return LAW.due(rule, counted_from, now or counted_from, **limits).due_at


# The emergency on the eve of Tết (S01): 16 February 2026 is the first of five days off.


def test_twelve_hours_from_the_answered_call_run_through_the_night_and_tet():
    assert due("emergency", local(2026, 2, 16, 22, 40)) == local(2026, 2, 17, 10, 40)


def test_the_internal_plan_bound_of_an_emergency_is_five_working_days_after_the_communes_receipt():
    found = LAW.due("plan-internal", local(2026, 2, 17, 0, 20), local(2026, 2, 17, 0, 20))
    assert (local(2026, 2, 28), "plan-internal@2025-07-01", "vn@2025-12-25") == (found.due_at, found.rule, found.calendar)
    assert LAW.legal("plan-internal") is None


def test_the_reporter_of_a_crime_is_told_within_three_working_days():
    assert due("crime-notice", local(2026, 2, 16, 22, 51)) == local(2026, 2, 26)


def test_the_decision_on_a_crime_report_is_taken_to_roll_off_a_sunday_and_the_reading_says_that_this_is_open():
    assert due("crime-decision", local(2026, 2, 16, 22, 51)) == local(2026, 3, 10)
    assert "art. 134 states the roll for months only" in LAW.reading("crime-decision")
    assert LAW.warn("crime-decision") > timedelta(days=1), "warned of before the earlier reading, Sunday 8 March"


def test_a_separation_of_five_days_ends_with_the_22nd_and_no_chain_passes_the_4th_of_march():
    signed = local(2026, 2, 17, 2, 5)
    assert due("separation", signed, until=local(2026, 2, 23)) == local(2026, 2, 23)
    assert due("separation", signed) == local(2026, 3, 5)
    assert due("separation", signed, until=local(2026, 4, 1)) == local(2026, 3, 5)


# The commune that never acknowledges (S02).


def test_the_plan_is_due_with_the_10th_and_the_whole_procedure_with_the_12th_of_march():
    delivered = local(2026, 3, 3, 9, 36)
    assert [local(2026, 3, 11), local(2026, 3, 13)] == [due("plan-draft", delivered), due("procedure", delivered)]
    assert [LAW.legal("plan-draft"), LAW.legal("procedure")] == ["Decree 56/2017 art. 28.1", "Decree 56/2017 art. 28.2"]


def test_that_province_gives_its_communes_24_hours_to_take_over_and_only_where_nothing_is_urgent():
    delivered = local(2026, 3, 3, 9, 36)
    found = LAW.due("acknowledgement", delivered, delivered, kind="handover", province="98@2025-07-01")
    assert (local(2026, 3, 4, 9, 36), "acknowledgement@2025-07-01/98") == (found.due_at, found.rule)
    urgent = LAW.due("acknowledgement", delivered, delivered, kind="handover", province="98", emergency=True)
    assert (local(2026, 3, 3, 10, 6), "acknowledgement@2025-07-01") == (urgent.due_at, urgent.rule)


def test_before_a_province_has_its_own_level_the_nations_counts():
    before = local(2025, 6, 30, 12)
    assert LAW.due("acknowledgement", before, before, kind="handover", province="98").due_at == local(2025, 6, 30, 16)


# Limits


@pytest.mark.parametrize(
    ("kind", "emergency", "expected"),
    [
        ("emergency_service", False, local(2026, 2, 13, 16, 15)),
        ("emergency_service", True, local(2026, 2, 13, 16, 15)),
        ("copy", True, local(2026, 2, 13, 16, 30)),
        ("handover", True, local(2026, 2, 13, 16, 30)),
        ("handover", False, local(2026, 2, 13, 20)),
        ("crime_report", False, local(2026, 2, 13, 20)),
        ("identification", False, local(2026, 2, 14, 16)),
        ("quick_report", False, local(2026, 2, 14, 16)),
        ("copy", False, local(2026, 2, 24)),
        ("help", False, local(2026, 2, 24)),
        ("hand_back", False, local(2026, 2, 24)),
        ("service", False, local(2026, 2, 25)),
        ("notice", False, local(2026, 2, 25)),
    ],
)
def test_how_long_an_addressee_may_take_to_acknowledge_depends_on_the_matter(kind, emergency, expected):
    friday_before_tet = local(2026, 2, 13, 16)
    assert due("acknowledgement", friday_before_tet, kind=kind, emergency=emergency) == expected


def test_an_emergency_is_screened_in_five_minutes_and_delivered_in_two():
    noon = local(2026, 3, 3, 12)
    minutes = {
        rule: [(due(rule, noon, emergency=emergency) - noon) // timedelta(minutes=1) for emergency in (False, True)]
        for rule in ("screening", "delivery")
    }
    assert minutes == {"screening": [30, 5], "delivery": [15, 2]}


@pytest.mark.parametrize(
    ("right", "expected"),
    [("view", local(2026, 3, 13)), ("withdraw", local(2026, 3, 18)), ("erase", local(2026, 3, 24))],
)
def test_a_data_right_has_the_days_of_its_kind_and_rolls_off_a_sunday(right, expected):
    assert due("data-right", local(2026, 3, 2, 9), kind=right) == expected


def test_a_request_of_a_data_subject_is_answered_in_two_working_days():
    assert due("data-answer", local(2026, 2, 13, 9)) == local(2026, 2, 25)


def test_a_day_that_a_plan_names_ends_at_24_00_even_on_a_sunday():
    found = LAW.due("review", local(2026, 3, 3, 9), local(2026, 3, 3, 9), on=date(2026, 4, 26))
    assert (local(2026, 4, 27), "review@2017-07-01", None) == (found.due_at, found.rule, found.calendar)


def test_an_instant_that_somebody_promised_is_the_due_time():
    promised = local(2026, 3, 8, 17, 30)
    assert due("promise", local(2026, 3, 3, 9), until=promised) == promised


def test_a_due_time_knows_only_the_decisions_of_its_day():
    start = local(2025, 12, 24, 9)
    known = {now: LAW.due("plan-draft", start, now) for now in (start, local(2025, 12, 25))}
    assert [(local(2026, 1, 1), "vn@2025-10-13"), (local(2026, 1, 1), "vn@2025-12-25")] == [
        (found.due_at, found.calendar) for found in known.values()
    ]
    assert [local(2026, 1, 6), local(2026, 1, 7)] == [
        due("procedure", local(2025, 12, 24, 9), now) for now in (start, local(2025, 12, 25))
    ]


def test_due_times_are_in_utc():
    assert due("plan-draft", local(2026, 3, 3)).tzinfo is UTC
    assert due("emergency", local(2026, 3, 3)).tzinfo is UTC


# Versions


def test_the_version_in_force_when_the_obligation_arose_counts_and_before_the_first_one_the_first():
    rules = rules_named("law")
    newer = {
        **rules.book["plan-draft"],
        "versions": [{"from": date(2017, 7, 1), "limit": 5}, {"from": date(2026, 3, 4), "limit": 3}],
    }
    book = {**rules.book, "plan-draft": newer}
    changed = type(rules)("law", book, rules.ladders, rules.disclosure, rules.calendar, {}, ())
    later = local(2026, 6, 1)
    quoted = [
        changed.due("plan-draft", start, later).rule for start in (local(2016, 1, 4), local(2026, 3, 3, 23, 59), local(2026, 3, 4))
    ]
    assert quoted == ["plan-draft@2017-07-01", "plan-draft@2017-07-01", "plan-draft@2026-03-04"]


@pytest.mark.parametrize("ask", [LAW.tell, LAW.kind_of, LAW.legal, LAW.warn, LAW.reading])
def test_an_unknown_rule_is_named(ask):
    with pytest.raises(KeyError, match="plan-drafft"):
        ask("plan-drafft")


def test_an_unknown_rule_has_no_due_time_and_an_unknown_set_no_rules():
    with pytest.raises(KeyError, match="plan-drafft"):
        due("plan-drafft", local(2026, 3, 3))
    assert (LAW.has("plan-draft"), LAW.has("plan-drafft")) == (True, False)
    with pytest.raises(KeyError, match="lore"):
        rules_named("lore")


# The demo


@pytest.mark.parametrize("rule", SECONDS)
def test_the_demo_counts_seconds_and_says_so(rule):
    start = local(2026, 2, 16, 22, 40)
    found = DEMO.due(rule, start, start, emergency=True, kind="handover", province="98")
    assert (start + timedelta(seconds=SECONDS[rule]), f"{rule}@demo", None) == (found.due_at, found.rule, found.calendar)


def test_a_day_written_in_a_plan_is_replaced_in_the_demo_and_counts_from_now():
    start, now = local(2026, 2, 16, 22, 40), local(2026, 2, 20, 9)
    found = DEMO.due("review", start, now, on=date(2026, 5, 16))
    assert (now + timedelta(seconds=120), "review@demo") == (found.due_at, found.rule)


def test_an_instant_that_somebody_set_is_kept_in_the_demo():
    start, set_for = local(2026, 2, 16, 22, 40), local(2026, 2, 17, 22, 40)
    assert DEMO.due("acknowledgement", start, start, kind="handover", until=set_for).due_at == set_for


def test_what_the_demo_does_not_name_is_the_laws():
    start = local(2026, 2, 16, 22, 51)
    assert DEMO.due("crime-notice", start, start) == LAW.due("crime-notice", start, start)
    assert set(DEMO.seconds) == set(SECONDS) <= set(LAW.rules())
    assert (LAW.name, DEMO.name) == ("law", "demo")


# Ladder, attempts, disclosure


@pytest.mark.parametrize("kind", codes.codes("hand_off_kind"))
def test_each_rung_is_told_in_turn_and_after_the_top_the_supervisor_desk_every_24_hours(kind):
    assert LAW.rungs(kind) == 3
    assert [LAW.ladder(kind, level) for level in (1, 2, 3, 4)] == [
        ("supervisor_desk",),
        ("province_health",),
        ("central_department",),
        ("supervisor_desk",),
    ]
    assert (timedelta(days=1), 2) == (LAW.ladder_pause(kind), LAW.attempts(kind))
    with pytest.raises(ValueError, match="from 1"):
        LAW.ladder(kind, 0)


def test_a_channel_is_tried_at_once_after_30_seconds_2_and_10_minutes_inside_the_limit():
    noon = local(2026, 3, 3, 12)
    assert [pause.total_seconds() for pause in LAW.attempt_pauses()] == [0, 30, 120, 600]
    assert sum(LAW.attempt_pauses(), noon) < due("delivery", noon)
    assert sum(DEMO.attempt_pauses(), noon) < DEMO.due("delivery", noon, noon).due_at


def test_every_kind_of_hand_off_discloses_personal_fields_that_exist_on_a_known_basis():
    fields = {
        f"{name}.{field}"
        for name, shape in (("child", shapes.Child), ("alleged", shapes.Alleged), ("informant", shapes.Informant))
        for field in shape.personal
    }
    assert set(LAW.disclosure) == set(codes.codes("hand_off_kind"))
    for kind in codes.codes("hand_off_kind"):
        assert set() == set(LAW.disclosed(kind)) - fields
        assert LAW.basis(kind) in codes.codes("basis")


def test_only_the_police_hear_of_the_informant_and_quick_reports_carry_no_name():
    kinds = codes.codes("hand_off_kind")
    assert [kind for kind in kinds if any("informant" in field for field in LAW.disclosed(kind))] == ["crime_report"]
    assert [field for field in LAW.disclosed("quick_report") if field.endswith(("name", "address", "birth"))] == []


# The data


@pytest.mark.parametrize("rule", LAW.rules())
def test_every_rule_is_whole(rule):
    entry = LAW.book[rule]
    known = {"id", "legal", "internal", "kind", "reading", "versions", "where", "warn", "tell", "pauses"}
    assert set(entry) <= known
    assert (LAW.legal(rule) is None) == (entry.get("internal") is True), "in law or internal, and it says which"
    assert LAW.legal(rule) is None or not entry["where"], "only an internal limit has a level of a province"
    assert LAW.kind_of(rule) in {"hours", "working_days", "calendar_days", "cap_days"}
    assert LAW.reading(rule)
    assert set(LAW.tell(rule)) <= {*codes.codes("role"), "lead"}
    assert [version["from"] for version in entry["versions"]] == sorted(version["from"] for version in entry["versions"])


def test_the_statutory_clocks_of_a_child_are_told_to_the_lead_the_supervisor_and_the_province():
    for rule in ("emergency", "plan-draft", "procedure", "separation"):
        assert set(LAW.tell(rule)) == {"lead", "supervisor_desk", "province_health"}


@given(st.sampled_from(LAW.rules()), INSTANTS, st.booleans(), st.sampled_from(codes.codes("hand_off_kind")))
def test_no_due_time_lies_before_its_start_and_asking_again_changes_nothing(rule, start, emergency, kind):
    found = LAW.due(rule, start, start, emergency=emergency, kind=kind)
    assert found.due_at >= start
    assert found == LAW.due(rule, start, start, emergency=emergency, kind=kind)


@given(st.sampled_from(LAW.rules()), INSTANTS, INSTANTS)
def test_a_later_start_never_makes_a_rule_due_earlier(rule, one, other):
    early, late = sorted((one, other))
    now = local(2026, 12, 31)
    assert LAW.due(rule, early, now).due_at <= LAW.due(rule, late, now).due_at


@given(INSTANTS, INSTANTS)
def test_no_decision_makes_a_separation_longer_than_its_cap(signed, until):
    assert due("separation", signed, until=until) <= due("separation", signed) <= signed + timedelta(days=16)

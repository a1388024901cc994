"""What a file shows, folded from facts alone."""

from itertools import pairwise

import pytest

from contracts.cases import CaseClosed
from contracts.referrals import ReferralSent
from services.projections.test_samples import (
    ALLEGED_NAME,
    CHILD_NAME,
    GOALS,
    HOUR,
    INFORMANT_NAME,
    T0,
    WORDS,
    XA,
    Ids,
    Tape,
    closed,
    sent,
    tell_story,
)
from services.projections.views.case_file import case_file
from services.projections.views.hand_offs import disclosed_of, hand_off_file
from services.projections.views.record_file import contact_file, informant_file, record_file
from services.projections.views.shown import answer_bytes
from services.projections.views.timeline import entries_of, timeline

IDS = Ids()


@pytest.fixture(scope="module")
def tape():
    tape = Tape()
    tell_story(tape, IDS)
    return tape


@pytest.fixture(scope="module")
def file(tape):
    return file_of(tape)


def file_of(tape):
    hand_off = hand_off_file(tape.of(IDS.to_commune, "referrals"), tape.of(IDS.thread, "notifications"))
    return case_file(tape.of(IDS.case), tape.of(IDS.record, "intake"), [hand_off], incomplete=False)


def test_a_case_file_shows_its_own_child_and_no_sibling(file):
    assert CHILD_NAME == file.child.name
    assert "Mẫu Thị Na" not in answer_bytes(file).decode()


def test_a_case_file_never_says_who_told_us(file):
    assert INFORMANT_NAME not in answer_bytes(file).decode()
    assert file.informant_agrees_to_be_named


def test_an_approval_shows_the_text_that_was_on_the_chairs_screen(file):
    first, second = file.plans
    assert (None, False) == (first.approval, first.counts)
    assert (2, "digest-2", GOALS[1]) == (second.approval.seen.plan, second.approval.seen.digest, second.approval.seen.goals)
    assert second.version == second.approval.seen.version == second.approval.approved.seen


def test_the_measure_of_the_police_met_the_twelve_hours_when_it_happened(file):
    (emergency,) = file.clocks
    assert ("met", T0 + 9 * HOUR, False, False) == (emergency.state, emergency.met_at, emergency.late, emergency.breached)
    assert "Decree 56/2017 art. 26.3, 31.1" == emergency.law
    assert "police" == file.measures[0].by.role.code


def test_the_silence_of_the_commune_stays_in_the_file_after_somebody_took_over(file):
    (hand_off,) = file.hand_offs
    assert (T0 + HOUR / 2, T0 + 2 * HOUR) == (hand_off.silence.since, hand_off.silence.until)
    assert "ACKNOWLEDGED" == hand_off.label.code
    assert [(1, WORDS), (2, WORDS)] == [(each.fact["number"], each.fact["words"][0]["text"]) for each in hand_off.attempts]


def test_a_message_that_arrived_is_shown_beside_the_acknowledgement_and_never_as_one(file):
    (hand_off,) = file.hand_offs
    assert ["MessageQueued", "MessageFailed", "MessageDelivered"] == [each.type.split(".")[1] for each in hand_off.messages]
    assert "notifications.MessageDelivered" != hand_off.acknowledged.type
    assert "link" == hand_off.acknowledged.fact["via"]


def test_a_closed_case_keeps_its_plans_reviews_and_closure(file):
    assert "CLOSED" == file.label.code
    assert ["cases.ReviewRecorded"] == [each.type for each in file.plans[1].reviews]
    assert "goals_met" == file.plans[1].closed.fact["outcome"]
    assert CaseClosed.TOPIC == file.closure.type


def test_a_case_that_was_not_open_yet_has_no_file(tape):
    assert case_file([], tape.of(IDS.record, "intake"), [], incomplete=False) is None
    assert case_file(tape.of(IDS.case), [], [], incomplete=False) is None


def test_a_hand_off_discloses_exactly_the_fields_it_names_of_the_children_it_carries(tape):
    report = tape.of(IDS.record, "intake")[0].fact
    matter = sent(IDS, fields=("child.name", "alleged.name", "informant.phone"))[0]
    of_one = matter.of.model_copy(update={"children": [IDS.child]})
    disclosed = disclosed_of(matter.model_copy(update={"of": of_one}), report)
    assert {IDS.child: {"name": CHILD_NAME}} == disclosed.children
    assert {IDS.alleged: {"name": ALLEGED_NAME}} == disclosed.alleged
    assert {IDS.informant: {"phone": "0320000017"}} == disclosed.informant


def test_an_informant_who_does_not_agree_is_disclosed_to_nobody(tape):
    report = tape.of(IDS.record, "intake")[0].fact
    silent = report.model_copy(update={"informant": report.informant.model_copy(update={"agrees_to_be_named": False})})
    matter = sent(IDS, fields=("informant.name",))[0]
    assert isinstance(matter, ReferralSent)
    assert {} == disclosed_of(matter, silent).informant
    assert {} == disclosed_of(matter, report.model_copy(update={"informant": None})).informant


def test_a_hand_off_begins_with_its_sending(tape):
    with pytest.raises(LookupError):
        hand_off_file(tape.of(IDS.to_commune, "referrals")[1:], [])


def test_the_record_shows_both_children_and_hides_the_informant(tape):
    shown = record_file(tape.of(IDS.record, "intake"), [tape.of(IDS.case)[0]], [], incomplete=False)
    assert [CHILD_NAME, "Mẫu Thị Na"] == [each.name for each in shown.children]
    assert INFORMANT_NAME not in answer_bytes(shown).decode()
    assert IDS.informant == shown.informant_id
    assert shown.cases[0].reference.startswith("C-")


def test_a_contact_shows_its_words_and_not_its_number(tape):
    shown = contact_file(tape.of(IDS.contact, "intake"), [IDS.record], incomplete=False)
    assert ("LINKED", "Có cháu bé bị đánh (mẫu)") == (shown.label.code, shown.text)
    assert "0320000017" not in answer_bytes(shown).decode()


def test_the_view_informant_shows_both_the_report_and_the_caller(tape):
    shown = informant_file(IDS.case, 1, tape.of(IDS.record, "intake"), tape.of(IDS.contact, "intake"), incomplete=False)
    assert (INFORMANT_NAME, "0320000017") == (shown.informant.name, shown.callers[0].handle)


def test_a_timeline_names_no_sealed_field_and_sorts_as_asked():
    tape = Tape()
    tell_story(tape, IDS)
    told_late = (T0 - HOUR).isoformat()
    tape.tell(IDS.case, closed(IDS), occurred_at=told_late)
    kinds = dict.fromkeys({event.stream for event in tape.events}, "case")
    recorded = timeline(IDS.case, entries_of(tape.events, [], kinds), "recorded", incomplete=False)
    occurred = timeline(IDS.case, entries_of(tape.events, [], kinds), "occurred", incomplete=False)
    assert all(a.told.recorded_at <= b.told.recorded_at for a, b in pairwise(recorded.entries))
    assert told_late == occurred.entries[0].told.occurred_at.isoformat()
    assert len(tape.of(IDS.case)) == occurred.version
    text = answer_bytes(recorded).decode()
    assert not any(word in text for word in (CHILD_NAME, ALLEGED_NAME, GOALS[0], WORDS, '"goals"', '"child_wishes"', '"text"'))


def test_the_same_facts_give_the_same_bytes(tape):
    assert answer_bytes(file_of(tape)) == answer_bytes(file_of(tape))
    assert XA in answer_bytes(file_of(tape)).decode()

"""The bridge, once across, over the whole line: a call about two children, from the first ring to the closure of a case.

The stages are fixtures, each standing on the one before; the tests say what is so at each stage.
"""

from types import SimpleNamespace
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from contracts.ids import case_of
from contracts.references import reference
from tests.faults.invariants import broken
from tests.line import (
    ACCEPTED,
    COMMUNE,
    MAIL,
    PROVINCE,
    REFUSED,
    call,
    child,
    eventually,
    link_in,
    report,
    screening,
    text_of,
)

pytestmark = [pytest.mark.real, pytest.mark.slow]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
NAMES = ["Mẫu Văn Bi", "Mẫu Thị Na", "Giả Văn Hùng", "Thử Thị Hoa", "0320000017", "Bị đánh bằng gậy"]
FORM_03 = {
    "form": "form03@2017-07-01",
    "level": "high",
    "answers": [{"row": "form03.harm.severity", "level": "high"}, {"row": "form03.harm.access", "level": "high"}],
}
FORM_06 = {
    "form": "form06@2017-07-01",
    "conclusion": "close",
    "answers": [{"row": "form06.harm.severity", "level": "low"}, {"row": "form06.capacity.asks", "level": "high"}],
}


def problem(answer, status, code):
    assert (status, f"urn:hotline111:{code}") == (answer.status_code, answer.json().get("type")), answer.text
    return answer.json()


def told(answer):
    return [each["type"].partition(".")[2] for each in answer["told"]]


# -- the call --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def screened(line):
    """A call, Form 01 about two children, a screening that hands the matter to commune, province and police."""
    s = SimpleNamespace(boy=child(name=NAMES[0], narrative=NAMES[5]), girl=child(name=NAMES[1], age_band="under_7"))
    s.contact = line.done("/intake/v1/contacts", call(line, handle=NAMES[4], text="Hai cháu bị đánh."))
    line.done(f"/intake/v1/contacts/{s.contact['id']}/answer", {})
    alleged = [{"person_id": str(uuid4()), "name": NAMES[2], "relation_to_child": "step_parent"}]
    informant = {"person_id": str(uuid4()), "agrees_to_be_named": False, "name": NAMES[3], "phone": NAMES[4]}
    s.record = line.done("/intake/v1/records", report(line, s.contact, s.boy, s.girl, alleged=alleged, informant=informant))
    path = f"/intake/v1/records/{s.record['id']}/screening"
    trace = f"00-{TRACE}-00f067aa0ba902b7-01"
    s.screening = line.post(path, screening(), seen=s.record["version"], traceparent=trace).raise_for_status().json()
    s.cases = [str(case_of(UUID(s.record["id"]), UUID(one["child_id"]))) for one in (s.boy, s.girl)]
    s.sent = {kind: line.fact("referrals.ReferralSent", of__record_id=s.record["id"], of__kind=kind) for kind in KINDS}
    s.hand_over = s.sent["handover"].stream
    s.spoken = reference("H", s.sent["handover"].position)
    for case in s.cases:
        line.fact("intake.CaseLinked", case_id=case)
        for kind in KINDS:
            line.fact("cases.HandOffNoted", case, kind=kind, step="sent")
    return s


KINDS = ("handover", "copy", "crime_report")


def test_one_call_about_siblings_becomes_one_record_and_a_linked_case_for_each_child(line, screened):
    record = line.state(f"/intake/v1/records/{screened.record['id']}")
    assert {screened.boy["child_id"]: screened.cases[0], screened.girl["child_id"]: screened.cases[1]} == record["cases"]
    opened = [line.facts("cases.CaseOpened", case) for case in screened.cases]
    assert [1, 1] == [len(each) for each in opened]
    assert {COMMUNE} == {event.fact.lead for (event,) in opened}
    assert [] == [name for name, clock in record["clocks"].items() if not clock["breached"]]


def test_each_addressee_gets_one_hand_off_for_both_children(line, screened):
    of = [event.fact.of for event in line.facts("referrals.ReferralSent", of__record_id=screened.record["id"])]
    expected = {"handover": f"commune_pc@{COMMUNE}", "copy": f"province_health@{PROVINCE}", "crime_report": f"police@{COMMUNE}"}
    assert expected == {each.kind: str(each.addressee) for each in of}
    assert len(expected) == len(of)
    assert [screened.cases] * 3 == [[str(case) for case in each.cases] for each in of]


def test_the_twelve_hours_count_from_the_receipt_of_the_call_for_both_children(line, screened):
    received_at = screened.contact["state"]["received_at"]
    for case in screened.cases:
        assert received_at == line.state(f"/cases/v1/cases/{case}")["clocks"]["emergency"]["counted_from"]


def test_no_personal_word_stands_in_what_the_write_services_show(line, screened):
    paths = [f"/intake/v1/records/{screened.record['id']}", f"/intake/v1/contacts/{screened.contact['id']}"]
    paths += [f"/cases/v1/cases/{case}" for case in screened.cases] + [f"/referrals/v1/referrals/{screened.hand_over}"]
    assert [] == [(path, name) for path in paths for name in NAMES if name in line.get(path).text]


# -- the mail --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def delivered(line, screened):
    """Police and province took over; the commune's mail was refused at its first address and delivered at the second."""
    for kind, who in (("crime_report", "CAX-99801"), ("copy", "SYT-98")):
        taker = {"via": "portal", "office": "Trực ban (mẫu)", "taker_id": str(uuid4()), "name": "Mẫu Văn Trực"}
        line.done(f"/referrals/v1/referrals/{screened.sent[kind].stream}/acknowledgement", taker, who)
    line.fact("referrals.ReferralDelivered", screened.hand_over)
    line.rest()
    return screened


def test_a_refused_address_gives_way_to_the_next_one_at_once(line, delivered):
    about = {"about__id": str(delivered.hand_over), "recipient__role": "commune_pc"}
    failed, arrived = line.facts("notifications.MessageFailed", **about), line.facts("notifications.MessageDelivered", **about)
    assert [("email:1", 1, "refused", True)] == [(e.fact.channel, e.fact.attempt, e.fact.reason, e.fact.permanent) for e in failed]
    assert [("email:2", "smtp_accepted")] == [(event.fact.channel, event.fact.via) for event in arrived]
    assert (0, 1) == (len(line.mails(REFUSED)), len(line.mails(ACCEPTED, delivered.spoken)))


def test_the_mail_is_urgent_names_nobody_and_holds_a_link(line, delivered):
    (mail,) = line.mails(ACCEPTED, delivered.spoken)
    assert "KHẨN CẤP" in mail["Subject"]
    assert [] == [name for name in NAMES if name in mail.as_string() + text_of(mail)]
    assert link_in(mail).startswith(line.stack.urls["front"])


def test_delivery_is_no_acknowledgement(line, delivered):
    state = line.state(f"/referrals/v1/referrals/{delivered.hand_over}")
    assert (True, None) == (state["delivered_at"] is not None, state["acknowledged_at"])
    assert not state["clocks"]["acknowledgement"]["breached"]
    assert "acknowledged" not in {
        event.fact.step for event in line.facts("cases.HandOffNoted", referral_id=str(delivered.hand_over))
    }


def test_the_communes_time_counts_anew_from_the_delivery(line, delivered):
    (recomputed,) = line.facts("referrals.ClockRecomputed", delivered.hand_over)
    (arrived,) = line.facts("referrals.ReferralDelivered", delivered.hand_over)
    assert ("delivery", "acknowledgement@demo") == (recomputed.fact.because, recomputed.fact.rule)
    assert 5 == (recomputed.fact.due_at - arrived.fact.delivered_at).total_seconds()


# -- silence ---------------------------------------------------------------------------------------------------------------------

RUNGS = {1: ("supervisor_desk", "hanoi@2025-07-01"), 2: ("province_health", PROVINCE), 3: ("central_department", "vn@2025-07-01")}


@pytest.fixture(scope="module")
def silent(line, delivered):
    """Nobody takes over, until the last rung of the ladder is told."""
    for level, body in RUNGS.items():
        line.forward(5.1)
        line.fact("referrals.ReferralEscalated", delivered.hand_over, level=level)
        line.mail(MAIL[body][0], delivered.spoken)
        line.rest()
    return delivered


def test_silence_is_a_fact_and_stays_with_the_body_that_was_silent(line, silent):
    breaches = [event.fact for event in line.facts("referrals.ClockBreached", silent.hand_over)]
    assert ["acknowledgement"] * 3 == [breach.clock for breach in breaches]
    assert {f"commune_pc@{COMMUNE}"} == {str(breach.responsible) for breach in breaches}


def test_silence_climbs_each_rung_once_and_each_is_told_by_one_mail(line, silent):
    climbed = [event.fact for event in line.facts("referrals.ReferralEscalated", silent.hand_over)]
    expected = [(level, "silence", [f"{role}@{place}"]) for level, (role, place) in RUNGS.items()]
    assert expected == [(each.level, each.because, [str(body) for body in each.to]) for each in climbed]
    for body in RUNGS.values():
        mails = [mail for mail in line.mails(MAIL[body][0], silent.spoken) if "chưa có người tiếp nhận" in text_of(mail)]
        assert 1 == len(mails), body
        assert [] == [name for name in NAMES if name in text_of(mails[0])]


def test_the_cases_know_of_the_silence(line, silent):
    for case in silent.cases:
        steps = [event.fact.step for event in line.facts("cases.HandOffNoted", case, referral_id=str(silent.hand_over))]
        assert ["sent", "delivered", "escalated", "escalated", "escalated"] == steps


# -- the link --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def taken(line, silent):
    """The duty officer opens the link of the mail and takes over."""
    (mail,) = line.mails(ACCEPTED, silent.spoken)
    silent.link = link_in(mail)
    silent.opened = line.get(silent.link, None)
    line.http.head(silent.link)
    line.http.get(silent.link, headers={"user-agent": "facebookexternalhit/1.1", "purpose": "preview"})
    silent.before = line.state(f"/referrals/v1/referrals/{silent.hand_over}")
    silent.said = line.http.post(silent.link, data={"name": "Thử Văn Nhận", "office": "UBND Xã Suối Mẫu", "phone": ""})
    silent.again = line.http.post(silent.link, data={"name": "Giả Văn Sau", "office": "Nơi khác", "phone": ""})
    line.fact("referrals.ReferralAcknowledged", silent.hand_over)
    for case in silent.cases:
        line.fact("cases.HandOffNoted", case, referral_id=str(silent.hand_over), step="acknowledged")
    return silent


def test_the_link_opens_a_small_page_that_names_nobody(line, taken):
    page = taken.opened
    assert (200, "text/html; charset=utf-8") == (page.status_code, page.headers["content-type"])
    assert all(word in page.text for word in ("KHẨN CẤP", taken.spoken, "Xã Suối Mẫu"))
    assert [] == [word for word in [*NAMES, "<script", "http:", "https:"] if word in page.text]
    assert len(page.content) < 15_000
    assert "set-cookie" not in page.headers
    assert "no-referrer" == page.headers["referrer-policy"]


def test_opening_the_link_looking_at_it_and_previews_take_nothing_over(taken):
    assert taken.before["acknowledged_at"] is None


def test_a_named_person_takes_over_once_and_whoever_comes_second_gets_the_first_answer(line, taken):
    assert (200, 200) == (taken.said.status_code, taken.again.status_code)
    assert "Đã tiếp nhận" in taken.said.text
    assert taken.said.content == taken.again.content
    (event,) = line.facts("referrals.ReferralAcknowledged", taken.hand_over)
    assert ("link", "UBND Xã Suối Mẫu", f"link:{taken.hand_over}") == (event.fact.via, event.fact.office, event.meta["actor"])
    assert "acknowledgement" not in line.state(f"/referrals/v1/referrals/{taken.hand_over}")["clocks"]


def test_nobody_opens_it_with_another_link(line, taken):
    path, _, token = urlsplit(taken.link).path.rpartition("/")
    for wrong in (token[:-1] + ("0" if token[-1] != "0" else "1"), token[:-2], "", "x" * 52, token.replace(token[:8], "00000000")):
        assert 404 == line.http.get(f"{line.stack.urls['front']}{path}/{wrong}").status_code, wrong


# -- the children are out --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def safe(line, taken):
    """The police bring both children out and tell it afterwards."""
    taken.taken_at = line.state(f"/referrals/v1/referrals/{taken.hand_over}")["acknowledged_at"]
    measure = {
        "measure": "removal",
        "by": {"role": "police", "place": COMMUNE},
        "applied_at": taken.taken_at,
        "place": "nhà bà (mẫu)",
    }
    taken.measures = [line.done(f"/cases/v1/cases/{case}/emergency-measures", measure, "CAX-99801") for case in taken.cases]
    return taken


def test_the_twelve_hours_are_met_when_it_happened_and_not_when_it_was_told(safe):
    for measure in safe.measures:
        assert ["EmergencyMeasureApplied", "ClockMet"] == told(measure)
        met = measure["told"][1]["fact"]
        assert ("emergency", safe.taken_at.replace("+00:00", "Z"), False) == (met["clock"], met["met_at"], met["late"])


# -- the plan --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planned(line, safe):
    """Form 03, a plan, a changed plan; the chair approves what was on the screen and is refused, then the new text."""
    safe.case = safe.cases[0]
    safe.path = f"/cases/v1/cases/{safe.case}"
    line.done(f"{safe.path}/detailed-assessments", FORM_03, "CB-99801")
    hospital = {"item": 1, "service": "medical", "provider": {"role": "hospital", "place": PROVINCE}, "due_on": "2030-01-15"}
    facility = {"item": 2, "service": "psychological", "provider": {"role": "social_facility", "place": PROVINCE}}
    first = {"goals": "An toàn.", "activities": "Khám.", "items": [hospital], "review_on": "2030-02-01"}
    safe.first = line.done(f"{safe.path}/plans", first, "CB-99801")
    safe.on_screen = safe.first["version"]
    items = [hospital, facility, {"item": 3, "service": "follow_up"}]
    safe.second = line.done(f"{safe.path}/plans", first | {"goals": "An toàn; mẹ được hỗ trợ.", "items": items}, "CB-99801")
    old, new = (plan["state"]["plan"]["digest"] for plan in (safe.first, safe.second))
    approvals = f"{safe.path}/plan-approvals"
    safe.stale = line.post(approvals, {"digest": old, "decision_no": "01/QĐ"}, "CT-99801", seen=safe.on_screen)
    safe.old_text = line.decided(approvals, {"digest": old, "decision_no": "01/QĐ"}, "CT-99801", of=safe.path)
    safe.approval = line.decided(approvals, {"digest": new, "decision_no": "01/QĐ"}, "CT-99801", of=safe.path).json()
    safe.services = {n: line.fact("referrals.ReferralSent", of__record_id=safe.record["id"], of__item=n) for n in (1, 2)}
    return safe


def test_approving_what_was_on_the_screen_is_refused_with_what_changed_and_by_whom(planned):
    said = problem(planned.stale, 412, "stale-version")
    assert planned.on_screen == said["seen"]
    assert [("cases.PlanSubmitted", "CB-99801")] == [
        (change["type"], change["actor"]) for change in said["changes"] if change["type"] == "cases.PlanSubmitted"
    ]


def test_approving_the_old_text_is_refused_on_the_current_version_too(planned):
    problem(planned.old_text, 409, "plan-changed-since-read")


def test_the_chair_approves_exactly_the_new_text_and_the_log_says_what_was_seen(line, planned):
    (approved,) = line.facts("cases.PlanApproved", planned.case)
    assert planned.second["state"]["plan"]["digest"] == approved.fact.digest
    assert ("CT-99801", str(approved.version - 1)) == (approved.meta["actor"], approved.meta["seen"])
    assert {"PlanApproved", "ClockStarted"} == set(told(planned.approval))


def test_each_item_with_a_provider_becomes_one_hand_off(line, planned):
    sent = [e.fact for e in line.facts("referrals.ReferralSent", of__record_id=planned.record["id"], of__kind="service")]
    expected = [(1, f"hospital@{PROVINCE}", [planned.case]), (2, f"social_facility@{PROVINCE}", [planned.case])]
    assert expected == sorted((each.of.item, str(each.of.addressee), [str(case) for case in each.of.cases]) for each in sent)


# -- the end ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def closed(line, planned):
    """Services done, the measure ended, reviewed, the intervention closed, the case closed."""
    for sent in planned.services.values():
        path = f"/referrals/v1/referrals/{sent.stream}"
        taker = {"via": "phone", "office": "Phòng trực (mẫu)", "taker_id": str(uuid4()), "name": "Mẫu Thị Viện"}
        line.done(f"{path}/acknowledgement", taker)
        planned.completed = line.done(f"{path}/completion", {"result": "done"})
    ended = {"number": 1, "ended_at": line.now().isoformat(), "because": "care_arranged"}
    line.done(f"{planned.path}/emergency-endings", ended, "CAX-99801")
    closing = {"outcome": "goals_met", "revoke": []}

    def decided(what, body):
        return line.decided(f"{planned.path}/{what}", body, "CT-99801", of=planned.path)

    planned.too_early = decided("intervention-closures", closing)
    planned.still_open = decided("closure", {"reason": "settled"})
    planned.review = line.done(f"{planned.path}/reviews", FORM_06, "CB-99801")
    planned.intervention = decided("intervention-closures", closing).json()
    planned.closure = decided("closure", {"reason": "settled"}).json()
    return planned


def test_no_intervention_is_closed_without_a_review_and_no_case_with_an_open_intervention(closed):
    problem(closed.too_early, 409, "review-first")
    assert "intervention" in problem(closed.still_open, 409, "still-open")["open"]


def test_review_closure_of_the_intervention_and_closure_of_the_case_follow_each_other(closed):
    assert ["ReviewRecorded", "ClockMet"] == told(closed.review)
    assert ["InterventionClosed"] == told(closed.intervention)
    assert "CaseClosed" == told(closed.closure)[0]
    assert "settled" == closed.closure["state"]["closed"]


def test_a_closed_case_takes_no_more(line, closed):
    problem(line.post(f"{closed.path}/detailed-assessments", FORM_03, "CB-99801"), 409, "case-closed")


def test_the_lead_is_told_that_the_case_is_closed(line, closed):
    assert eventually(lambda: [mail for mail in line.mails(ACCEPTED) if "hồ sơ đã kết thúc" in mail["Subject"]])


def test_the_whole_story_carries_the_id_of_the_call_through_all_four_logs(line, closed):
    line.rest()
    contact, record = closed.contact["id"], closed.record["id"]
    streams = {contact, record, *closed.cases}
    streams |= {str(event.stream) for event in line.facts("referrals.ReferralSent", of__record_id=record)}
    streams |= {str(e.stream) for e in line.facts("notifications.MessageQueued") if str(e.fact.about.id) in streams}
    told_of = [
        event
        for log in ("intake", "cases", "referrals", "notifications")
        for event in line.log(log)
        if str(event.stream) in streams
    ]
    assert {contact} == {event.meta["correlation"] for event in told_of}
    assert {"intake", "cases", "referrals", "notifications"} == {event.log for event in told_of}


def test_what_one_request_set_going_carries_its_trace_through_all_four_logs(line, closed):
    caused = [e for log in line.heads() for e in line.log(log) if e.meta.get("traceparent", "").split("-")[1:2] == [TRACE]]
    kinds = {event.fact.TOPIC for event in caused}
    assert kinds >= {
        "intake.ReportScreened",
        "cases.CaseOpened",
        "intake.CaseLinked",
        "referrals.ReferralSent",
        "cases.HandOffNoted",
        "notifications.MessageQueued",
    }


def test_everything_that_must_hold_held_all_the_way(line, closed):
    assert [] == broken(line.snapshot())


def test_nothing_was_parked(line, closed):
    answer = line.get("/projections/v1/parked", "GS-01")
    assert (200, []) == (answer.status_code, answer.json()["items"])

"""Traces, over the whole line: one contact can be followed through every service, by trace or by correlation, and nothing else by them."""

import re
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest

from contracts.ids import case_of
from tests.line import OTHER_COMMUNE, call, child, eventually, report, screening

pytestmark = [pytest.mark.real, pytest.mark.slow]
UUIDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def followed(line):
    """A call that becomes a case and a hand-off, nobody takes it over, somebody reads it; the screening came with a trace of its own."""
    s = SimpleNamespace(trace=uuid4().hex, span="00f067aa0ba902b7")
    contact = line.done("/intake/v1/contacts", call(line, text="Kể (thử)"))
    s.contact = contact["id"]
    s.record = line.done("/intake/v1/records", report(line, contact, one := child(), commune=OTHER_COMMUNE))
    path, trace = f"/intake/v1/records/{s.record['id']}/screening", f"00-{s.trace}-{s.span}-01"
    line.post(path, screening(OTHER_COMMUNE), seen=s.record["version"], traceparent=trace).raise_for_status()
    s.case = str(case_of(UUID(s.record["id"]), UUID(one["child_id"])))
    sent = line.fact("referrals.ReferralSent", of__record_id=s.record["id"], of__kind="handover")
    line.fact("referrals.ReferralDelivered", sent.stream)
    line.rest()
    line.forward(5.1)
    line.fact("referrals.ReferralEscalated", sent.stream)
    line.rest()
    eventually(lambda: line.get(f"/projections/v1/cases/{s.case}", hotline_purpose="duty").is_success)
    line.rest()
    line.flush_traces()
    s.events = [event for log in line.heads() for event in line.log(log) if event.meta["correlation"] == s.contact]
    s.spans = line.spans()
    s.heard = [span for span in s.spans if span["attributes"].get("hotline.correlation") == s.contact]
    return s


def trace_of(span):
    return span["context"]["trace_id"].removeprefix("0x")


def parent_of(event):
    """(trace, span) that an event remembers."""
    return tuple(event.meta["traceparent"].split("-")[1:3]) if "traceparent" in event.meta else None


def test_one_request_is_followed_through_every_service_that_acts_on_it(followed):
    processes = {span["process"] for span in followed.spans if trace_of(span) == followed.trace}
    assert processes >= {"intake-api", "cases-worker", "referrals-worker", "notifications-worker", "intake-worker"}


def test_what_a_service_does_about_a_fact_is_a_child_of_what_told_it(followed):
    by_position = {f"{event.log}:{event.position}": event for event in followed.events}
    for span in followed.heard:
        log = span["attributes"]["messaging.destination.name"].split(".")[1]
        told = by_position[f"{log}:{span['attributes']['hotline.position']}"]
        if parent_of(told):
            assert parent_of(told) == (trace_of(span), (span["parent_id"] or "").removeprefix("0x")), told.cause
    assert len(followed.heard) > 10


def test_every_fact_of_the_contact_remembers_its_trace_or_was_told_by_a_clock_or_a_loop(followed):
    untraced = {event.meta["actor"] for event in followed.events if parent_of(event) is None}
    assert untraced <= {"policy:timer", "policy:sender"}
    traced = {parent_of(event)[0] for event in followed.events if parent_of(event)}
    assert traced <= {trace_of(span) for span in followed.spans}


def test_what_no_trace_joins_the_correlation_does(followed):
    """A breach begins a trace of its own; who is told of it still belongs to the same contact."""
    assert {"intake", "cases", "referrals", "notifications", "projections"} == {event.log for event in followed.events}
    told_of_the_silence = [span for span in followed.heard if span["attributes"]["hotline.type"] == "referrals.ReferralEscalated"]
    assert {"cases-worker", "notifications-worker"} == {span["process"] for span in told_of_the_silence}
    assert followed.trace not in {trace_of(span) for span in told_of_the_silence}


def test_a_read_is_joined_to_the_contact_and_to_the_request_that_asked(followed):
    (read, *_) = [event for event in followed.events if event.fact.TOPIC == "projections.CaseRead"]
    (asked,) = [span for span in followed.spans if trace_of(span) == parent_of(read)[0] and span["kind"] == "SpanKind.SERVER"]
    assert ("projections-api", "/projections/v1/cases/{id}") == (asked["process"], asked["attributes"]["http.route"])


def test_a_trace_names_routes_and_never_what_was_asked_for(followed):
    asked = [span for span in followed.spans if span["kind"] == "SpanKind.SERVER"]
    assert {"/intake/v1/contacts", "/intake/v1/records/{id}/screening"} <= {span["attributes"].get("http.route") for span in asked}
    for span in asked:
        assert {"[removed]"} >= {
            span["attributes"][name] for name in ("url.path", "url.query", "url.full") if name in span["attributes"]
        }
        assert not UUIDS.search(f"{span['name']} {span['attributes']}")


def test_a_database_call_is_told_as_a_statement_without_its_values(followed):
    calls = [span for span in followed.spans if "db.statement" in span["attributes"]]
    assert calls
    assert not [span for span in calls if UUIDS.search(str(span["attributes"])) or "db.statement.parameters" in span["attributes"]]

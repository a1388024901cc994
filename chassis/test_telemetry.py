"""What leaves the process about itself: never a value of a person."""

import json
import logging
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased
from opentelemetry.trace import SpanKind

from chassis.relay import TopicAheadError
from chassis.telemetry import Clean, FileExporter, NoPolls, _exception_without_values, _last_words, _set_up_logs

NAME = "Mẫu Văn Tí"


@pytest.fixture
def traced(tmp_path):
    file = tmp_path / "spans.jsonl"
    provider = TracerProvider(sampler=ParentBased(NoPolls()))
    provider.add_span_processor(SimpleSpanProcessor(Clean(FileExporter(file))))
    return provider.get_tracer("test"), lambda: file.read_text(encoding="utf-8") if file.exists() else ""


def test_of_an_exception_in_a_span_only_the_kind_is_told(traced):
    tracer, told = traced
    with pytest.raises(ValueError, match=NAME), tracer.start_as_current_span("process"):
        raise ValueError(NAME)
    (span,) = map(json.loads, told().splitlines())
    assert "ValueError" == span["events"][0]["attributes"]["exception.type"]
    assert NAME not in told()


def test_paths_and_queries_are_blanked_and_the_route_stays(traced):
    tracer, told = traced
    token = "/referrals/v1/acknowledgements/K4SXFFSC"
    with tracer.start_as_current_span("GET", attributes={"url.path": token, "url.query": NAME, "http.route": "/v1/{token}"}):
        pass
    assert "K4SXFFSC" not in told()
    assert NAME not in told()
    assert "/v1/{token}" in told()


def test_a_loop_that_looks_for_work_is_not_traced_and_work_that_has_a_parent_is(traced):
    tracer, told = traced
    with tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT):
        pass
    assert "" == told()
    with tracer.start_as_current_span("process"), tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT):
        pass
    assert ["SELECT", "process"] == [json.loads(line)["name"] for line in told().splitlines()]


def test_a_log_line_names_the_kind_of_an_error_and_where_it_arose_but_not_its_message():
    try:
        raise ValueError(NAME)
    except ValueError as problem:
        event = _exception_without_values(None, "", {"event": "parked", "exc_info": problem})
    assert ("ValueError", True) == (event["error"], event["where"][0].startswith("test_telemetry.py:"))
    assert NAME not in json.dumps(event, ensure_ascii=False)


def test_the_last_words_of_a_process_name_every_cause_and_quote_only_our_own(monkeypatch, capsys):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    _set_up_logs("intake", "worker", "INFO")
    causes = [ValueError(NAME), ExceptionGroup("more", [TopicAheadError("first missing: 61")])]
    _last_words(ExceptionGroup, ExceptionGroup("loops", causes), None)
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert ("ValueError", "") == (first["error"], first["because"])
    assert ("TopicAheadError", "first missing: 61") == (second["error"], second["because"])

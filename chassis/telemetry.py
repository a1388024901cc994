"""Being seen: JSON logs, OpenTelemetry traces and Prometheus metrics, none of which ever holds a personal value."""

import json
import logging
import os
import sys
import threading
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.view import DropAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import SpanContext, SpanKind, Status

REMOVED = ("url.query", "url.full", "url.path", "http.url", "http.target")
"""Span attributes that may hold an id, a token or a search: routes are told as templates only."""


NOT_COUNTED = View(instrument_name="http.server.active_requests", aggregation=DropAggregation())
"""Two measurements a request, for a number that is over before anybody reads it."""


class Clean(SpanExporter):
    """Stands before every exporter: no address that may identify somebody, and of an exception only its kind, for its message and
    its trace may quote a value."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_cleaned(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _cleaned(span: ReadableSpan) -> ReadableSpan:
    attributes = {name: "[removed]" if name in REMOVED else value for name, value in (span.attributes or {}).items()}
    kinds = [{"exception.type": str((event.attributes or {}).get("exception.type", ""))} for event in span.events]
    return ReadableSpan(
        name=span.name,
        context=_without_state(span.context),
        parent=_without_state(span.parent),
        resource=span.resource,
        attributes=attributes,
        events=[Event(event.name, kind, event.timestamp) for event, kind in zip(span.events, kinds, strict=True)],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _without_state(context: SpanContext | None) -> SpanContext | None:
    """Its `tracestate` came with a request, so it may say anything."""
    return context and SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags)


class NoPolls(Sampler):
    """A database call without a parent is a loop looking for work, many times a second: it is not traced."""

    def should_sample(self, *args: Any, kind: SpanKind | None = None, **named: Any) -> SamplingResult:
        decision = Decision.DROP if SpanKind.CLIENT in (kind, *args) else Decision.RECORD_AND_SAMPLE
        return SamplingResult(decision, named.get("attributes"))

    def get_description(self) -> str:
        return "NoPolls"


class FileExporter(SpanExporter):
    """One span a line, as JSON: what the local stack and the tests read. A collector takes OTLP instead."""

    def __init__(self, file: Path) -> None:
        self._file, self._lock = file, threading.Lock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        lines = "".join(json.dumps(json.loads(span.to_json(indent=None)), ensure_ascii=False) + "\n" for span in spans)
        with self._lock, self._file.open("a", encoding="utf-8") as out:
            out.write(lines)
        return SpanExportResult.SUCCESS


def set_up(service: str, role: str, level: str, traces: Path | None) -> None:
    """Once a process: logs to standard output, spans to a file or by OTEL_EXPORTER_OTLP_ENDPOINT, metrics for `/metrics`.

    Where nobody takes spans none are made: they cost a fifth of a request.
    """
    _set_up_logs(service, role, level)
    resource = Resource.create({"service.name": f"hotline.{service}", "service.instance.id": role})
    exporters: list[SpanProcessor] = []
    if traces:
        exporters.append(BatchSpanProcessor(Clean(FileExporter(traces)), schedule_delay_millis=500))
    if "OTEL_EXPORTER_OTLP_ENDPOINT" in os.environ:
        exporters.append(BatchSpanProcessor(Clean(OTLPSpanExporter())))
    if exporters:
        provider = TracerProvider(resource=resource, sampler=ParentBased(NoPolls()))
        for exporter in exporters:
            provider.add_span_processor(exporter)
        trace.set_tracer_provider(provider)
        PsycopgInstrumentor().instrument()
    reader = PrometheusMetricReader(scope_info_enabled=False)
    metrics.set_meter_provider(
        MeterProvider(resource=resource, metric_readers=[reader], views=[NOT_COUNTED], exemplar_filter=AlwaysOffExemplarFilter())
    )


def _set_up_logs(service: str, role: str, level: str) -> None:
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _trace_ids,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _exception_without_values,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    sys.excepthook = _last_words
    for noisy in ("aiokafka", "httpx2", "httpcore2", "uvicorn.access", "hotline.kafka"):
        logging.getLogger(noisy).setLevel("WARNING")
    structlog.contextvars.bind_contextvars(service=service, role=role)


def forgotten(_: Any, context: Mapping[str, Any]) -> None:
    """What asyncio says of a task nobody asked: its own text would quote the exception."""
    structlog.get_logger("hotline.asyncio").error("a task failed unasked", exc_info=context.get("exception"))


def _last_words(_: type[BaseException], error: BaseException, trail: Any) -> None:
    """Why the process ends. Only our own exceptions speak for themselves: they are written to quote no value."""
    leaves = [error]
    while any(isinstance(leaf, BaseExceptionGroup) for leaf in leaves):
        leaves = [inner for leaf in leaves for inner in (leaf.exceptions if isinstance(leaf, BaseExceptionGroup) else [leaf])]
    for leaf in leaves:
        own = str(leaf) if type(leaf).__module__.startswith("chassis.") or isinstance(leaf, SystemExit) else ""
        structlog.get_logger("hotline").critical(
            "the process ends", because=own, exc_info=(type(leaf), leaf, leaf.__traceback__ or trail)
        )


def _trace_ids(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"], event["span_id"] = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    return event


def _exception_without_values(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The kind of an exception and where it arose; its message may quote a value, so it stays out."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    if isinstance(info, BaseException):
        info = (type(info), info, info.__traceback__)
    if info and info[1] is not None:
        frames = info[2]
        trail: list[str] = []
        while frames is not None:
            trail.append(f"{Path(frames.tb_frame.f_code.co_filename).name}:{frames.tb_lineno}")
            frames = frames.tb_next
        event["error"], event["where"] = type(info[1]).__name__, trail[-12:]
    return event

"""AsyncAPI 3 of a service: one message a fact, in the headers and the envelope that its relay writes, and what it acts on.

Written directly: the relay sends exact bytes by a plain producer, of which the document of a broker's framework would know nothing.
"""

from collections.abc import Sequence
from typing import Any

from chassis.kafka import topic_of
from contracts.kernel import Fact
from contracts.rules import LOGS
from tools.generate.model import Hearing, built, facts_of, hearing_of, is_wired, meaning
from tools.generate.schemas import components, urn_of

TEXT, UUID_TEXT = {"type": "string"}, {"type": "string", "format": "uuid"}
CORRELATION = {"location": "$message.header#/correlation", "description": "The contact with which the story began."}
KAFKA = {"bindingVersion": "0.5.0"}

HEADERS = {
    "type": "object",
    "description": "CloudEvents 1.0 in Kafka binary mode, and three headers of our own.",
    "required": [
        "ce_dataschema",
        "ce_id",
        "ce_source",
        "ce_specversion",
        "ce_subject",
        "ce_time",
        "ce_type",
        "content-type",
        "version",
    ],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "pattern": "^[1-9][0-9]*$", "description": "Position in the log: dense, from 1."},
        "ce_source": {"type": "string", "pattern": "^/hotline/[a-z]+$", "description": "The log."},
        "ce_type": {"type": "string", "description": "The fact."},
        "ce_subject": {**UUID_TEXT, "description": "The stream."},
        "ce_time": {"type": "string", "format": "date-time", "description": "When it was recorded, UTC, six digits of a second."},
        "ce_dataschema": {"type": "string", "description": "Schema of the fact, by name and version."},
        "content-type": {"const": "application/json"},
        "version": {"type": "string", "pattern": "^[1-9][0-9]*$", "description": "Version of the stream: dense, from 1."},
        "cause": {**TEXT, "description": "What made it happen: `<log>:<position>`, `rest:<key>`, `clock:<clock>@<version>` …"},
        "correlation": TEXT,
        "traceparent": {**TEXT, "description": "W3C trace context."},
    },
    "additionalProperties": TEXT,
}
META = {
    "type": "object",
    "description": "The envelope: who, in which capacity, when by their word, why. `occurred_at` is claimed, `ce_time` is ours.",
    "required": ["actor", "as", "cause", "correlation"],
    "properties": {
        "command": {**UUID_TEXT, "description": "The intention; it happens once."},
        "actor": {**TEXT, "description": "Opaque subject id, `policy:<reaction>` or `link:<referral>`."},
        "as": {**TEXT, "description": "`<role>@<place>`"},
        "occurred_at": {"type": "string", "format": "date-time"},
        "cause": TEXT,
        "correlation": TEXT,
        "seen": {**TEXT, "description": "The version on the screen of whoever decided."},
        "traceparent": TEXT,
    },
    "additionalProperties": TEXT,
}
SEALED = {
    "type": "object",
    "description": "Person → box under that person's key: AES-256-GCM over the sealed fields, JSON Pointer → value.",
    "propertyNames": {"format": "uuid"},
    "additionalProperties": {"type": "string", "contentEncoding": "base64"},
}


def documents() -> dict[str, Any]:
    """`asyncapi/<log>.json` → its content."""
    return {f"asyncapi/{log}.json": _document(log) for log in LOGS}


def _document(log: str) -> dict[str, Any]:
    facts = facts_of(log)
    heard = _heard(log)
    shapes = {"Headers": HEADERS, "Meta": META, "Sealed": SEALED}
    return {
        "asyncapi": "3.0.0",
        "id": f"urn:hotline111:{log}",
        "info": {"title": f"hotline111 {log}", "version": "1", "description": f"What {log} tells and hears."},
        "defaultContentType": "application/json",
        "channels": {log: _channel(log, facts)} | {source: {"$ref": f"./{source}.json#/channels/{source}"} for source in heard},
        "operations": {"tell": _told(log, facts)} | {f"hear-{source}": _listening(source, heard[source]) for source in heard},
        "components": {
            "messages": {fact.TOPIC: _message(fact) for fact in facts},
            "schemas": components(facts) | shapes,
        },
    }


def _channel(log: str, facts: Sequence[type[Fact]]) -> dict[str, Any]:
    topic = {"cleanup.policy": ["delete"], "retention.ms": -1}
    return {
        "address": topic_of(log),
        "title": f"The log of {log}, in its order and for ever",
        "messages": {fact.TOPIC: {"$ref": f"#/components/messages/{fact.TOPIC}"} for fact in facts},
        "bindings": {"kafka": {**KAFKA, "partitions": 1, "topicConfiguration": topic}},
    }


def _told(log: str, facts: Sequence[type[Fact]]) -> dict[str, Any]:
    return {
        "action": "send",
        "title": "The relay of this service writes the topic, and nobody else",
        "channel": {"$ref": f"#/channels/{log}"},
        "messages": [{"$ref": f"#/channels/{log}/messages/{fact.TOPIC}"} for fact in facts],
    }


def _listening(source: str, hearing: Hearing) -> dict[str, Any]:
    group = {"bindings": {"kafka": {**KAFKA, "groupId": {"type": "string", "enum": [hearing.group]}}}} if hearing.group else {}
    return {
        "action": "receive",
        "title": f"Heard in the order of {source}, each once",
        "description": "The messages are those acted on; the rest is counted and passed over.",
        "channel": {"$ref": f"#/channels/{source}"},
        "messages": [{"$ref": f"#/channels/{source}/messages/{fact.TOPIC}"} for fact in hearing.facts],
    } | group


def _heard(log: str) -> dict[str, Hearing]:
    if not is_wired(log):
        return {}
    with built(log) as service:
        return hearing_of(service)


def _message(fact: type[Fact]) -> dict[str, Any]:
    named = {
        "ce_type": {"const": fact.TOPIC},
        "ce_source": {"const": f"/hotline/{fact.log}"},
        "ce_dataschema": {"const": urn_of(fact)},
    }
    return {
        "name": fact.TOPIC,
        "title": fact.__name__,
        "description": meaning(fact),
        "contentType": "application/json",
        "correlationId": CORRELATION,
        "headers": {"allOf": [{"$ref": "#/components/schemas/Headers"}, {"type": "object", "properties": named}]},
        "payload": {
            "type": "object",
            "required": ["fact", "meta", "v"],
            "properties": {
                "v": {"const": fact.class_version},
                "meta": {"$ref": "#/components/schemas/Meta"},
                "fact": {"$ref": f"#/components/schemas/{fact.__name__}"},
                "sealed": {"$ref": "#/components/schemas/Sealed"},
            },
            "additionalProperties": False,
        },
        "bindings": {"kafka": {**KAFKA, "key": {"type": "string", "description": "The stream, as the 16 bytes of its UUID."}}},
    }

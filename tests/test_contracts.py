"""What crosses our borders: facts have schemas and golden files, records are CloudEvents, problems have sentences."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from uuid import UUID

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from jsonschema_rs import Draft202012Validator

from chassis import sealing
from chassis.kafka import headers_of, row_of
from chassis.log import Row
from chassis.mapper import FactMapper, Recorded
from chassis.problems import sentences
from contracts.rules import LOGS
from services.referrals.domain.sending import FIELDS
from tools.generate import golden, problems, register
from tools.generate.everything import generated
from tools.generate.model import CONTRACTS, ROOT, all_facts, commands_of

GOLDEN = sorted((CONTRACTS / "golden").glob("*/*.json"))
DOCUMENTS = sorted([*(CONTRACTS / "openapi").glob("*.json"), *(CONTRACTS / "asyncapi").glob("*.json")])
FACTS = {fact.TOPIC: fact for fact in all_facts()}
STAMP = datetime(2026, 3, 3, 2, 35, 0, 7, tzinfo=UTC)
by_name = {"ids": lambda file: f"{file.parent.name}/{file.stem}"}


def read(file):
    return json.loads(file.read_bytes())


def versions_in(folder):
    """(`<log>.<Fact>`, version) of each file."""
    names = [re.fullmatch(r"(\w+)\.v(\d+)", file.stem).groups() for file in sorted((CONTRACTS / folder).glob("*/*.json"))]
    logs = [file.parent.name for file in sorted((CONTRACTS / folder).glob("*/*.json"))]
    return {(f"{log}.{name}", int(version)) for log, (name, version) in zip(logs, names, strict=True)}


@pytest.mark.parametrize("folder", ["schemas", "golden"])
def test_every_version_of_every_fact_has_its_file_and_no_file_is_of_anything_else(folder):
    expected = {(topic, version) for topic, fact in FACTS.items() for version in range(1, fact.class_version + 1)}
    assert expected == versions_in(folder)


def row_in(file):
    kept = golden.read(file)
    return Row(kept.originator_id, kept.originator_version, kept.topic, kept.state, 18421, STAMP)


@pytest.mark.parametrize("file", GOLDEN, **by_name)
def test_what_was_told_once_is_still_read_with_everything_it_said(file):
    kept, state = golden.read(file), read(file)["state"]
    fact = FactMapper(lambda _: golden.KEY).to_domain_event(kept).fact

    clear, sealed = sealing.split(fact)
    assert kept.topic == type(fact).TOPIC
    assert set(state.get("sealed", {})) == {str(person) for person in sealed}
    if state["v"] == type(fact).class_version:
        assert all_of(state["fact"], clear)


@pytest.mark.parametrize("topic", sorted(FACTS))
def test_a_fact_reads_back_exactly_as_it_was_told_with_keys_and_without(topic):
    """What a command answers at once, without reading back, is what everybody reads later."""
    fact, stream = golden.sample(FACTS[topic]), UUID(int=7)
    stored = FactMapper(lambda _: golden.KEY).to_stored_event(Recorded(stream, 1, fact, {"cause": "rest:1"}))
    assert fact == FactMapper(lambda _: golden.KEY).to_domain_event(stored).fact
    assert sealing.without(fact) == FactMapper().to_domain_event(stored).fact


def all_of(then, now):
    """Whether everything that stood there then stands there now; fields may have come since."""
    if isinstance(then, dict):
        return then.keys() <= now.keys() and all(all_of(value, now[name]) for name, value in then.items())
    if isinstance(then, list):
        return len(then) == len(now) and all(map(all_of, then, now))
    return then == now


@pytest.mark.parametrize("file", GOLDEN, **by_name)
def test_a_fact_is_read_without_any_key_and_its_personal_fields_are_unknown(file):
    _, sealed = sealing.split(FactMapper().to_domain_event(golden.read(file)).fact)
    assert {} == sealed


@pytest.mark.parametrize("topic", sorted(FACTS))
def test_the_register_names_exactly_what_is_sealed_in_a_fact_with_every_field_filled(topic):
    fact = FACTS[topic]
    _, parts = sealing.split(golden.sample(fact))

    pointers = {pointer for part in parts.values() for pointer in part}
    named = {entry.field for entry in register.entries() if (entry.log, entry.fact) == (fact.log, fact.__name__)}
    assert named == {pointer[1:].replace("/0/", "[].").replace("/", ".") for pointer in pointers}


def test_a_hand_off_may_disclose_exactly_the_names_of_the_register():
    assert FIELDS == {entry.name for entry in register.entries() if entry.name}


# Records


@pytest.mark.parametrize("file", GOLDEN, **by_name)
def test_every_record_is_a_cloud_event_in_binary_mode_and_its_row_comes_back_from_it(file):
    row, log = row_in(file), file.parent.name
    headers = headers_of(log, row)
    event = from_binary_event(KafkaMessage(dict(headers), None, row.state))  # it takes keys for text; ours are 16 bytes

    assert ("1.0", "18421", f"/hotline/{log}", row.type, str(row.stream), STAMP) == (
        event.get_specversion(),
        event.get_id(),
        event.get_source(),
        event.get_type(),
        event.get_subject(),
        event.get_time(),
    )
    assert ("application/json", read(file)["state"]) == (event.get_datacontenttype(), event.get_data())
    assert row == row_of({name: value.decode() for name, value in headers}, row.state)


@pytest.mark.parametrize("file", GOLDEN, **by_name)
def test_the_schema_that_a_record_quotes_describes_the_fact_in_it(file):
    schema = read(CONTRACTS / "schemas" / file.relative_to(CONTRACTS / "golden"))
    quoted = dict(headers_of(file.parent.name, row_in(file)))["ce_dataschema"].decode()

    assert (quoted, read(file)["type"]) == (schema["$id"], schema["title"])
    Draft202012Validator(schema).validate(read(file)["state"]["fact"])


@pytest.mark.parametrize("file", GOLDEN, **by_name)
def test_headers_and_state_are_as_the_asyncapi_document_says(file):
    document = read(CONTRACTS / "asyncapi" / f"{file.parent.name}.json")
    row = row_in(file)
    headers = {name: value.decode() for name, value in headers_of(file.parent.name, row)}
    if read(file)["state"]["v"] < FACTS[row.type].class_version:
        pytest.skip("the document describes today's version")

    for part, said in (("headers", headers), ("payload", read(file)["state"])):
        message = Draft202012Validator({**document, "$ref": f"#/components/messages/{row.type}/{part}"})
        message.validate(said)
        assert not message.is_valid({})


# Documents


@pytest.mark.parametrize("file", DOCUMENTS, **by_name)
def test_every_reference_in_a_document_leads_somewhere(file):
    for reference in references_in(read(file)):
        assert resolved(file, reference)[1]


def resolved(file, reference):
    """The file and the place in it that a reference in this file leads to, through references on its way."""
    name, _, pointer = reference.partition("#/")
    file = file.parent / name if name else file
    found = read(file)
    for step in pointer.split("/"):
        found = found[step]
        if set(found) == {"$ref"}:
            file, found = resolved(file, found["$ref"])
    return file, found


def references_in(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    for inner in node if isinstance(node, list) else ():
        yield from references_in(inner)


@pytest.mark.parametrize("service", LOGS)
def test_every_route_declares_its_path_parameters_and_if_match_where_it_is_needed(service):
    needed = {kind.__name__: kind.needs_if_match for kind in commands_of(service)}
    found = []
    for path, methods in json.loads(texts()[f"contracts/openapi/{service}.json"])["paths"].items():
        for operation in methods.values():
            declared = {(parameter["in"], parameter["name"]): parameter["required"] for parameter in operation["parameters"]}
            assert set(re.findall(r"{(\w+)}", path)) == {name for place, name in declared if place == "path"}
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            if "$ref" in body:
                found.append(body["$ref"].rpartition("/")[2])
                assert needed[found[-1]] == declared["header", "If-Match"]
    assert found or service == "projections"


def test_a_service_tells_its_own_topic_and_listens_to_the_facts_it_acts_on():
    operations = json.loads(texts()["contracts/asyncapi/cases.json"])["operations"]
    assert {"tell", "hear-intake", "hear-referrals"} == set(operations)
    heard = [message["$ref"].rpartition(".")[2] for message in operations["hear-intake"]["messages"]]
    assert ["ReportScreened", "PersonForgotten"] == heard


@pytest.mark.parametrize("service", ["cases", "referrals", "notifications"])
def test_whoever_hears_intake_and_opens_or_makes_boxes_hears_that_a_person_was_forgotten(service):
    operations = json.loads(texts()[f"contracts/asyncapi/{service}.json"])["operations"]
    assert {"$ref": "#/channels/intake/messages/intake.PersonForgotten"} in operations["hear-intake"]["messages"]


@cache
def texts():
    """File → content as generated now, but for the golden files, which are written once."""
    return {str(file.relative_to(ROOT)): text for file, text in generated().items() if "golden" not in file.parts}


def test_generating_again_in_another_process_gives_identical_bytes():
    program = "import json; from tests.test_contracts import texts; print(json.dumps(texts()))"
    env = {**os.environ, "PYTHONHASHSEED": "7"}
    again = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, check=True)

    assert texts() == json.loads(again.stdout)


def test_nothing_generated_names_a_host_or_a_folder_of_this_machine():
    strangers = (str(ROOT), "/tmp/", "/home/", "127.0.0.1", "localhost")
    assert [] == [(file, stranger) for file, text in texts().items() for stranger in strangers if stranger in text]


# Problems


def test_every_code_that_the_code_can_answer_has_a_sentence_and_every_sentence_a_code():
    assert list(problems.answers()) == list(sentences())  # in the order of the alphabet


def test_a_code_is_written_where_it_is_raised_and_computed_only_where_every_answer_is_made():
    assert {"chassis/problems.py"} == {place.where.partition(":")[0] for place in problems.found() if place.code is None}


@pytest.mark.parametrize("code", sorted(sentences()))
def test_a_sentence_says_what_to_mend_in_one_line_and_has_no_room_for_the_input(code):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
    assert re.fullmatch(r"[A-Za-z][^\n{}%]{20,150}\.", sentences()[code])

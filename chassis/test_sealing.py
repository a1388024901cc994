"""Sealed parts: who can open what, where, and what stays when a key is gone."""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID, uuid4

import pytest
from cryptography.exceptions import InvalidTag
from eventsourcing.persistence import JSONTranscoder, StoredEvent
from hypothesis import given
from hypothesis import strategies as st

from chassis import sealing
from chassis.mapper import FactMapper, Recorded, people_in
from contracts.intake import ReportReceived
from contracts.kernel import Fact, Personal, Shape
from contracts.shapes import Alleged, Child, Informant

STREAM = UUID(int=9)
BOY, GIRL, OTHER, AUNT = (UUID(int=n) for n in range(1, 5))
KEYS = {person: bytes([n]) * 32 for n, person in enumerate((BOY, GIRL, OTHER, AUNT))}
REPORT = ReportReceived(
    contacts=[],
    source="relative",
    centre="hanoi@2025-07-01",
    owner="TVV-01",
    received_at=datetime(2026, 3, 3, tzinfo=UTC),
    children=[
        Child(child_id=BOY, age_band="7_15", age_basis="stated", sex="male", name="Thử Văn Cả", concerns=["neglect"]),
        Child(child_id=GIRL, age_band="under_7", age_basis="stated", sex="female", name="Thử Thị Hai", online=False),
    ],
    alleged=[Alleged(person_id=OTHER, name="Giả Văn Hung")],
    informant=Informant(person_id=AUNT, agrees_to_be_named=False, phone="0320000017"),
    emergency=False,
    procedures=["child_protection"],
)


def stored(keys=KEYS) -> StoredEvent:
    return FactMapper(keys.get).to_stored_event(Recorded(STREAM, 1, REPORT, {}))


def test_no_personal_value_stands_in_the_stored_bytes_and_each_person_has_one_box():
    state = stored().state
    for value in ("Thử Văn Cả", "Thử Thị Hai", "Giả Văn Hung", "0320000017", "neglect"):
        assert value.encode() not in state
    assert {BOY, GIRL, OTHER, AUNT} == set(people_in(state)) == sealing.people(REPORT)


def test_whoever_has_the_keys_reads_the_fact_as_it_was_told():
    assert REPORT == FactMapper(KEYS.get).to_domain_event(stored()).fact


def test_forgetting_one_person_leaves_the_others_readable_and_the_fact_foldable():
    event = stored()
    fact = FactMapper({**KEYS, GIRL: None}.get).to_domain_event(event).fact
    assert isinstance(fact, ReportReceived)
    assert ("Thử Văn Cả", None) == (fact.children[0].name, fact.children[1].name)
    assert "0320000017" == fact.informant.phone


@pytest.mark.parametrize("moved", [{"originator_version": 2}, {"originator_id": uuid4()}, {"topic": "intake.ReportScreened"}])
def test_a_box_moved_to_another_event_does_not_open(moved):
    event = stored()
    place = {"originator_id": event.originator_id, "originator_version": event.originator_version, "topic": event.topic} | moved
    with pytest.raises(InvalidTag):
        FactMapper(KEYS.get).to_domain_event(StoredEvent(**place, state=event.state))


def test_a_box_does_not_tell_the_length_of_a_name():
    place = sealing.Place(UUID(int=1), 1, "cases.CaseOpened")
    short, longer = (sealing.seal(KEYS[BOY], {"/name": name}, place, BOY) for name in ("An", "Nguyễn Thử Mẫu"))
    assert len(short) == len(longer)


def test_a_fact_is_not_stored_before_its_person_has_a_key():
    with pytest.raises(LookupError):
        stored({})


@given(st.text(max_size=500))
def test_every_text_comes_back_as_it_was_sealed(text):
    place = sealing.Place(UUID(int=1), 1, "x.Y")
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert {"/a": text} == sealing.open_box(KEYS[BOY], sealing.seal(KEYS[BOY], {"/a": text}, place, BOY), place, BOY)


@pytest.mark.parametrize(
    ("annotation", "default"),
    [(str, ...), (str | None, "x"), (str | None, ...)],
)
def test_a_sealed_field_must_accept_none_and_default_to_it(annotation, default):
    with pytest.raises(TypeError):
        type(
            "Bad",
            (Shape,),
            {"__annotations__": {"child_id": UUID, "name": Annotated[annotation, Personal("child_id")]}}
            | ({} if default is ... else {"name": default})
            | {"__module__": __name__},
        )


@pytest.mark.parametrize("of", ["nobody", "label"])
def test_a_sealed_field_names_a_uuid_field_of_its_own_model(of):
    fields: dict[str, Any] = {
        "__annotations__": {"child_id": UUID, "label": str, "name": Annotated[str | None, Personal(of)]},
        "name": None,
    }
    with pytest.raises(TypeError):
        type("Bad", (Shape,), fields | {"__module__": __name__})


def test_an_old_version_of_a_fact_is_upcast_by_the_librarys_convention():
    class Outcome(Fact):
        log: ClassVar[str] = "sample"

    class SampleClosed(Outcome):
        class_version: ClassVar[int] = 2
        outcome: str

        @staticmethod
        def upcast_v1_v2(state):
            state["outcome"] = {"success": "goals_met"}[state.pop("result")]

    state = JSONTranscoder().encode({"v": 1, "meta": {}, "fact": {"result": "success"}})
    assert (
        SampleClosed(outcome="goals_met")
        == FactMapper().to_domain_event(StoredEvent(uuid4(), 1, "sample.SampleClosed", state)).fact
    )

"""The deed over a real log and a real key store: first the key, then the word, whatever happens in between."""

from types import SimpleNamespace
from uuid import UUID, uuid4

import psycopg
import pytest

from chassis.transient import StoreGone
from contracts.intake import ErasureApproved, PersonForgotten
from services.intake.adapters import erasing
from tests.desk import desk
from tests.test_http import CONTACT

pytestmark = [pytest.mark.anyio, pytest.mark.real]
WORDS = "Kể (thử)"


class Killed(BaseException):
    """The process is gone at this instruction."""


@pytest.fixture
async def intake(postgres, tmp_path):
    """The API, a worker that is moved by hand, and whoever looks into the databases."""
    async with desk(postgres, "intake", tmp_path) as api, desk(postgres, "intake", tmp_path, role="worker") as worker:
        with psycopg.connect(postgres.uri("keys"), autocommit=True) as keys:
            loops = worker.service.loops
            yield SimpleNamespace(
                api=api, worker=worker, keys=keys, tables=loops["tables"].__self__, eraser=loops["erasing"].__self__
            )


async def told_of(intake, person):
    """The facts on the person's stream."""
    log = intake.worker.parts.log
    return [event.fact for event in await log.open(await log.rows_of(UUID(person)))]


def wrapped(intake, person):
    ((key,),) = intake.keys.execute("SELECT wrapped FROM person_key WHERE person = %s", [person]).fetchall()
    return key


async def follow(intake):
    while await intake.tables.step():
        pass


async def ask(intake, path, body, who="DL-01", **headers):
    answer = await intake.api.post(f"/intake/v1{path}", body, who=who, groups=("data_officer",), **headers)
    assert answer.is_success, answer.text
    return answer.json()


async def approved(intake, person=None):
    """Somebody who told us something, and whose erasure two people want."""
    person = person or str(uuid4())
    heard = await intake.api.post("/intake/v1/contacts", CONTACT | {"caller_id": person, "text": WORDS})
    assert 201 == heard.status_code, heard.text
    asked = await ask(intake, f"/persons/{person}/erasure-requests", {"basis": "subject"})
    agreed = {"decision": "12/QĐ"}
    await ask(intake, f"/persons/{person}/erasure-approvals", agreed, "DL-02", if_match=f'"{asked["version"]}"')
    await follow(intake)
    return person


async def test_the_key_dies_and_then_the_person_is_told_to_be_forgotten_on_that_decision(intake):
    person = await approved(intake)
    assert wrapped(intake, person)
    assert 1 == await intake.eraser.step()

    assert wrapped(intake, person) is None
    fact = (await told_of(intake, person))[-1]
    assert (PersonForgotten, "12/QĐ") == (type(fact), fact.decision)
    assert [(fact.destroyed_at, "12/QĐ")] == intake.keys.execute(
        "SELECT destroyed_at, decision FROM person_key WHERE person = %s", [person]
    ).fetchall()
    await follow(intake)
    assert 0 == await intake.eraser.step()


async def test_a_slip_in_the_id_is_refused_and_nothing_is_recorded(intake):
    slip = str(uuid4())
    answer = await intake.api.post(f"/intake/v1/persons/{slip}/erasure-requests", {"basis": "subject"}, "DL-01", ("data_officer",))
    assert (409, "urn:hotline111:nothing-to-forget") == (answer.status_code, answer.json()["type"])
    assert [] == await told_of(intake, slip)


async def test_what_stands_in_the_log_about_a_forgotten_person_is_the_same_to_the_byte(intake):
    log = intake.worker.parts.log
    person = await approved(intake)
    before = await log.after(0, 100_000)
    await intake.eraser.step()
    after = await log.after(0, 100_000)
    assert before == after[: len(before)]
    assert [PersonForgotten.TOPIC] == [row.type for row in after[len(before) :]]
    others = [row for row in after if person.encode() in row.state and row.stream != UUID(person)]
    assert WORDS not in str(await log.open(others))


@pytest.mark.parametrize("place", ["erasure.after-destroy", "erasure.after-command"])
async def test_a_worker_that_dies_on_the_way_is_followed_by_one_that_ends_it_once(intake, monkeypatch, place):
    person = await approved(intake)

    def die(reached):
        if reached == place:
            raise Killed

    monkeypatch.setattr(erasing, "reach", die)
    with pytest.raises(Killed):
        await intake.eraser.step()
    said = [type(fact) for fact in await told_of(intake, person)]
    assert wrapped(intake, person) is None
    assert (PersonForgotten in said) is (place == "erasure.after-command")

    monkeypatch.undo()
    assert 1 == await intake.eraser.step()
    await follow(intake)
    assert 0 == await intake.eraser.step()
    told = [fact for fact in await told_of(intake, person) if isinstance(fact, PersonForgotten)]
    since = intake.keys.execute("SELECT destroyed_at FROM person_key WHERE person = %s", [person]).fetchone()
    assert [since] == [(fact.destroyed_at,) for fact in told]


async def test_nobody_is_told_to_be_forgotten_while_the_key_store_does_not_answer_or_is_not_swept(intake, monkeypatch, postgres):
    person = await approved(intake)
    right = "EXECUTE ON FUNCTION destroy_key(uuid, text, timestamptz)"
    intake.keys.execute(f"REVOKE {right} FROM intake_eraser")
    try:
        with pytest.raises(StoreGone):
            await intake.eraser.step()
    finally:
        intake.keys.execute(f"GRANT {right} TO intake_eraser")
    assert wrapped(intake, person)
    with psycopg.connect(postgres.uri("keys")) as backup:
        backup.execute("LOCK TABLE person_key IN ACCESS SHARE MODE")
        with pytest.raises(StoreGone):
            await intake.eraser.step()
    assert ErasureApproved is type((await told_of(intake, person))[-1])
    assert 1 == await intake.eraser.step()
    assert PersonForgotten is type((await told_of(intake, person))[-1])


async def test_nothing_personal_is_recorded_about_a_forgotten_person_any_more(intake):
    person = await approved(intake)
    await intake.eraser.step()
    intake.api.parts.keys.flush()  # as it does by itself within 30 seconds
    answer = await intake.api.post("/intake/v1/contacts", CONTACT | {"caller_id": person, "text": WORDS})
    assert (409, "urn:hotline111:person-forgotten") == (answer.status_code, answer.json()["type"])


async def test_a_key_store_restored_from_a_backup_forgets_again_before_the_worker_does_anything_else(intake):
    person, other = await approved(intake), await approved(intake)
    backup = intake.keys.execute("SELECT wrapped FROM person_key WHERE person = %s", [person]).fetchone()
    await intake.eraser.step()
    await follow(intake)
    restored = "UPDATE person_key SET wrapped = %s, destroyed_at = NULL, decision = NULL WHERE person = %s"
    intake.keys.execute(restored, [*backup, person])
    assert wrapped(intake, person)
    await intake.eraser.again()
    assert wrapped(intake, person) is None
    assert wrapped(intake, other) is None


async def test_the_api_may_not_destroy_a_key(intake):
    with pytest.raises(StoreGone):
        await intake.api.parts.keys.destroy(uuid4(), "why not", intake.api.parts.time.now())

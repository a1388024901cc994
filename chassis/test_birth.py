"""Whether a log may begin: an empty database is that of a new log only if nobody, file, topic or checkpoints, knows of one."""

from uuid import uuid4

import pytest
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from chassis.birth import LostLogError, traces_of
from chassis.checkpoints import NEWEST_ONLY, TOPIC, file_of, write_file
from chassis.service import Parts, Service
from chassis.settings import Settings
from contracts.cases import LogCreated
from tests.topics import Said, row

pytestmark = [pytest.mark.anyio, pytest.mark.real]


@pytest.fixture
async def world(world):
    """With a topic of checkpoints."""
    if TOPIC.topic not in await world.admin.list_topics():
        await world.admin.create_topics([NewTopic(TOPIC.topic, 1, 1, topic_configs=NEWEST_ONLY)])
    return world


@pytest.fixture
async def topic(world):
    return await world.topic()


@pytest.fixture
async def new(world, topic):
    """A log that never was; the topic is empty."""
    return await world.log(topic.log)


@pytest.fixture
def settings(world, tmp_path):
    return Settings.model_construct(kafka=world.kafka, checkpoint_folder=tmp_path, environment="test", authority="a.example")


def service(log, settings):
    return Service(Parts(log.name, settings, None, None, log, None, None, None), None, created=LogCreated)


async def test_a_log_of_which_nobody_knows_anything_begins_with_its_first_entry(new, settings):
    assert "" == await traces_of(new.name, settings)
    await service(new, settings)._begin(lambda: None)
    assert ["cases.LogCreated"] == [each.type for each in await new.after(0, 10)]


async def test_a_log_that_has_begun_asks_nobody(new, settings):
    await service(new, settings)._begin(lambda: None)
    alone = settings.model_copy(update={"kafka": "127.0.0.1:1"})
    await service(new, alone)._begin(lambda: None)
    assert 1 == await new.head()


async def test_while_the_broker_does_not_answer_nothing_is_begun(new, settings):
    alone = settings.model_copy(update={"kafka": "127.0.0.1:1"})
    with pytest.raises((KafkaError, TimeoutError, ConnectionError)):
        await service(new, alone)._begin(lambda: None)
    assert 0 == await new.head()


async def refusal(log, settings):
    with pytest.raises(LostLogError) as refused:
        await service(log, settings)._begin(lambda: None)
    assert 0 == await log.head()
    return str(refused.value)


async def test_a_topic_that_tells_of_it_shows_that_the_database_was_lost(topic, new, settings):
    await topic.send(row(1, Said(word="before", to=uuid4()), stream=uuid4()))
    said = await refusal(new, settings)
    assert f"the database of {new.name} is empty, but its topic tells 1 entries: it was lost" in said
    assert f"hotline recover {new.name}" in said


async def test_a_checkpoint_in_the_file_shows_it_even_without_a_broker(new, settings, tmp_path):
    write_file(file_of(tmp_path, new.name), b"a note")
    assert "its newest checkpoint lies in" in await refusal(new, settings.model_copy(update={"kafka": "127.0.0.1:1"}))


async def test_a_checkpoint_that_was_told_shows_it_even_if_the_topic_of_the_log_was_emptied(world, new, settings):
    await world.producer.send_and_wait(TOPIC.topic, b"a note", key=new.name.encode(), partition=0)
    assert "a checkpoint of it was told" in await refusal(new, settings)


async def test_what_a_stranger_wrote_into_the_topic_shows_nothing(topic, new, settings):
    await topic.stranger(ce_id="1")
    assert "" == await traces_of(new.name, settings)


async def test_another_process_that_begins_it_meanwhile_is_no_sign_of_a_loss(new, settings, monkeypatch):
    async def seen_too_late(*_):
        await service(new, settings)._born(lambda: None)
        return "its topic tells 1 entries"

    monkeypatch.setattr("chassis.service.traces_of", seen_too_late)
    await service(new, settings)._begin(lambda: None)
    assert 1 == await new.head()

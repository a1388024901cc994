"""Signing a log, over a real database and a real broker: what is signed, where it lies, and when nothing is signed."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

import contracts.cases
import contracts.referrals
from chassis import checkpoints
from chassis.checkpoints import NEWEST_ONLY, TOPIC, file_of, topic_at
from chassis.ledger.checkpoint import Checkpoint
from chassis.ledger.entry import entry
from chassis.ledger.note import SigningKey, opened, taken_apart
from chassis.ledger.policy import Policy
from chassis.ledger.tree import Frontier, leaf
from chassis.log import Log
from chassis.relay import Acknowledged
from chassis.settings import Settings
from chassis.signer import NotOurPastError, Signer
from contracts.ids import system_stream
from tests.topics import running, say, until, world_of

pytestmark = [pytest.mark.anyio, pytest.mark.real]
SEED, OTHER = bytes(range(32)), bytes(range(1, 33))


@pytest.fixture
async def world(kafka, templates, database):
    names = []

    def open_database():
        names.append(database("cases"))
        return names[-1], templates.uri(names[-1], "cases_worker")

    async with world_of(kafka.bootstrap, open_database) as world:
        if TOPIC.topic not in await world.admin.list_topics():
            await world.admin.create_topics([NewTopic(TOPIC.topic, 1, 1, topic_configs=NEWEST_ONLY)])
        world.templates, world.names = templates, names
        yield world


@dataclass
class Signing:
    """A log of its own, and who signs it; the relay is played by the test."""

    world: object
    log: Log
    folder: Path
    database: str

    def by(self, *seeds, kafka=None, acknowledged=None):
        origin = self.origin
        keys = [SigningKey.of_seed(origin, seed) for seed in seeds or [SEED]]
        return Signer(self.log, origin, keys, self.folder, kafka or self.world.kafka, acknowledged or Acknowledged())

    @property
    def origin(self):
        return f"hotline111.example/test/{self.log.name}"

    @property
    def file(self):
        return file_of(self.folder, self.log.name)

    @asynccontextmanager
    async def at_work(self, told, *seeds):
        up, signer = asyncio.Event(), self.by(*seeds)
        signer.acknowledged.position = told
        async with running(signer.run(up.set), up):
            yield signer

    async def signs(self, told, *seeds):
        async with self.at_work(told, *seeds):
            await until(lambda: self._covered(told))

    async def _covered(self, size):
        told = await self.told()
        return told is not None and f"\n{size}\n" in told.decode()

    async def told(self):
        async with topic_at(self.world.kafka) as topic:
            return await topic.newest(self.log.name)

    async def table(self):
        return [note.encode() for (note,) in await self.log.fetch("SELECT note FROM checkpoint ORDER BY size")]

    def rewritten(self, statement):
        """By somebody who owns the database."""
        with psycopg.connect(self.world.templates.uri(self.database), autocommit=True) as db:
            db.execute("ALTER TABLE event DISABLE TRIGGER USER")
            db.execute("ALTER TABLE checkpoint DISABLE TRIGGER USER")
            db.execute(statement)

    async def root(self, size):
        tree = Frontier()
        for row in await self.log.after(0, size):
            tree.add(leaf(entry(self.origin, row.position, row.recorded_at, row.stream, row.version, row.type, row.state)))
        return tree.root()

    async def refusal(self, *seeds):
        with pytest.raises(NotOurPastError) as refused:
            await asyncio.wait_for(self.by(*seeds).run(lambda: None), 20)
        return str(refused.value)


@pytest.fixture
async def signing(world, tmp_path):
    log = await world.log(f"signed{uuid4().hex[:8]}")
    return Signing(world, log, tmp_path, world.names[-1])


async def test_what_the_topic_tells_is_signed_and_the_note_lies_in_file_table_and_topic(signing):
    await say(signing.log, "one", "two", "three")
    await signing.signs(3)
    (note,) = await signing.table()
    assert (note, note) == (signing.file.read_bytes(), await signing.told())
    text = opened(note, [SigningKey.of_seed(signing.origin, SEED).key])
    assert Checkpoint(signing.origin, 3, await signing.root(3)) == Checkpoint.read(text)


async def test_what_the_topic_does_not_tell_yet_is_not_signed(signing):
    await say(signing.log, "one", "two", "three")
    async with signing.at_work(2) as signer:
        await until(lambda: signing._covered(2))
        await asyncio.sleep(1.5)
        assert 1 == len(await signing.table())
        signer.acknowledged.position = 3
        await until(lambda: signing._covered(3))


async def test_at_most_one_a_second_is_signed_and_only_when_the_log_has_grown(signing):
    await say(signing.log, *(str(n) for n in range(20)))
    async with signing.at_work(1) as signer:
        for position in range(2, 21):
            signer.acknowledged.position = position
            await asyncio.sleep(0.1)
        await until(lambda: signing._covered(20))
        await asyncio.sleep(1.5)
    assert 2 <= len(await signing.table()) <= 4


@pytest.mark.parametrize("left", ["file", "table", "topic"])
async def test_any_one_place_is_enough_to_go_on_and_then_all_have_it_again(signing, left):
    await say(signing.log, "one", "two")
    await signing.signs(2)
    (note,) = await signing.table()
    if left != "file":
        signing.file.unlink()
    if left != "table":
        signing.rewritten("DELETE FROM checkpoint")
    if left != "topic":
        await signing.world.producer.send_and_wait(TOPIC.topic, None, key=signing.log.name.encode(), partition=0)
        assert await signing.told() is None
    await say(signing.log, "three")
    async with signing.at_work(2):
        assert ([note], note) == (await signing.table(), signing.file.read_bytes())
        assert note == await signing.told()
    await signing.signs(3)


async def test_an_altered_row_is_noticed_at_the_start_and_nothing_more_is_signed(signing):
    stream = await say(signing.log, "one", "two", "three")
    await signing.signs(3)
    signing.rewritten(
        f"UPDATE event SET state = replace(state::text, '\\x', '\\x20')::bytea WHERE originator_id = '{stream}' AND originator_version = 2"
    )
    await say(signing.log, "four")
    assert "the first 3 rows of" in await signing.refusal()
    assert 1 == len(await signing.table())


async def test_a_log_that_lost_its_end_is_refused_with_what_to_do(signing):
    await say(signing.log, "one", "two", "three")
    await signing.signs(3)
    signing.rewritten("DELETE FROM event WHERE position = 3")
    assert (
        f"covers 3 entries of {signing.log.name} but the log has 2: restored from an old backup? hotline recover"
        in await signing.refusal()
    )


async def test_a_file_of_another_log_or_with_a_false_signature_is_refused_and_named(signing):
    await say(signing.log, "one")
    await signing.signs(1)
    assert "not signed by any known key" in await signing.refusal(OTHER)
    note = signing.file.read_bytes()
    signing.file.write_bytes(note.replace(b"\n1\n", b"\n2\n"))
    assert "in the file is not ours: a signature in the name of a known key is false" in await signing.refusal()


async def test_while_the_broker_does_not_answer_a_log_without_checkpoints_is_not_taken_for_new(signing):
    await say(signing.log, "one")
    with pytest.raises((KafkaError, TimeoutError, ConnectionError)):
        await asyncio.wait_for(signing.by(kafka="127.0.0.1:1", acknowledged=Acknowledged(1)).run(lambda: None), 60)
    assert [] == await signing.table()


async def test_two_keys_sign_while_one_takes_over_and_the_log_says_so(world, tmp_path):
    signing = Signing(world, await world.log("cases"), tmp_path, world.names[-1])
    await say(signing.log, "one")
    await signing.signs(1, SEED)
    await say(signing.log, "two")
    await signing.signs(2, SEED, OTHER)
    await say(signing.log, "three")
    await signing.signs(5, OTHER)
    old, new = (SigningKey.of_seed(signing.origin, seed) for seed in (SEED, OTHER))
    signers = [{line.id for line in taken_apart(note)[1]} for note in await signing.table()]
    assert [{old.key.id}, {old.key.id, new.key.id}, {new.key.id}] == signers
    told = [event.topic for event in await signing.log.events(system_stream(signing.origin))]
    assert [contracts.cases.KeyIntroduced.TOPIC, contracts.cases.KeyRetired.TOPIC] == told
    rows = await signing.log.after(0, 10)
    assert new.verifier.encode() in rows[2].state or new.verifier.encode() in rows[1].state


async def test_a_signer_that_died_between_two_places_makes_good_for_it(signing, monkeypatch):
    await say(signing.log, "one")
    died = RuntimeError("killed here")

    async def die(*_):
        raise died

    monkeypatch.setattr(checkpoints, "add_to_table", die)
    with pytest.raises(RuntimeError):
        await asyncio.wait_for(signing.by(acknowledged=Acknowledged(1)).run(lambda: None), 20)
    monkeypatch.undo()
    note = signing.file.read_bytes()
    assert ([], None) == (await signing.table(), await signing.told())
    async with signing.at_work(1):
        assert ([note], note) == (await signing.table(), await signing.told())


# -- what a worker is given ------------------------------------------------------------------------------------------------------


def given(folder, mode=0o600, policy=None):
    key = folder / "signing-key"
    key.write_text(SEED.hex())
    key.chmod(mode)
    files = {"signing_key_file": key, "next_signing_key_file": None, "ledger_policy_file": policy}
    return Settings.model_construct(**files, checkpoint_folder=folder, environment="test", authority="a.example", kafka="")


def signer_of(log, settings):
    return Signer.of(log, settings, Acknowledged())


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o660, 0o610])
async def test_a_key_that_others_can_read_is_refused_with_what_to_do(signing, tmp_path, mode):
    with pytest.raises(SystemExit, match=r"can be read by anybody.*: chmod 600 .*signing-key"):
        signer_of(signing.log, given(tmp_path, mode))


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440])
async def test_a_key_that_its_owner_alone_can_read_is_taken(signing, tmp_path, mode):
    assert (
        SigningKey.of_seed(f"a.example/test/{signing.log.name}", SEED).verifier
        == signer_of(signing.log, given(tmp_path, mode)).keys[0].verifier
    )


async def test_a_policy_that_does_not_say_its_epoch_is_refused(signing, tmp_path):
    policy = tmp_path / "policy"
    policy.write_text("quorum none\n")
    with pytest.raises(SystemExit, match="policy does not say its epoch: # epoch 1 from"):
        signer_of(signing.log, given(tmp_path, policy=policy))


async def test_a_worker_says_by_which_policy_its_log_is_judged_and_a_restart_says_nothing(world, tmp_path):
    signing = Signing(world, await world.log("referrals"), tmp_path, world.names[-1])
    policy = Policy.read(f"# epoch 1\nlog {SigningKey.of_seed(signing.origin, SEED).verifier}\nquorum none\n".encode())
    await say(signing.log, "one")
    for _ in range(2):
        up, signer = asyncio.Event(), signing.by()
        signer.policy, signer.acknowledged.position = policy, 1
        async with running(signer.run(up.set), up):
            await until(lambda: signing._covered(1))
    told = [event.topic for event in await signing.log.events(system_stream(signing.origin))]
    assert [contracts.referrals.PolicyAdopted.TOPIC] == told

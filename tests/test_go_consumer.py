"""A reader in another language, over real topics: every position once, whatever a topic holds, and of sealed parts only the names."""

import asyncio
import json
import re
import signal
import subprocess
from functools import partial

import pytest
from aiokafka.admin import NewTopic

from chassis.conftest import database, templates  # noqa: F401  # fixtures
from chassis.kafka import STAMP, topic_of
from chassis.log import Row
from tests.line import QUERY, call, child, eventually, report, screening
from tests.programs import built
from tests.topics import relaying, running, say, until, world_of
from tools.generate.model import CONTRACTS, ROOT

pytestmark = [pytest.mark.anyio, pytest.mark.real, pytest.mark.slow]
CONSUMER = ".local/bin/consumer"
READ_ON = "--until-end"


@pytest.fixture(scope="session")
def consumer():
    return built(CONSUMER)


@pytest.fixture
async def world(kafka, templates, database):  # noqa: F811
    def open_database():
        name = database("cases")
        return name, templates.uri(name, "cases_worker")

    async with world_of(kafka.bootstrap, open_database) as world:
        yield world


class Reader:
    """The program with a place and an output of its own: `read` from where it was to the end."""

    def __init__(self, program, kafka, topic, folder):
        self.out, self.place = folder / "facts.jsonl", folder / "place.json"
        self.command = [str(program), "-brokers", kafka, "-topic", topic, "-position-file", str(self.place), "-out", str(self.out)]

    async def read(self, *options):
        """Exit code and what it said."""
        done = await self.start(READ_ON, *options)
        _, said = await done.communicate()
        return done.returncode, said.decode()

    async def start(self, *options):
        return await asyncio.create_subprocess_exec(*self.command, *options, stderr=asyncio.subprocess.PIPE)

    def facts(self):
        return [json.loads(line) for line in self.out.read_text(encoding="utf-8").splitlines()] if self.out.exists() else []

    def positions(self):
        return [fact["position"] for fact in self.facts()]


def as_read(row, log, **more):
    """How the program writes this row."""
    state = json.loads(row.state)
    return {
        "log": log,
        "position": row.position,
        "stream": str(row.stream),
        "version": row.version,
        "type": row.type,
        "recorded_at": row.recorded_at.strftime(STAMP),
        "fact": state["fact"],
        **({"sealed": sorted(state["sealed"])} if "sealed" in state else {}),
        **more,
    }


async def told(world, *words):
    """A topic and its log, told by a real relay."""
    topic = await world.topic()
    log = await world.log(topic.log)
    await say(log, *words)
    async with relaying(log, topic):
        await topic.tells(len(words))
    return topic, log


async def listed(world, topic, *, there):
    """Whether the broker knows the topic, or no longer."""
    return there == (topic in await world.admin.list_topics())


async def test_repeats_and_strangers_are_passed_over_and_behind_a_gap_it_waits_until_the_missing_one_is_told(
    world, consumer, tmp_path
):
    topic, log = await told(world, *(f"w{n}" for n in range(1, 11)))
    await topic.empty()
    rows = await log.after(0, 100)
    reader = Reader(consumer, topic.kafka, topic.partition.topic, tmp_path)
    for row in [*rows[:5], *rows[2:4]]:  # two of a relay that woke up again
        await topic.send(row)
    await topic.stranger()
    await topic.stranger(ce_id="6", ce_type="spoken.Said")
    for row in [rows[5], rows[7], rows[8]]:
        await topic.send(row)

    code, said = await reader.read()
    assert (1, [1, 2, 3, 4, 5, 6]) == (code, reader.positions())
    assert 1 == said.count("a gap, waiting for position 7, got 8")
    assert "read 6, up to position 6; repeats 2, strangers 2, marked 0" in said

    for row in rows[6:]:
        await topic.send(row)
    assert 0 == (await reader.read())[0]
    assert [as_read(row, log.name) for row in rows] == reader.facts()


async def test_killed_and_started_again_while_a_relay_writes_it_has_every_position_exactly_once(world, consumer, tmp_path):
    topic, log = await told(world, "first")
    reader = Reader(consumer, topic.kafka, topic.partition.topic, tmp_path)

    async def talk():
        for n in range(400):
            await say(log, f"w{n}")

    async with relaying(log, topic), running(talk()) as talking:
        for most in (1, 40, 90, 150):
            process = await reader.start()

            async def reached(most=most):
                return len(reader.out.read_bytes().splitlines() if reader.out.exists() else ()) > most

            await until(reached, 60)
            process.kill()
            assert -signal.SIGKILL == await process.wait()
        await talking
        await topic.tells(401)
    code, said = await reader.read()

    assert 0 == code, said
    assert [as_read(row, log.name) for row in await log.after(0, 1000)] == reader.facts()


async def test_told_to_stop_it_keeps_its_place_and_says_how_far_it_came(world, consumer, tmp_path):
    topic, _ = await told(world, "one", "two", "three")
    reader = Reader(consumer, topic.kafka, topic.partition.topic, tmp_path)
    process = await reader.start()

    async def kept():
        return reader.place.exists() and 3 == json.loads(reader.place.read_bytes())["position"]

    await until(kept, 60)
    process.terminate()
    _, said = await process.communicate()
    assert (0, [1, 2, 3]) == (process.returncode, reader.positions())
    assert b"read 3, up to position 3" in said


@pytest.mark.parametrize("anew", [False, True], ids=["emptied", "made anew"])
async def test_a_topic_that_was_emptied_or_made_anew_and_filled_again_is_read_on_from_the_same_position(
    world, consumer, tmp_path, anew
):
    topic, log = await told(world, "one", "two", "three")
    await topic.stranger()
    reader = Reader(consumer, topic.kafka, topic.partition.topic, tmp_path)
    for row in await log.after(2, 1):  # so that offsets are not positions
        await topic.send(row)
    await say(log, "four")
    async with relaying(log, topic):
        await topic.tells(4)
    assert 0 == (await reader.read())[0]

    if anew:
        name = topic.partition.topic
        await world.admin.delete_topics([name])
        await until(lambda: listed(world, name, there=False))
        await world.admin.create_topics([NewTopic(name, 1, 1)])
        await until(lambda: listed(world, name, there=True))
    else:
        await topic.empty()
    await say(log, "five", "six", "seven", "eight")
    async with relaying(log, topic):
        await topic.holds(8)
    assert (0, True) == ((found := await reader.read())[0], "read 4, up to position 8" in found[1])
    assert [1, 2, 3, 4, 5, 6, 7, 8] == reader.positions()


async def test_a_fact_that_it_has_not_learnt_is_passed_on_with_a_mark(world, consumer, tmp_path):
    topic, log = await told(world, "one", "two", "three")
    rows = await log.after(0, 10)
    folder = tmp_path / "schemas" / "spoken"
    folder.mkdir(parents=True)
    (folder / "Said.v1.json").touch()
    await topic.empty()
    await topic.send(rows[0])
    await topic.send(rows[1], json.dumps({**json.loads(rows[1].state), "v": 2}).encode())
    await topic.send(rows[2], b"no state", ce_type="spoken.Sung")
    reader = Reader(consumer, topic.kafka, topic.partition.topic, tmp_path)

    code, said = await reader.read("-contracts", str(tmp_path))
    assert (0, True) == (code, "marked 2" in said)
    assert [
        as_read(rows[0], log.name),
        as_read(rows[1], log.name, mark="newer version"),
        as_read(rows[2], log.name, mark="unreadable", type="spoken.Sung", fact=None),
    ] == reader.facts()


async def test_an_empty_topic_is_read_to_its_end_at_once(world, consumer, tmp_path):
    topic = await world.topic()
    code, said = await Reader(consumer, topic.kafka, topic.partition.topic, tmp_path).read()
    assert (0, True) == (code, "read 0, up to position 0" in said)


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (2, []),
        (2, ["-brokers", "{kafka}"]),
        (2, ["-brokers", "{kafka}", "-topic", "{topic}", "-contracts", "nowhere"]),
        (3, ["-brokers", "{kafka}", "-topic", "hotline.nobody.events.v1"]),
        (3, ["-brokers", "127.0.0.1:1", "-topic", "{topic}"]),
        (3, ["-brokers", "{kafka}", "-topic", "{topic}", "-position-file", "no-such-folder/place.json"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
async def test_what_cannot_be_done_ends_with_the_code_that_is_written_for_it(world, consumer, tmp_path, code, arguments):
    topic, _ = await told(world, "one")
    given = [argument.format(kafka=topic.kafka, topic=topic.partition.topic) for argument in arguments]
    done = await asyncio.create_subprocess_exec(consumer, *given, READ_ON, cwd=tmp_path, stdout=asyncio.subprocess.DEVNULL)
    assert code == await done.wait()


def test_every_log_of_the_line_is_read_whole_and_no_sealed_part_is_printed(own_line, consumer):
    line = own_line
    contact = line.done("/intake/v1/contacts", call(line, text="Kể (thử)"))
    record = line.done("/intake/v1/records", report(line, contact, child(name="Mẫu Thị Thử")))
    line.done(f"/intake/v1/records/{record['id']}/screening", screening(), seen=record["version"])
    line.rest()

    def printed(log, positions):
        """All it prints of a log, once its relay has told so many."""
        command = [consumer, "-brokers", line.stack.kafka.bootstrap, "-topic", topic_of(log), "-contracts", CONTRACTS, READ_ON]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout + done.stderr if done.stdout.count("\n") >= positions else None

    boxes = 0
    for log, head in line.heads().items():
        text = eventually(partial(printed, log, head))
        rows = [Row(*row) for row in line.rows(log, QUERY, 0)]
        sealed = [box for row in rows for box in json.loads(row.state).get("sealed", {}).values()]
        assert [as_read(row, log) for row in rows[:head]] == [json.loads(fact) for fact in text.splitlines()[:head]]
        assert [] == [box for box in sealed if box[:24] in text]
        boxes += len(sealed)
    assert boxes


def test_the_page_on_reading_a_topic_quotes_the_rule_as_the_program_has_it():
    page = (ROOT / "docs" / "how-to-read-a-topic.md").read_text(encoding="utf-8")
    (quote,) = re.findall(r"^```go\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert quote in (ROOT / "tools" / "consumer-go" / "follow" / "turn.go").read_text(encoding="utf-8")


def test_the_page_names_every_option_of_the_program_and_no_other(consumer):
    page = (ROOT / "docs" / "how-to-read-a-topic.md").read_text(encoding="utf-8")
    usage = subprocess.run([consumer], capture_output=True, text=True, check=False).stderr
    assert set(re.findall(r"^  -([a-z-]+)", usage, re.MULTILINE)) == set(re.findall(r"[ `]-([a-z][a-z-]+)", page))

"""The supervisor: what it starts, what it starts again, and that nothing outlives it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import psutil
import psycopg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.local.postgres import key_role
from deploy.local.process import NotStartedError
from deploy.local.stack import SERVICES, Stack, down, read_state

pytestmark = [pytest.mark.real, pytest.mark.slow]
SERVICE = [sys.executable, str(Path(__file__).with_name("plain_service.py"))]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
def stack(home):
    with Stack(home, environment="test", command=SERVICE) as running:
        yield running


def eventually(check, seconds=20):
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def asked(url):
    return httpx2.get(url).json()


def answers(url):
    try:
        return httpx2.get(url).is_success
    except httpx2.TransportError:
        return False


def test_each_service_runs_as_an_api_and_a_worker_with_a_database_role_of_its_own(stack):
    told = {
        (service, role): asked(stack.urls[service + suffix])
        for service in SERVICES
        for role, suffix in (("api", ""), ("worker", ".worker"))
    }

    assert {(service, role): [service, f"--role={role}"] for service, role in told} == {
        key: process["arguments"] for key, process in told.items()
    }
    for (service, role), process in told.items():
        assert process["settings"]["H111_DATABASE"].startswith(f"postgresql://{service}_{role}:")
        assert process["settings"]["H111_DATABASE"].endswith(f"/{service}")
        assert process["settings"]["H111_KEYS"].startswith(f"postgresql://{key_role(service, role)}:")


def test_keys_are_made_once_and_only_their_owner_reads_them(stack):
    settings = [asked(stack.urls[service])["settings"] for service in SERVICES]

    files = {Path(each[name]) for each in settings for name in ("H111_MASTER_KEY_FILE", "H111_LINK_KEY_FILE")}
    assert len(files) == 2
    for file in files:
        assert len(bytes.fromhex(file.read_text())) == 32
        assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.anyio
async def test_every_log_has_a_topic_of_one_partition_that_is_kept_for_ever(stack):
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka.bootstrap)
    await admin.start()
    names = [f"hotline.{service}.events.v1" for service in SERVICES]
    topics = await admin.describe_topics(names)
    configs = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    await admin.close()

    assert dict.fromkeys(names, 1) == {topic["topic"]: len(topic["partitions"]) for topic in topics}
    settings = [{entry[0]: entry[1] for entry in resource[4]} for answer in configs for resource in answer.resources]
    assert [("delete", "-1")] * len(names) == [(each["cleanup.policy"], each["retention.ms"]) for each in settings]


def test_the_front_door_passes_paths_queries_and_bodies_on_untouched(stack):
    front = stack.urls["front"]

    assert asked(f"{front}/cases/v1/a%20b/%2F?q=%C4%91")["path"] == "/cases/v1/a%20b/%2F?q=%C4%91"
    sent = httpx2.post(f"{front}/intake/v1/contacts", content=b"\xff{", headers={"idempotency-key": "1"}).json()
    assert (sent["body"], sent["headers"]["idempotency-key"]) == ("\xff{", "1")


def test_the_front_door_streams_while_the_service_still_speaks(stack):
    began = time.monotonic()
    with httpx2.stream("GET", f"{stack.urls['front']}/projections/v1/stream") as answer:
        first = next(answer.iter_raw())
        waited = time.monotonic() - began

    assert first == b"abcd\n"
    assert waited < 0.5  # the whole answer takes 0.9 s


def test_the_front_door_knows_no_other_names(stack):
    assert httpx2.get(f"{stack.urls['front']}/nowhere/v1/x").status_code == 404


def test_a_killed_worker_is_started_again_and_a_stopped_one_is_not(stack):
    worker = stack.process("cases", "worker")
    killed = worker.pid
    worker.kill9()
    eventually(lambda: answers(stack.urls["cases.worker"]))
    assert killed != worker.pid

    worker.stop()
    time.sleep(1)
    assert not worker.is_alive()
    worker.start()


def test_a_database_server_killed_from_outside_comes_back_at_the_same_address_with_its_data(stack):
    uri = stack.postgres.uri("intake", "intake_owner")
    before = psycopg.connect(uri).execute("select count(*) from migration").fetchone()
    killed = stack.postgres.process.pid
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: killed != stack.postgres.process.pid and _connects(uri))

    assert before == psycopg.connect(uri).execute("select count(*) from migration").fetchone()


def _connects(uri):
    try:
        psycopg.connect(uri).close()
    except psycopg.OperationalError:
        return False
    return True


def test_while_a_service_is_away_the_front_door_says_so_and_when_to_come_again(stack):
    api = stack.process("referrals", "api")
    api.stop()
    answer = httpx2.get(f"{stack.urls['front']}/referrals/v1/x")
    api.start()

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    eventually(lambda: answers(stack.urls["referrals"]))


def test_a_second_stack_in_the_same_folder_is_refused(stack, home):
    with pytest.raises(NotStartedError, match="already running"):
        Stack(home)


def test_a_service_that_does_not_come_up_is_named_with_the_end_of_its_log(tmp_path):
    said = "import sys; sys.exit('settings: H111_SOMETHING is missing')"
    with pytest.raises(NotStartedError, match=r"intake\.api ended with status 1(.|\n)*H111_SOMETHING is missing"):
        Stack(tmp_path, environment="test", command=[sys.executable, "-c", said]).start()

    assert read_state(tmp_path) is None


UP = "import sys, threading; from pathlib import Path; from deploy.local.stack import Stack; home, *command = sys.argv[1:]\n"
UP += "with Stack(Path(home), environment='test', command=command): print('up', flush=True); threading.Event().wait()"


@pytest.fixture
def elsewhere(tmp_path):
    """A stack under a supervisor of its own, and the state it wrote."""
    process = subprocess.Popen([sys.executable, "-c", UP, tmp_path, *SERVICE], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("up"):
            break
    yield process, tmp_path
    down(tmp_path)
    process.stdout.close()
    process.wait()


def running(state):
    return [each["pid"] for each in state["processes"].values() if psutil.pid_exists(each["pid"])]


def test_nothing_outlives_a_supervisor_that_was_killed_and_the_next_one_finds_the_data(elsewhere):
    process, home = elsewhere
    state = json.loads((home / "state.json").read_text())
    assert len(running(state)) == 15

    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    eventually(lambda: not running(state))
    with Stack(home, environment="test", command=SERVICE) as again:
        assert state["urls"] == again.urls


def test_down_ends_everything_and_may_be_said_twice(elsewhere):
    _, home = elsewhere
    state = json.loads((home / "state.json").read_text())

    assert [down(home), down(home)] == [True, False]
    assert running(state) == []

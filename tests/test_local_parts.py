"""The parts of the local stack, each of them real: PostgreSQL, Kafka, SMTP, the identity provider."""

import json
import smtplib
import threading
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx2
import psycopg
import pytest
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError
from joserfc import jwt
from joserfc.jwk import KeySet
from standardwebhooks import Webhook

from deploy.local import kafka as kafka_part
from deploy.local.oidc import AUDIENCE, CLIENT, USERS, Oidc
from deploy.local.postgres import Postgres
from deploy.local.process import NotStartedError, kept_ports
from deploy.local.smtp import Smtp
from tools.oidc_login import LoginFailedError, log_in

pytestmark = pytest.mark.real
PASSWORD = yaml.safe_load(USERS.read_text())["password"]


# Ports


def test_a_port_that_waits_for_its_server_is_not_given_out_again(tmp_path, monkeypatch):
    monkeypatch.setattr("deploy.local.process.PORTS", range(19000, 19060))
    given = [kept_ports(tmp_path / f"{part}.json", "api", "worker").values() for part in range(25)]
    assert len({port for pair in given for port in pair}) == 50


def test_a_part_that_comes_back_has_its_port_again_and_no_other_part_s(tmp_path):
    first = kept_ports(tmp_path / "first.json", "api")
    assert kept_ports(tmp_path / "first.json", "api") == first
    (tmp_path / "second.json").write_text(json.dumps(first))
    assert kept_ports(tmp_path / "second.json", "api") != first


# PostgreSQL


def test_a_committed_row_survives_a_power_cut_at_the_same_address(tmp_path):
    with Postgres(tmp_path) as server:
        uri = server.uri("postgres")
        with psycopg.connect(uri) as connection:
            connection.execute("create table kept (i int)")
            connection.execute("insert into kept values (111)")
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(uri)
        server.start()

        assert psycopg.connect(uri).execute("select i from kept").fetchone() == (111,)


def test_databases_speak_utf8_and_fold_vietnamese_capitals_whatever_the_environment_says(postgres):
    postgres.create_service_databases(["intake"])
    with psycopg.connect(postgres.uri("intake", "intake_owner")) as connection:
        row = connection.execute("select lower('ĐẶNG'), getdatabaseencoding(), current_setting('fsync')").fetchone()

    assert row == ("đặng", "UTF8", "on")


@pytest.mark.parametrize(
    ("database", "role"), [("cases", "intake_api"), ("cases", "intake_owner"), ("keys", "intake_api"), ("intake", "intake_keys")]
)
def test_a_role_enters_its_own_database_only(postgres, database, role):
    postgres.create_service_databases(["intake", "cases"])

    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(postgres.uri(database, role))


def test_the_key_role_may_connect_and_no_more(postgres):
    postgres.create_service_databases(["intake"])
    with (
        psycopg.connect(postgres.uri("keys", "intake_keys")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("create table mine (i int)")


def test_nobody_enters_without_the_password(postgres):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(host="127.0.0.1", port=postgres.port, user="postgres", password="wrong", dbname="postgres")


# Kafka


async def _read_all(bootstrap, topic, count):
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


async def _send(bootstrap, topic, value):
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", request_timeout_ms=5000)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def _create_topic(bootstrap, name):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1)])
    await admin.close()


@pytest.mark.anyio
async def test_records_survive_a_killed_broker_at_the_same_address(kafka):
    await _create_topic(kafka.bootstrap, "kept")
    await _send(kafka.bootstrap, "kept", b"before")
    kafka.kill()
    kafka.start()
    await _send(kafka.bootstrap, "kept", b"after")

    assert await _read_all(kafka.bootstrap, "kept", 2) == [b"before", b"after"]


@pytest.mark.anyio
async def test_a_misspelt_topic_is_an_error_and_not_a_new_topic(kafka):
    with pytest.raises(UnknownTopicOrPartitionError):
        await _send(kafka.bootstrap, "hotline.misspelt.events.v1", b"lost")


def test_a_jar_with_another_content_never_gets_into_the_class_path(tmp_path):
    for file, _ in kafka_part._locked_jars(kafka_part.JARS):
        copy = tmp_path / file.relative_to(kafka_part.JARS)
        copy.parent.mkdir(exist_ok=True)
        copy.hardlink_to(file)
    assert kafka_part.class_path(tmp_path)
    first, _ = next(kafka_part._locked_jars(tmp_path))
    content = first.read_bytes()
    first.unlink()
    first.write_bytes(content + b"\0")

    with pytest.raises(NotStartedError, match=first.name):
        kafka_part.class_path(tmp_path)


# SMTP


class Intake(HTTPServer):
    """What stands for intake's webhook here: keeps the requests, answers what the test says."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Webhook)
        self.status = 200
        self.received = []
        self.url = f"http://127.0.0.1:{self.server_port}/intake/v1/channels/email"


class _Webhook(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append((self.path, dict(self.headers.items()), body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture(scope="module")
def intake():
    with Intake() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def mail_server(tmp_path_factory, intake):
    server = Smtp(tmp_path_factory.mktemp("smtp"), intake.url)
    server.start()
    yield server
    server.stop()


def send_mail(
    server, to, raw=b"Message-ID: <1@truong.example>\r\nSubject: B\xe1\xba\xa3n m\xe1\xba\xabu\r\n\r\nTh\xf4ng b\xe1o\r\n"
):
    with smtplib.SMTP("127.0.0.1", server.port) as client:
        client.sendmail("nguoi-gui@truong.example", [to], raw)


def test_what_the_server_accepts_lies_byte_for_byte_in_the_mailbox_in_order(mail_server):
    send_mail(mail_server, "Xa-Suoi-Mau@ubnd.example", b"Subject: one\r\n\r\n1\r\n")
    send_mail(mail_server, "xa-suoi-mau@ubnd.example", b"Subject: two\r\n\r\n\xff2\r\n")

    kept = [file.read_bytes() for file in mail_server.mailbox("xa-suoi-mau@ubnd.example")]
    assert kept == [b"Subject: one\r\n\r\n1\r\n", b"Subject: two\r\n\r\n\xff2\r\n"]
    assert message_from_bytes(kept[0], policy=policy.default)["subject"] == "one"


def test_an_address_that_does_not_exist_is_refused_for_good(mail_server):
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send_mail(mail_server, "khong-co-nguoi-nay@ubnd.example")

    assert [code for code, _ in refused.value.recipients.values()] == [550]


def test_a_busy_mailbox_accepts_the_third_try(mail_server):
    for _ in range(2):
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            send_mail(mail_server, "ban@ubnd.example")
        assert [code for code, _ in refused.value.recipients.values()] == [451]
    send_mail(mail_server, "ban@ubnd.example")

    assert len(mail_server.mailbox("ban@ubnd.example")) == 1


def test_mail_for_the_line_reaches_intake_as_its_exact_bytes_under_a_standard_signature(mail_server, intake):
    intake.status = 200
    raw = "Message-ID: <phieu-1@truong.example>\r\nSubject: Phiếu báo mẫu\r\n\r\nTrẻ em Mẫu\r\n".encode()
    send_mail(mail_server, "tongdai@hotline.example", raw)

    path, headers, body = intake.received[-1]
    assert ("/intake/v1/channels/email", raw) == (path, body)
    assert (headers["content-type"], headers["webhook-id"]) == ("message/rfc822", "<phieu-1@truong.example>")
    Webhook(mail_server.secret_file.read_text()).verify(body, headers, json_parse=False)  # raises if it is not signed so
    assert len(mail_server.mailbox("tongdai@hotline.example")) == 1


def test_mail_for_the_line_comes_again_while_intake_is_away(mail_server, intake):
    intake.status = 503
    with pytest.raises(smtplib.SMTPDataError) as postponed:
        send_mail(mail_server, "bao-cao@hotline.example")
    assert postponed.value.smtp_code == 451
    assert mail_server.mailbox("bao-cao@hotline.example") == []

    intake.status = 200
    send_mail(mail_server, "bao-cao@hotline.example")
    assert len(mail_server.mailbox("bao-cao@hotline.example")) == 1


def test_mail_that_intake_refuses_is_refused_for_good(mail_server, intake):
    intake.status = 422
    with pytest.raises(smtplib.SMTPDataError) as refused:
        send_mail(mail_server, "tu-choi@hotline.example")

    assert refused.value.smtp_code == 554


# Identity provider


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    server = Oidc(tmp_path_factory.mktemp("oidc"))
    server.start()
    yield server
    server.stop()


def verified(provider, token):
    keys = KeySet.import_key_set(httpx2.get(f"{provider.issuer}/oauth/jwks.json").json())
    return jwt.decode(token, keys, algorithms=["RS256"])


@pytest.mark.parametrize("user", yaml.safe_load(USERS.read_text())["users"])
def test_every_user_of_the_demo_gets_an_access_token_with_the_groups_of_the_file(provider, user):
    token = verified(provider, log_in(provider.issuer, user, PASSWORD).access)

    groups = yaml.safe_load(USERS.read_text())["users"][user]["groups"]
    expected = {"iss": provider.issuer, "sub": user, "aud": [AUDIENCE], "groups": groups}
    assert expected == {name: token.claims[name] for name in expected}
    assert token.claims["exp"] == token.claims["iat"] + 3600


def test_an_id_token_differs_from_an_access_token_in_type_and_audience(provider):
    tokens = log_in(provider.issuer, "TVV-01", PASSWORD)
    access, identity = verified(provider, tokens.access), verified(provider, tokens.identity)

    assert (access.header["typ"], access.claims["aud"]) == ("at+jwt", [AUDIENCE])
    assert (identity.header["typ"], identity.claims["aud"]) == ("JWT", [CLIENT])


def test_a_wrong_code_verifier_gets_no_token_and_disturbs_nobody_else(provider):
    with pytest.raises(LoginFailedError, match="invalid_grant"):
        log_in(provider.issuer, "GS-01", PASSWORD, verifier="x" * 50)

    assert verified(provider, log_in(provider.issuer, "KTV-01", PASSWORD).access).claims["sub"] == "KTV-01"


def test_a_wrong_password_gets_no_code(provider):
    with pytest.raises(LoginFailedError, match="/auth/password"):
        log_in(provider.issuer, "GS-01", "sai-mat-khau")


def test_tokens_stay_good_when_the_provider_is_started_again(provider):
    before = log_in(provider.issuer, "GS-01", PASSWORD).access
    provider.stop()
    provider.start()

    assert verified(provider, before).claims["sub"] == "GS-01"

"""What a process is told: who is given the key that signs, and that whatever is wrong is named and never quoted."""

import os
from pathlib import Path

import pytest

from chassis.service import start
from chassis.settings import PREFIX, Settings, files_fit, fit_for, settings_from_environment

KEY, FOLDER = Path("signing-key"), Path("checkpoints")
HEX = "0a" * 32
SECRET = "SECRETPASS"


def given(**settings):
    return Settings.model_construct(**settings)


@pytest.fixture
def told(monkeypatch, tmp_path):
    """Settings from an environment in which all is well but for these changes; None: the variable is missing."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    for name in ("master", "fingerprint", "link", "signing"):
        (tmp_path / name).write_text(HEX)
        (tmp_path / name).chmod(0o600)
    (tmp_path / "roles").write_text("groups: [{match: counsellor, role: counsellor}]")

    def settings(**changes):
        well = {
            "environment": "test",
            "port": "8080",
            "database": "postgresql://u:p@127.0.0.1:5432/intake",
            "keys": "host=/run/postgresql dbname=keys user=u",
            "kafka": "127.0.0.1:9092",
            "oidc_issuer": "https://login.example",
            "roles_file": tmp_path / "roles",
            "public_url": "https://hotline.example",
            **{f"{name}_key_file": tmp_path / name for name in ("master", "fingerprint", "link")},
        }
        for name, value in (well | changes).items():
            if value is not None:
                monkeypatch.setenv(PREFIX + name.upper(), str(value))
        return settings_from_environment()

    return settings


def refusal(work, *arguments, **named):
    with pytest.raises(SystemExit) as ended:
        work(*arguments, **named)
    assert ended.value.__cause__ is None
    assert ended.value.__suppress_context__
    return str(ended.value)


@pytest.mark.parametrize("name", ["signing_key_file", "next_signing_key_file"])
def test_an_api_that_is_given_a_signing_key_does_not_start(name):
    with pytest.raises(SystemExit, match="only the worker signs"):
        fit_for("api", given(**{name: KEY}))


@pytest.mark.parametrize("role", ["worker", "all"])
@pytest.mark.parametrize("settings", [{}, {"signing_key_file": KEY}, {"checkpoint_folder": FOLDER}])
def test_a_worker_that_cannot_sign_does_not_start(role, settings):
    with pytest.raises(SystemExit, match="set H111_SIGNING_KEY_FILE and H111_CHECKPOINT_FOLDER"):
        fit_for(role, given(**settings))


def test_each_starts_with_what_it_needs():
    fit_for("api", given())
    fit_for("worker", given(signing_key_file=KEY, checkpoint_folder=FOLDER))


@pytest.mark.parametrize("name", ["database", "keys"])
@pytest.mark.parametrize(
    "wrong",
    [
        "",
        f"garbage-{SECRET}",
        f"postgresq://u:{SECRET}@127.0.0.1/x",
        f"postgresql://u:p@{SECRET}@127.0.0.1/x",
        f"postgresql://u:{SECRET}/p@127.0.0.1/x",
    ],
)
def test_a_connection_string_that_is_none_is_refused_by_name_and_not_quoted(told, name, wrong):
    said = refusal(told, **{name: wrong})
    assert said.startswith(f"settings: H111_{name.upper()} is no connection string of PostgreSQL")
    assert SECRET not in said


def test_every_missing_variable_is_named_on_a_line_of_its_own(told):
    said = refusal(told, master_key_file=None, kafka=None)
    assert said.splitlines() == ["settings: H111_MASTER_KEY_FILE is missing", "settings: H111_KAFKA is missing"]


@pytest.mark.parametrize(
    ("name", "wrong", "expected"),
    [
        ("port", "99999", "less than or equal to 65535"),
        ("port", SECRET, "a valid integer"),
        ("environment", SECRET, "'demo', 'test' or 'prod'"),
        ("log_level", SECRET, "'DEBUG', 'INFO'"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected_and_not_quoted(told, name, wrong, expected):
    said = refusal(told, **{name: wrong})
    assert said.startswith(f"settings: H111_{name.upper()} ")
    assert expected in said
    assert wrong not in said
    assert "pydantic" not in said
    assert "\n" not in said


def test_files_that_hold_what_is_expected_are_fit(told, tmp_path):
    (tmp_path / "zalo").write_text("a secret")
    (tmp_path / "mail").write_text("whsec_c2VjcmV0\n")
    files_fit(told(signing_key_file=tmp_path / "signing", zalo_secret_file=tmp_path / "zalo", mail_secret_file=tmp_path / "mail"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("master_key_file", "32 bytes in hex"),
        ("fingerprint_key_file", "32 bytes in hex"),
        ("link_key_file", "32 bytes in hex"),
        ("signing_key_file", "32 bytes in hex"),
        ("next_signing_key_file", "32 bytes in hex"),
        ("roles_file", "groups"),
        ("zalo_secret_file", "secret"),
        ("mail_secret_file", "base64"),
    ],
)
def test_a_file_that_is_missing_or_holds_something_else_is_named_by_its_variable(told, tmp_path, name, expected):
    file = tmp_path / SECRET
    for content in (
        None,
        b"",
        b"\xff\xfe",
        *([b"groups: [{match: '(', role: x}]", b"{", b"groups: 1"] if name == "roles_file" else []),
    ):
        if content is not None:
            file.write_bytes(content)
        said = refusal(files_fit, told(**{name: file}))
        assert said.startswith(f"settings: H111_{name.upper()} names a file that ")
        assert expected in said
        assert SECRET not in said


def test_a_process_with_an_unusable_file_ends_at_its_start(told, tmp_path):
    (tmp_path / "master").write_text("no hex")
    said = refusal(start, "intake", "api", told(), None)
    assert said == "settings: H111_MASTER_KEY_FILE names a file that holds something else: 32 bytes in hex are expected"

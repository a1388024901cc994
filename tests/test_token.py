"""`hotline token`: what it says where it cannot give one."""

import pytest
from typer.testing import CliRunner

from deploy.local.process import free_port
from tools import stack_commands


@pytest.fixture
def token(monkeypatch):
    """`hotline token …` with a stack whose identity provider is stopped."""
    monkeypatch.setattr(stack_commands, "read_state", lambda: {"oidc_issuer": f"http://127.0.0.1:{free_port()}"})
    return lambda user: CliRunner().invoke(stack_commands.app, ["token", user])


def test_a_provider_that_does_not_answer_is_said_to(token):
    ended = token("TVV-01")
    assert ended.exit_code == 1
    assert "the identity provider does not answer" in ended.output


def test_for_a_user_that_does_not_exist_it_says_where_the_users_are_listed(token):
    ended = token("nobody")
    assert ended.exit_code == 1
    assert "there is no user nobody: deploy/local/users.yaml lists them" in ended.output

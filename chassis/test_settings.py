"""Who is given the key that signs."""

from pathlib import Path

import pytest

from chassis.settings import Settings, fit_for

KEY, FOLDER = Path("signing-key"), Path("checkpoints")


def given(**settings):
    return Settings.model_construct(**settings)


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

"""A worker with empty views over the session's real PostgreSQL, and the API beside it."""

import pytest

from services.projections.test_world import BASE, World, forget_everything, view_of
from tests.desk import desk


@pytest.fixture
async def worker(postgres, tmp_path):
    """The parts of a worker."""
    await forget_everything(postgres)
    async with desk(postgres, "projections", tmp_path, role="worker") as it:
        yield it.parts


@pytest.fixture
def view(worker):
    return view_of(worker)


@pytest.fixture
async def reading(worker, postgres, tmp_path):
    """The API, as its own role, over what the worker folded."""
    async with desk(postgres, "projections", tmp_path) as it:
        yield it


@pytest.fixture
async def world(worker, view):
    """The whole story, told and folded."""
    return await World(worker, view).tell()


@pytest.fixture
def get(reading):
    """GET as somebody, for a purpose."""

    async def ask(path, groups=("counsellor",), who="TVV-01", **headers):
        return await reading.get(BASE + path, who=who, groups=groups, **{"hotline_purpose": "duty"} | headers)

    return ask

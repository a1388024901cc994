"""As-of over a history of real logs that grow side by side while their clocks jump: a small one here, the long one in `make instants`."""

import pytest

from deploy.local.postgres import Postgres
from tests.instants import run

pytestmark = [pytest.mark.real, pytest.mark.anyio]


async def test_random_instants_of_a_growing_history_are_shown_again_byte_for_byte_and_closed_though_clocks_jump(tmp_path):
    with Postgres(tmp_path / "postgres") as postgres:
        wrong, report = await run(postgres, tmp_path, events=1_500, instants=60, seed=111)
    assert [] == wrong, "\n".join([*report, *wrong[:5]])

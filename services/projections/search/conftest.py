"""Somebody who searches."""

import pytest

from services.projections.search.made import ROUTE


@pytest.fixture
def ask(reading):
    """POST a query as somebody, for a purpose."""

    async def post(query, groups=("counsellor",), who="TVV-01", **headers):
        return await reading.post(ROUTE, {"query": query}, who=who, groups=groups, **{"hotline_purpose": "duty"} | headers)

    return post


@pytest.fixture
def index(reading):
    """What the API of these tests holds in memory."""
    return reading.service.beside["search"].__self__

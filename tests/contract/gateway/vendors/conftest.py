"""Through each door once, each on another event loop: what is tested here knows neither."""

from __future__ import annotations

import asyncio

import pytest
import uvloop
from tests.contract.gateway import bench
from tests.contract.gateway.bench import Run


@pytest.fixture(params=["asgi on uvloop", "http on asyncio"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Run:
    door, _, loop = str(request.param).partition(" on ")
    monkeypatch.setattr(bench, "DOOR", door)
    return uvloop.run if loop == "uvloop" else asyncio.run

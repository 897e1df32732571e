"""Every test runs on asyncio's own event loop and on uvloop, which the server uses, and through both doors."""

from __future__ import annotations

import asyncio

import pytest
import uvloop
from tests.contract.gateway import bench
from tests.contract.gateway.bench import Run

from headgate.gateway import plane


@pytest.fixture(params=["asgi", "http"])
def door(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(bench, "DOOR", request.param)
    return str(request.param)


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, door: str) -> Run:
    monkeypatch.setattr(plane, "TICK_S", 0.02)
    return uvloop.run if request.param == "uvloop" else asyncio.run

"""An agent's configuration in temporary folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes import agent_house

from headgate.replicas.agent_config import AgentConfig


@pytest.fixture
def config(tmp_path: Path) -> Iterator[AgentConfig]:
    with agent_house.short_folder() as run_dir:
        yield agent_house.make_config(tmp_path, run_dir)

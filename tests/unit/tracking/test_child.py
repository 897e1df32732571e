"""How the child is started and found, with a stand-in for MLflow's server: a socket that accepts."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate import errors
from headgate.tracking import child as child_module
from headgate.tracking.child import Child, Program
from headgate.tracking.store_uri import needs_schema, store_uri

SERVER = """
import os, select, socket, sys
folder, lifeline = sys.argv[1], int(sys.argv[2])
with open(folder + "/starts", "a") as file: file.write(f"{os.getpid()}\\n")
path = folder + "/tracking.sock"
if os.path.exists(path): os.unlink(path)
listening = socket.socket(socket.AF_UNIX); listening.bind(path); listening.listen(8)
while not select.select([lifeline], [], [], 0)[0]:
    if select.select([listening, lifeline], [], [], 60)[0] == [listening]: listening.accept()[0].close()
"""


SILENT = """
import os, select, sys
with open(sys.argv[1] + "/starts", "a") as file: file.write(f"{os.getpid()}\\n")
select.select([int(sys.argv[2])], [], [])
"""


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lifeline, self.held = os.pipe()
        self.children: list[Child] = []

    def child(self, code: str = SERVER, deadline_s: float = 30.0) -> Child:
        command = (sys.executable, "-c", code, str(self.folder), str(self.lifeline))
        self.children.append(Child(Program(command, dict(os.environ), self.folder, (self.lifeline,), deadline_s)))
        return self.children[-1]

    def end(self) -> None:
        """What the end of a house is: the lifeline is cut, all children end."""
        os.close(self.held)
        for child in self.children:
            if child._process is not None:
                child._process.wait(30)
            child._ended()
        os.close(self.lifeline)

    def pids(self) -> list[int]:
        file = self.folder / "starts"
        return [int(line) for line in file.read_text().split()] if file.exists() else []


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # paths of sockets must be short
        made = Place(Path(folder))
        yield made
        made.end()


def ended(pid: int) -> None:
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline, f"{pid} lives on"
        time.sleep(0.01)


def test_several_server_processes_start_one_child(place: Place) -> None:
    async def all_at_once() -> None:
        await asyncio.gather(*(place.child().ensure() for _ in range(5)))

    asyncio.run(all_at_once())
    assert len(place.pids()) == 1


def test_it_is_started_again_when_it_died(place: Place) -> None:
    async def live() -> None:
        child = place.child()
        await child.ensure()
        await child.ensure()
        assert len(place.pids()) == 1
        os.kill(place.pids()[0], signal.SIGKILL)
        ended(place.pids()[0])
        child.failed()
        await child.ensure()

    asyncio.run(live())
    assert len(place.pids()) == 2


def test_one_that_ends_at_once_is_told_and_not_tried_again_for_a_moment(place: Place) -> None:
    code = "import sys; open(sys.argv[1] + '/starts', 'a').write('0\\n'); sys.exit(3)"

    async def live() -> None:
        child = place.child(code)
        for _ in range(3):
            with pytest.raises(errors.TemporarilyUnavailable) as refused:
                await child.ensure()
            assert refused.value.headers == {"retry-after": "1"}

    asyncio.run(live())
    assert place.pids() == [0]
    (place.folder / "starts").unlink()


def test_a_wait_for_one_that_never_answers_ends(place: Place) -> None:
    async def live() -> None:
        with pytest.raises(errors.TemporarilyUnavailable):
            await place.child(SILENT, deadline_s=0.2).ensure()

    asyncio.run(live())


def test_who_may_not_wait_is_told_at_once_and_it_starts_meanwhile(place: Place) -> None:
    async def live() -> None:
        child = place.child()
        assert not await child.is_up()
        await child.ensure()
        assert await child.is_up()
        await child.close()

    asyncio.run(live())
    assert len(place.pids()) == 1


def test_nothing_of_our_own_steers_it() -> None:
    own = {
        "PATH": "/bin",
        "MLFLOW_TRACKING_URI": "x",
        "DATABRICKS_TOKEN": "x",
        "HEADGATE_ADMIN_TOKEN": "x",
        "_MLFLOW_X": "x",
    }
    made = child_module.environ(own, "sqlite:///t.db")
    assert made["PATH"] == "/bin" and "x" not in made.values()
    assert made["MLFLOW_DISABLE_TELEMETRY"] == "true" and made["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"


def test_its_tables_never_meet_ours() -> None:
    folder = Path("/data")
    assert store_uri("", "sqlite:////data/headgate.db", folder) == "sqlite:////data/tracking.db"
    beside = store_uri("", "postgresql+psycopg://u:p%40ss@h/db?sslmode=require", folder)
    assert beside.startswith("postgresql+psycopg://u:p%40ss@h/db?") and "search_path" in beside and needs_schema(beside)
    assert store_uri("postgresql://u@h/other", "sqlite:////x", folder) == "postgresql://u@h/other"
    assert not needs_schema("postgresql://u@h/other") and not needs_schema("sqlite:////data/tracking.db")

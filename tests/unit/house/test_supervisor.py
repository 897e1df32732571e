"""The supervisor with real processes: restarts, order of stopping, lifeline, orphans, lock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from headgate import supervisor

HOUSE = """
import os, sys
from pathlib import Path
from headgate.supervisor import Program, Supervisor
folder = Path(sys.argv[1])
child = '''
import os, signal, sys, select
from pathlib import Path
folder, name, lifeline = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
def end(*_):
    with open(folder / "ended", "a") as file: file.write(name + "\\\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
if name == "second" and os.fork() == 0:
    name = "orphan"
(folder / name).write_text(str(os.getpid()))
while not select.select([lifeline], [], [], 60)[0]: pass
os._exit(0)
'''
ends = os.pipe()
def program(name):
    return Program(name, (sys.executable, "-c", child, str(folder), name, str(ends[0])), stop_deadline_s=60)
Supervisor([[program("first")], [program("second")]], ends).run(lambda: None)
"""


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def pid_in(path: Path) -> int:
    until(lambda: path.exists() and path.read_text())
    return int(path.read_text())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def house(tmp_path: Path) -> object:
    source = str(Path(supervisor.__file__).parents[1])
    process = subprocess.Popen([sys.executable, "-c", HOUSE, str(tmp_path)], env={**os.environ, "PYTHONPATH": source})
    for name in ("first", "second", "orphan"):
        pid_in(tmp_path / name)
    yield process
    process.kill()
    process.wait()


def test_a_killed_program_is_started_again(house: subprocess.Popen[bytes], tmp_path: Path) -> None:
    before = pid_in(tmp_path / "first")
    os.kill(before, signal.SIGKILL)
    until(lambda: pid_in(tmp_path / "first") != before)


def test_programs_stop_group_by_group(house: subprocess.Popen[bytes], tmp_path: Path) -> None:
    house.terminate()
    assert house.wait(60) == 0
    assert (tmp_path / "ended").read_text().split() == ["first", "second"]


def test_nobody_outlives_the_supervisor(house: subprocess.Popen[bytes], tmp_path: Path) -> None:
    pids = [pid_in(tmp_path / name) for name in ("first", "second", "orphan")]
    house.kill()
    until(lambda: not any(alive(pid) for pid in pids))


def test_an_orphan_outlives_its_parent_and_is_reaped(house: subprocess.Popen[bytes], tmp_path: Path) -> None:
    orphan, parent = pid_in(tmp_path / "orphan"), pid_in(tmp_path / "second")
    os.kill(parent, signal.SIGKILL)
    until(lambda: pid_in(tmp_path / "second") != parent)
    assert alive(orphan)
    os.kill(orphan, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{orphan}").exists())


def test_a_data_directory_has_one_house(tmp_path: Path) -> None:
    with supervisor.lock(tmp_path / "lock"):
        with pytest.raises(supervisor.Locked, match=f"process {os.getpid()}"):
            supervisor.lock(tmp_path / "lock")
    supervisor.lock(tmp_path / "lock").close()

"""stdout, stderr and logging as lines of a file; run in a child, since they belong to the whole process."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import headgate_worker

PRELUDE = f"""
import logging, os, sys, threading
sys.path.insert(0, {str(Path(headgate_worker.__file__).parent.parent)!r})
from headgate_worker import logs
log = logs.install("r-0")
log.open(sys.argv[1], "r-1", int(sys.argv[2]))
"""


def said(program: str, path: Path, limit_bytes: int = 0) -> list[str]:
    """The records of the log, without their times."""
    command = [sys.executable, "-I", "-c", PRELUDE + program, str(path), str(limit_bytes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, path.read_text()
    return [re.sub(r"^\S{24} ", "", line) for line in path.read_text().splitlines()]


def test_lines_are_records_however_they_are_written(tmp_path: Path) -> None:
    program = "print('a', 1); sys.stdout.write('b'); sys.stdout.write('c\\n'); sys.stderr.write('d\\ne\\n'); print('no end', end='')"
    assert said(program, tmp_path / "log") == [
        "r-1 stdout a 1",
        "r-1 stdout bc",
        "r-1 stderr d",
        "    e",
        "r-1 stdout no end",
    ]


def test_a_very_long_line_is_not_kept_in_memory(tmp_path: Path) -> None:
    assert said("sys.stdout.write('x' * 10_000)", tmp_path / "log") == ["r-1 stdout " + "x" * 10_000]


def test_the_root_logger_warns_unless_the_model_says_otherwise(tmp_path: Path) -> None:
    program = """
logging.getLogger("m").info("hidden")
logging.getLogger("m").warning("shown")
logging.getLogger("m").setLevel(logging.DEBUG)
logging.getLogger("m").debug("wanted")
logging.basicConfig(level=logging.INFO)
logging.info("as configured")
"""
    assert said(program, tmp_path / "log") == [
        "r-1 WARNING m: shown",
        "r-1 DEBUG m: wanted",
        "r-1 stderr INFO:root:as configured",
    ]


def test_what_bypasses_python_is_in_the_same_file(tmp_path: Path) -> None:
    program = (
        "os.write(1, b'one\\n'); os.write(2, b'two\\n'); sys.stdout.buffer.write(b'three\\n'); os.system('echo four')"
    )
    assert said(program, tmp_path / "log") == ["one", "two", "three", "four"]


def test_lines_of_several_threads_do_not_mix(tmp_path: Path) -> None:
    program = """
def speak(name):
    for _ in range(200):
        print(name * 20)
threads = [threading.Thread(target=speak, args=(name,)) for name in "abcd"]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    records = said(program, tmp_path / "log")
    assert sorted(set(records)) == [f"r-1 stdout {name * 20}" for name in "abcd"]
    assert len(records) == 800


def test_the_file_is_rotated_and_one_old_one_is_kept(tmp_path: Path) -> None:
    program = "for number in range(100): print('x' * 100)"
    records = said(program, tmp_path / "log", 2000)
    assert 0 < len(records) < 20
    assert {path.name for path in tmp_path.iterdir()} == {"log", "log.1"}
    assert (tmp_path / "log.1").stat().st_size <= 2000


def test_a_log_that_cannot_be_written_does_not_hurt(tmp_path: Path) -> None:
    program = """
os.unlink(sys.argv[1]); os.rmdir(os.path.dirname(sys.argv[1]))
for number in range(100): print('x' * 100)
os.makedirs(os.path.dirname(sys.argv[1])); open(sys.argv[1], 'w').close()
"""
    assert said(program, tmp_path / "gone" / "log", 2000) == []


def test_an_exception_that_ends_the_process_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "log"
    command = [sys.executable, "-I", "-c", PRELUDE + "raise ValueError('last words')", str(path), "0"]
    assert subprocess.run(command, timeout=60, check=False).returncode == 1
    assert re.search(r"r-1 CRITICAL Traceback.*ValueError: last words", path.read_text(), re.S)

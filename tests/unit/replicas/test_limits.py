"""Limits: what is written where cgroup v2 can be used, and what happens where it cannot. The tree is made of plain files."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from headgate.replicas.life import limits, processes, usage
from headgate.replicas.life.limits import CgroupLimiter, Limit, RlimitLimiter


@pytest.fixture
def tree(tmp_path):
    """A delegated cgroup that holds our processes 10 and 11."""
    own = tmp_path / "unit"
    own.mkdir()
    (own / "cgroup.controllers").write_text("cpuset cpu io memory pids")
    (own / "cgroup.subtree_control").write_text("")
    (own / "cgroup.type").write_text("domain")
    (own / "cgroup.procs").write_text("10\n11\n")
    return own


def test_our_processes_move_aside_before_controllers_are_handed_down(tree):
    root = limits._prepare(tree, lambda pid: True)
    assert root == tree / "headgate"
    assert (tree / "headgate-house" / "cgroup.procs").read_text() == "11"
    assert (tree / "cgroup.subtree_control").read_text() == "+memory +cpu"
    assert (root / "cgroup.subtree_control").read_text() == "+memory +cpu"
    (tree / "cgroup.subtree_control").write_text("cpu memory")  # what the kernel would show
    assert limits._prepare(tree / "headgate-house", lambda pid: False) == root  # the next agent starts in the leaf


def test_a_cgroup_that_holds_strangers_is_left_alone(tree):
    with pytest.raises(ValueError, match=r"not ours, e\.g\. 11"):
        limits._prepare(tree, lambda pid: pid == 10)
    assert not (tree / "headgate-house").exists()


def test_a_tree_without_controllers_cannot_be_used(tree):
    (tree / "cgroup.controllers").write_text("pids")
    with pytest.raises(ValueError, match="no cpu and memory controller"):
        limits._prepare(tree, lambda pid: True)


def test_a_replica_gets_its_cgroup(tmp_path):
    limiter = CgroupLimiter(tmp_path)
    limiter.apply("r1", 42, Limit(memory_bytes=1024, cpu_cores=1.5))
    folder = tmp_path / "r1"
    assert (folder / "memory.max").read_text() == "1024"
    assert (folder / "cpu.max").read_text() == "150000 100000"
    assert (folder / "cgroup.procs").read_text() == "42"
    (folder / "memory.events").write_text("low 0\noom 1\noom_kill 0\n")
    assert not limiter.ran_out_of_memory("r1")
    (folder / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    assert limiter.ran_out_of_memory("r1")
    assert "out of memory" in processes.describe_exit(-9, out_of_memory=True)


def test_without_cgroups_memory_is_bounded_by_rlimit_and_nothing_fails(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    for limiter in (RlimitLimiter(), CgroupLimiter(tmp_path / "no" / "such")):
        limiter.apply("r1", child.pid, Limit(memory_bytes=3 * 1024**3, cpu_cores=1))
        assert resource.prlimit(child.pid, resource.RLIMIT_DATA) == (3 * 1024**3, 3 * 1024**3)
        assert not limiter.ran_out_of_memory("r1")
        limiter.forget("r1")
    child.communicate(b"\n")
    RlimitLimiter().apply("r1", child.pid, Limit(memory_bytes=1))  # it is gone: no error


def test_this_machine_has_a_limiter():
    assert limits.discover(lambda pid: False) is not None


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "exited with code 0"), (3, "exited with code 3"), (-11, "killed by SIGSEGV"), (None, "status unknown")],
)
def test_the_end_of_a_process_in_words(status, words):
    assert words in processes.describe_exit(status)


def test_usage_of_a_process_that_is_gone_is_none():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert usage.of_process(child.pid) is None
    assert processes.start_ticks(child.pid) == 0

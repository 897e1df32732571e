"""The zygote: what it imports, when it refuses to fork, what of it a child has, how it ends."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.worker.conftest import Worker, ZygoteClient, is_running, until, worker_spec

Make = Callable[..., ZygoteClient]
BODY = {"dataframe_records": [{"kind": "environ", "folder": ""}]}


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Starts zygotes."""
    made: list[ZygoteClient] = []

    def begin(**more: Any) -> ZygoteClient:
        made.append(ZygoteClient(tmp_path, **more))
        return made[-1]

    yield begin
    for zygote in made:
        zygote.close()


def finds(folder: Path) -> str:
    """Python that lets a zygote import the modules in that folder."""
    return f"import sys; sys.path.append({str(folder)!r})"


def worker_of(zygote: ZygoteClient, folder: Path, model: Path, **more: Any) -> Worker:
    spec = worker_spec(folder, model, **more)
    told = zygote.fork(spec)
    assert told["op"] == "forked", told
    return Worker(folder, spec, told["pid"], lambda: zygote.exit_status(told["pid"]))


def test_modules_that_do_not_import_are_skipped_and_named(make: Make) -> None:
    zygote = make(base_modules=["json", "a_module_that_is_absent"], modules=["xml.dom"])
    assert zygote.ready["import_ms"] > 0
    assert [each.partition(":")[0] for each in zygote.ready["skipped"]] == ["a_module_that_is_absent"]


def test_a_child_has_a_session_variables_and_random_numbers_of_its_own(
    make: Make, short_folder: Path, models: Path
) -> None:
    zygote = make(base_modules=["mlflow.pyfunc"], environment_vars={"MINE": "1"})
    workers = []
    for name in ("r-1", "r-2"):
        folder = short_folder / name
        folder.mkdir()
        own = {"MINE": "1"}
        workers.append(worker_of(zygote, folder, models / "waits", replica=name, environment_vars=own))
    try:
        answers = []
        for worker in workers:
            assert worker.in_state("READY")["how"] == "fork"
            assert os.getsid(worker.pid) == worker.pid
            answers.append(worker.client().call(BODY).json["predictions"][0])
            random = {"dataframe_records": [{"kind": "random", "folder": ""}]}
            answers[-1]["random"] = worker.client().call(random).json["predictions"]
        assert all(answer["MINE"] == "1" for answer in answers)
        assert all(one != other for one, other in zip(answers[0]["random"], answers[1]["random"], strict=True))
    finally:
        for worker in workers:
            worker.end()


def test_the_end_of_a_child_is_told_with_its_status(zygote: ZygoteClient, start: Callable[..., Worker]) -> None:
    killed = start("sklearn")
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL


def test_children_live_on_when_the_zygote_ends_with_its_socket(make: Make, short_folder: Path, models: Path) -> None:
    zygote = make(base_modules=["mlflow.pyfunc"])
    worker = worker_of(zygote, short_folder, models / "waits")
    worker.in_state("READY")
    zygote.close()
    client = worker.client()
    assert client.call(BODY).status == 200
    client.close()
    os.kill(worker.pid, signal.SIGTERM)
    until(lambda: not is_running(worker.pid), "it drains")


def test_the_zygote_and_its_children_end_with_the_lifeline(make: Make, short_folder: Path, models: Path) -> None:
    reading, writing = os.pipe()
    zygote = make(base_modules=["mlflow.pyfunc"], lifeline_fd=reading)
    worker = worker_of(zygote, short_folder, models / "waits", lifeline_fd=reading)
    os.close(reading)
    worker.in_state("READY")
    os.close(writing)
    assert zygote.process.wait(30) == 0
    until(lambda: not is_running(worker.pid), "the child ends")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import threading; threading.Thread(target=threading.Event().wait, name='busy', daemon=True).start()", "busy"),
        ("import _thread, time; _thread.start_new_thread(time.sleep, (1000,))", "1 native threads at import"),
        (
            "import sys, types; sys.modules['torch.cuda'] = types.SimpleNamespace(is_initialized=lambda: True)",
            "CUDA",
        ),
    ],
)
def test_a_process_that_cannot_be_forked_safely_refuses(
    make: Make, tmp_path: Path, short_folder: Path, text: str, reason: str
) -> None:
    (tmp_path / "unsafe_library.py").write_text(text)
    zygote = make(modules=["unsafe_library"], prelude=finds(tmp_path))
    told = zygote.fork(worker_spec(short_folder, short_folder))
    assert told["op"] == "refused"
    assert reason in told["reason"]


def test_libraries_with_thread_pools_are_forked_until_they_have_used_openmp(
    make: Make, tmp_path: Path, short_folder: Path
) -> None:
    """OpenBLAS starts threads when it is loaded and takes them down around a fork; OpenMP's would be missing in the child."""
    (tmp_path / "uses_openmp.py").write_text(
        "import numpy, sklearn.ensemble\n"
        "x = numpy.random.rand(5000, 5)\n"
        "sklearn.ensemble.HistGradientBoostingRegressor(max_iter=2).fit(x, x[:, 0])\n"
    )
    variables = {"OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "4"}
    loaded = make(modules=["sklearn.ensemble"], environment_vars=variables)
    told = loaded.fork(worker_spec(short_folder, short_folder / "absent"))
    assert told["op"] == "forked", told
    assert loaded.exit_status(told["pid"]) == 1
    used = make(modules=["uses_openmp"], environment_vars=variables, prelude=finds(tmp_path))
    told = used.fork(worker_spec(short_folder, short_folder))
    assert (told["op"], "OpenMP" in told["reason"]) == ("refused", True)


def test_a_fork_is_refused_once_a_native_thread_has_appeared(make: Make, tmp_path: Path, short_folder: Path) -> None:
    """What a library that used its OpenMP pool after import looks like."""
    (tmp_path / "later.py").write_text(
        "import _thread, json, pathlib, signal, time\n"
        f"mark = pathlib.Path({str(tmp_path / 'begun')!r})\n"
        "def begin(*args):\n"
        "    _thread.start_new_thread(time.sleep, (1000,))\n"
        "    mark.touch()\n"
        "signal.signal(signal.SIGUSR1, begin)\n"
    )
    zygote = make(modules=["later"], prelude=finds(tmp_path))
    zygote.process.send_signal(signal.SIGUSR1)
    until((tmp_path / "begun").exists, "the thread")
    told = zygote.fork(worker_spec(short_folder, short_folder))
    assert (told["op"], "after import" in told["reason"]) == ("refused", True)


def test_several_forks_in_one_message_are_all_answered(zygote: ZygoteClient, short_folder: Path) -> None:
    specs = []
    for name in ("a", "b", "c"):
        (short_folder / name).mkdir()
        specs.append(worker_spec(short_folder / name, short_folder / "absent", replica=name))
    zygote.socket.sendall(b"".join(json.dumps({"op": "fork", "spec": spec}).encode() + b"\n" for spec in specs))
    for spec in specs:
        told = zygote.next(lambda told, name=spec["replica"]: told.get("replica") == name)
        assert zygote.exit_status(told["pid"]) == 1
        assert json.loads(Path(spec["status_path"]).read_text())["state"] == "FAILED"


def test_a_zygote_learns_more_modules_and_forks_meanwhile(
    make: Make, tmp_path: Path, short_folder: Path, models: Path
) -> None:
    (tmp_path / "learned_late.py").write_text("")
    zygote = make(base_modules=["mlflow.pyfunc"], prelude=finds(tmp_path))
    before = worker_of(zygote, short_folder, models / "waits", replica="before")
    told = {"op": "learn", "modules": ["decimal", "absent_module", "sqlite3", "learned_late"]}
    zygote.socket.sendall(json.dumps(told).encode() + b"\n")
    folder = short_folder / "meanwhile"
    folder.mkdir()
    meanwhile = worker_of(zygote, folder, models / "waits", replica="meanwhile")
    learned = zygote.next(lambda told: told["op"] == "learned")
    assert [each.partition(":")[0] for each in learned["skipped"]] == ["absent_module"]
    for worker in (before, meanwhile):
        assert worker.in_state("READY")["how"] == "fork"
        worker.end()
    told = zygote.fork(worker_spec(short_folder, short_folder / "no_model", replica="after"))
    assert told["op"] == "forked", told
    assert zygote.exit_status(told["pid"]) == 1  # it writes into the folder until it has failed


def test_a_zygote_that_has_learned_a_thread_refuses_to_fork(make: Make, tmp_path: Path, short_folder: Path) -> None:
    (tmp_path / "unsafe_library.py").write_text("import _thread, time; _thread.start_new_thread(time.sleep, (1000,))")
    zygote = make(prelude=finds(tmp_path))
    zygote.socket.sendall(json.dumps({"op": "learn", "modules": ["unsafe_library"]}).encode() + b"\n")
    zygote.next(lambda told: told["op"] == "learned")
    assert zygote.fork(worker_spec(short_folder, short_folder))["op"] == "refused"

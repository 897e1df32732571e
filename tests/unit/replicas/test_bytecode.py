"""The bytecode store: what is shared, what never is, and that a kill or a crash leaves nothing wrong. The real compiler process."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import marshal
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fakes import pythons
from tests.fakes.agent_house import until

from headgate.replicas.building import commands, compiler
from headgate.replicas.building.bytecode import BytecodeStore

BASE = os.path.realpath(sys.executable)
ENVIRON = {"PATH": os.environ["PATH"]}


def environment(folder: Path, files: dict[str, str], mtime: int = 1_700_000_000) -> Path:
    """An environment with these modules, and an `mlflow` that imports `needed`."""
    sources = folder / "venv/lib/python3/site-packages"
    for name, text in {"mlflow/__init__.py": "", "mlflow/pyfunc/__init__.py": "import needed\n", **files}.items():
        path = sources / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (mtime, mtime))
    return folder


def source(folder: Path, name: str = "needed.py") -> Path:
    return folder / "venv/lib/python3/site-packages" / name


def beside(path: Path) -> Path:
    return Path(importlib.util.cache_from_source(str(path)))


def share(store: BytecodeStore, folder: Path, *requirements: str, interpreter: str = BASE) -> str:
    return asyncio.run(store.share(interpreter, folder, requirements, ENVIRON))


def share_rest(store: BytecodeStore, folder: Path) -> None:
    asyncio.run(store.share_rest(folder, ENVIRON))


def blobs(store: BytecodeStore) -> list[Path]:
    return sorted(store.folder.glob("*/*.pyc"))


def printed(path: Path, *options: str) -> str:
    """What importing a module prints, by the bytecode Python believes in."""
    code = f"import sys; sys.path.insert(0, {str(path.parent)!r}); import {path.stem}"
    done = subprocess.run([BASE, "-I", "-B", *options, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip() + done.stderr


@pytest.fixture
def store(tmp_path: Path) -> BytecodeStore:
    return BytecodeStore(tmp_path / "bytecode", 0)


def test_a_source_is_compiled_once_and_its_bytecode_shared_by_every_environment_that_has_it(tmp_path, store):
    first = environment(tmp_path / "first", {"needed.py": "print('hello')"})
    assert "3 of 3 others compiled" in share(store, first)
    second = environment(tmp_path / "second", {"needed.py": "print('hello')"})
    assert "3 files shared, 0 of 0" in share(store, second)
    assert beside(source(first)).samefile(beside(source(second)))
    assert printed(source(second)) == "hello"
    assert "code object from" in printed(source(second), "-v")
    assert "matches" in printed(source(second), "-v")


def test_the_same_content_with_another_time_gets_a_copy_that_python_believes(tmp_path, store):
    first = environment(tmp_path / "first", {"needed.py": "print('hello')"})
    share(store, first)
    second = environment(tmp_path / "second", {"needed.py": "print('hello')"}, mtime=1_800_000_000)
    assert "3 files shared" in share(store, second)
    assert not beside(source(first)).samefile(beside(source(second)))
    assert f"{beside(source(second))} matches" in printed(source(second), "-v")


def test_another_content_of_the_same_time_and_length_never_gets_the_old_bytecode(tmp_path, store):
    share(store, environment(tmp_path / "first", {"needed.py": "print('old')"}))
    second = environment(tmp_path / "second", {"needed.py": "print('new')"})
    share(store, second)
    assert printed(source(second)) == "new"


def test_stale_bytecode_beside_a_source_is_replaced(tmp_path, store):
    folder = environment(tmp_path / "first", {"needed.py": "print('old')"})
    share(store, folder)
    environment(folder, {"needed.py": "print('new')"}, mtime=1_800_000_000)
    share_rest(store, folder)
    assert f"{beside(source(folder))} matches" in printed(source(folder), "-v")
    assert printed(source(folder)) == "new"


def test_bytecode_that_somebody_else_put_beside_a_source_never_gets_into_the_store(tmp_path, store):
    first = environment(tmp_path / "first", {"needed.py": "print('true')"})
    planted = beside(source(first))
    planted.parent.mkdir()
    told = os.stat(source(first))
    header = compiler.Source("", "", int(told.st_mtime), told.st_size).header
    planted.write_bytes(header + marshal.dumps(compile("print('planted')", "needed.py", "exec")))
    assert printed(source(first)) == "planted"
    share(store, first)
    share_rest(store, first)
    assert printed(source(first)) == "true"
    second = environment(tmp_path / "second", {"needed.py": "print('true')"})
    share(store, second)
    assert printed(source(second)) == "true"


def test_tracebacks_name_the_source_of_their_own_environment(tmp_path, store):
    text = "import traceback\ndef f():\n    print(traceback.extract_stack()[-1].filename)\nf()"
    for name in ("first", "second"):
        folder = environment(tmp_path / name, {"needed.py": text})
        share(store, folder)
        assert printed(source(folder)) == str(source(folder))


def test_an_environment_deleted_meanwhile_does_not_come_back(tmp_path, store):
    folder = environment(tmp_path / "first", {"needed.py": ""})
    share(store, folder)
    told, _ = compiler.read(str(source(folder)))
    shutil.rmtree(folder)
    assert not compiler.Store(str(store.folder)).put_beside(told)
    assert not folder.exists()


def test_what_imports_need_is_compiled_at_once_and_the_rest_later(tmp_path, store):
    files = {"needed.py": "", "own/__init__.py": "__all__ = ['public']", "own/public.py": "", "own/secret.py": ""}
    files |= {"own-1.0.dist-info/RECORD": "own/__init__.py,,\nown/public.py,,\n", "tests/broken.py": "def"}
    folder = environment(tmp_path / "first", files)
    assert "5 of 7 others compiled" in share(store, folder, "Own")
    assert beside(source(folder, "own/public.py")).exists()
    assert not beside(source(folder, "own/secret.py")).exists()
    share_rest(store, folder)
    assert beside(source(folder, "own/secret.py")).exists()
    assert not beside(source(folder, "tests/broken.py")).exists()


@pytest.mark.parametrize("minor", ["3.9", "3.10", "3.12", "3.13"])
def test_another_python_has_bytecode_of_its_own(tmp_path, store, minor):
    other = pythons.other_python(minor if minor != f"3.{sys.version_info[1]}" else "3.11")
    folder = environment(tmp_path / "first", {"needed.py": "print('hello')"})
    share(store, folder)
    ours = blobs(store)
    assert "0 files shared, 3 of 3 others compiled" in share(store, folder, interpreter=os.path.realpath(other))
    assert len(blobs(store)) == 2 * len(ours)
    assert len(list(store.folder.iterdir())) == 2


def test_bytecode_cut_short_by_a_crash_is_made_again(tmp_path, store):
    share(store, environment(tmp_path / "first", {"needed.py": "print('hello')"}))
    for path in blobs(store):
        path.chmod(0o600)
        os.truncate(path, path.stat().st_size - 1)
    second = environment(tmp_path / "second", {"needed.py": "print('hello')"})
    assert "0 files shared, 3 of 3 others compiled" in share(store, second)
    assert printed(source(second)) == "hello"


def test_a_compiler_killed_in_the_middle_leaves_whole_files_and_the_next_goes_on(tmp_path, store):
    files = {f"many/m{number}.py": f"x = {number}\n" * 2000 for number in range(200)}
    first = environment(tmp_path / "first", {"needed.py": "import many.m0, many.m1", **files})

    async def scenario() -> None:
        await store.share(BASE, first, (), ENVIRON)
        task = asyncio.create_task(store.share_rest(first, ENVIRON))
        found = len(blobs(store))
        await until(lambda: len(blobs(store)) > found)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())
    for path in blobs(store):
        assert path.name.split(".")[1] == str(path.stat().st_size)
        marshal.loads(path.read_bytes()[16:])
    share_rest(store, first)
    assert all(beside(source(first, name)).exists() for name in files)


def test_only_so_much_is_kept_of_what_no_environment_has_and_the_longest_unused_goes_first(tmp_path):
    store = BytecodeStore(tmp_path / "bytecode", 0)
    first = environment(tmp_path / "first", {"needed.py": "print(1)"})
    share(store, first)
    assert store.prune() == 0  # all of it is in use
    old = {path.name: path.stat().st_size for path in blobs(store)}
    for path in first.rglob("*.pyc"):
        path.unlink()
    environment(first, {"needed.py": "print(2)"})
    share(store, first)
    kept = BytecodeStore(store.folder, 10_000_000)
    assert kept.prune() == 0
    assert set(old) < {path.name for path in blobs(store)}
    assert store.prune() > 0
    assert {path.name for path in blobs(store)} == {path.name for path in blobs(store) if path.stat().st_nlink > 1}


def test_files_that_cannot_be_read_or_compiled_stop_nothing(tmp_path, store):
    folder = environment(tmp_path / "first", {"needed.py": "import broken, gone, deep", "broken.py": "def"})
    source(folder, "gone.py").symlink_to("/nowhere")
    source(folder, "deep.py").write_text("x = " + "-" * 100_000 + "1")
    source(folder, "null.py").write_bytes(b"x = '\0'")
    store.folder.mkdir()
    assert "3 of " in share(store, folder)
    share_rest(store, folder)
    assert {path.name.split(".")[0] for path in folder.rglob("*.pyc")} == {"__init__", "needed"}
    assert not list(store.folder.glob("*/*.tmp"))


def test_without_hardlinks_the_bytecode_is_copied(tmp_path, store, monkeypatch):
    folder = environment(tmp_path / "first", {"needed.py": "print('hello')"})
    share(store, folder)
    beside(source(folder)).unlink()
    monkeypatch.setattr(compiler.os, "link", refuse_links)
    told, _ = compiler.read(str(source(folder)))
    assert compiler.Store(str(store.folder)).put_beside(told)
    assert beside(source(folder)).stat().st_nlink == 1
    assert f"{beside(source(folder))} matches" in printed(source(folder), "-v")


def refuse_links(blob: str, target: str) -> None:
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


def test_what_a_killed_compiler_left_in_the_store_is_swept(tmp_path, store, monkeypatch):
    share(store, environment(tmp_path / "first", {"needed.py": ""}))
    leftover = blobs(store)[0].with_suffix(".123.tmp")
    leftover.write_bytes(b"half")
    store.prune()
    assert leftover.exists()  # its writer may be alive
    monkeypatch.setattr("headgate.replicas.building.bytecode.time.time", lambda: leftover.stat().st_ctime + 7200)
    store.prune()
    assert not leftover.exists()


def test_a_build_is_not_told_to_leave_no_bytecode():
    assert commands.build_environ({"PATH": "/bin", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": "/x"}) == {
        "PATH": "/bin"
    }


@pytest.mark.parametrize(
    ("text", "package", "found"),
    [
        ("import a.b as c, d # e\n", "p", {"a.b", "d"}),
        ("from a import (\n  b,  # why\n  c as d,\n)\n", "p", {"a", "a.b", "a.c"}),
        ("from . import b\nfrom .x.y import z\n", "p.q", {"p.q", "p.q.b", "p.q.x.y", "p.q.x.y.z"}),
        ("from ..x import y\n", "p.q", {"p.x", "p.x.y"}),
        ("try:\n    import a\nexcept ImportError:\n    import b\n", "p", {"a", "b"}),
        ("if TYPE_CHECKING:\n    import a\nimport b\n", "p", {"b"}),
        ("def f():\n    import a\nclass C:\n    pass\nimport b\n", "p", {"b"}),
        ("from a import *\n", "p", {"a"}),
        ("x = 1\nfromage = 2\nimportant = 3\n", "p", set()),
    ],
)
def test_imports_are_read_from_the_source(text, package, found):
    assert compiler.imports(text.encode(), package) == found

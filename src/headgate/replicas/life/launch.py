"""How the guest's programs (worker, zygote) are started inside a model's environment. Called by the roster and the zygote pool.

They get a clean environment: facts about the machine and the endpoint's own variables, nothing of the server's.
"""

from __future__ import annotations

import contextlib
import filecmp
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

_MACHINE_FACTS = frozenset(
    {"HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
     "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"}
)  # fmt: skip
_PROGRAM = "import sys; sys.path.insert(0, {guest!r}); from headgate_worker.{module} import main; main()"


def replica_environ(environ: Mapping[str, str], python: str, own: Mapping[str, str]) -> dict[str, str]:
    """Environment variables of a replica: the machine's facts, its environment first on PATH, then the endpoint's own."""
    facts = {name: value for name, value in environ.items() if name in _MACHINE_FACTS or name.startswith("LC_")}
    path = f"{Path(python).parent}:{environ.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"
    return {"LANG": "C.UTF-8", **facts, "PATH": path, "VIRTUAL_ENV": str(Path(python).parent.parent), **own}


def command(python: str, guest: Path, module: str, *arguments: object) -> tuple[str, ...]:
    """The command line of `worker` or `zygote`. `-I`: no PYTHON* variable and no user folder decides what is imported."""
    program = _PROGRAM.format(guest=str(guest), module=module)
    return (python, "-I", "-c", program, *(str(argument) for argument in arguments))


@contextlib.contextmanager
def in_memory(secret_vars: Mapping[str, str]) -> Iterator[tuple[int, ...]]:
    """The descriptor of memory that holds them, for one child to inherit; none when there are none.

    Not in its environment: that stays readable under /proc, and limits one value's length.
    """
    if not secret_vars:
        yield ()
        return
    descriptor = os.memfd_create("secrets")
    try:
        with os.fdopen(os.dup(descriptor), "w") as memory:
            json.dump(dict(secret_vars), memory)
        yield (descriptor,)
    finally:
        os.close(descriptor)


def copy_guest(source: Path, guest: Path) -> None:
    """Puts the guest package into `guest`, where models' interpreters find it and nothing else of ours."""
    target = guest / source.name
    names = sorted(path.name for path in source.glob("*.py"))
    if sorted(path.name for path in target.glob("*.py")) == names:
        _, different, missing = filecmp.cmpfiles(source, target, names, shallow=False)
        if not different and not missing:
            return
    guest.mkdir(parents=True, exist_ok=True)
    fresh, old = guest / "fresh", guest / "old"
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(source, fresh, ignore=shutil.ignore_patterns("__pycache__"))
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)

"""Bytecode of environments: compiled once per content of a source, shared by all environments of this machine.

Called by the build (what a start needs, at once) and by `environments` (the rest, in the background; pruning). `compiler` does the
work in a process of the interpreter the environment is made from; bytecode found beside sources never gets into the store.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headgate.replicas.building import commands, compiler

_TOLD = "bytecode.json"
_MOST_PROCESSES = 16
_LEFTOVER_AFTER_S = 3600.0


@dataclass(frozen=True, slots=True)
class BytecodeStore:
    """The store of this machine."""

    folder: Path
    unused_bytes: int
    """Bytes to keep of what no environment has now."""

    async def share(
        self, interpreter: str, folder: Path, requirements: Iterable[str], environ: Mapping[str, str]
    ) -> str:
        """Gives `folder/venv` what the store has and compiles what importing MLflow and the requirements needs.

        `interpreter` is what the environment was made from, found out before anything was installed. Returns a line for the build
        log. Raises CommandFailed and OSError, which leave an environment that works but starts slower.
        """
        sources = next((folder / "venv/lib").glob("python*/site-packages"), folder / "venv/lib")
        told: dict[str, Any] = {
            "interpreter": interpreter,
            "sources": str(sources.relative_to(folder)),
            "requirements": list(requirements),
            "everything": False,
            "processes": min(len(os.sched_getaffinity(0)), _MOST_PROCESSES),
        }
        return (await commands.run(self._command(told, folder), environ, folder)).strip()

    async def share_rest(self, folder: Path, environ: Mapping[str, str]) -> None:
        """Compiles everything else there at the lowest priority. Raises like `share`."""
        try:
            told = json.loads((folder / _TOLD).read_text())
            command = self._command({**told, "everything": True, "processes": 1}, folder)
        except (OSError, ValueError, KeyError):
            return  # an older version of ours made this environment
        await commands.run_in_background(command, environ, folder)

    def prune(self) -> int:
        """Deletes what no environment has, the longest unused first, down to the limit. Returns the bytes deleted."""
        unused, total = [], 0
        for path in self.folder.glob("*/*"):
            try:
                told = path.stat()
            except OSError:
                continue  # another pruning
            if path.suffix != ".pyc":
                if time.time() - told.st_ctime > _LEFTOVER_AFTER_S:
                    path.unlink(missing_ok=True)  # of a killed compiler
            elif told.st_nlink == 1:
                # Linking it into an environment, and losing that link, sets its change time.
                unused.append((told.st_ctime, told.st_size, path))
                total += told.st_size
        freed = 0
        for _, size, path in sorted(unused):
            if total - freed <= self.unused_bytes:
                break
            path.unlink(missing_ok=True)
            freed += size
        return freed

    def _command(self, told: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
        (folder / _TOLD).write_text(json.dumps({**told, "store": str(self.folder)}))
        return (told["interpreter"], "-I", "-S", str(Path(compiler.__file__)), _TOLD)

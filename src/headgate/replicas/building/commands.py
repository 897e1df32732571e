"""Runs the commands of an environment build: output streamed into the build log, killed with its children at the deadline."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from headgate.replicas.building.build_log import BuildLog
from headgate.replicas.life import processes

_KEPT_LINES = 400
_LINE_LIMIT_BYTES = 1024 * 1024

_PASSED_NAMES = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "NETRC", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSH_AUTH_SOCK",
     "REQUESTS_CA_BUNDLE", "LD_LIBRARY_PATH", "CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CUDA_HOME"}
)  # fmt: skip
_PASSED_PREFIXES = ("UV_", "XDG_", "LC_", "GIT_", "CARGO_", "RUSTUP_")
_PROXY_NAMES = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})


class CommandFailed(Exception):
    """A command of the build ended badly. `output` holds its last lines."""

    def __init__(self, code: int, output: str) -> None:
        super().__init__(f"exit code {code}")
        self.code = code
        self.output = output


def build_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of the server's environment a build may see: how to reach packages and compilers, none of our own."""
    return {
        name: value
        for name, value in environ.items()
        if name in _PASSED_NAMES or name.startswith(_PASSED_PREFIXES) or name.lower() in _PROXY_NAMES
    }


async def run(launch_argv: tuple[str, ...], env: Mapping[str, str], cwd: Path, log: BuildLog | None = None) -> str:
    """Output (stdout and stderr) of a command that succeeded, the last 400 lines. Raises CommandFailed. Cancelling kills it."""
    return await _run(processes.Launch(launch_argv, env, cwd, output=subprocess.PIPE, dies_with_us=True), log)


async def run_in_background(argv: tuple[str, ...], env: Mapping[str, str], cwd: Path) -> None:
    """The same at the lowest priority, its output dropped."""
    launch = processes.Launch(argv, env, cwd, output=subprocess.PIPE, dies_with_us=True, low_priority=True)
    await _run(launch, None)


async def _run(launch: processes.Launch, log: BuildLog | None) -> str:
    child = processes.spawn(launch)
    assert child.stdout is not None
    watched = processes.Watched(child.pid, child)
    reader = asyncio.StreamReader(limit=_LINE_LIMIT_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), child.stdout
    )
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    try:
        while line := await _line(reader):
            lines.append(line)
            if log is not None:
                log.write(line)
        await watched.exited.wait()
    finally:
        if not watched.exited.is_set():
            os.killpg(child.pid, signal.SIGKILL)
            await watched.wait(10.0)
        transport.close()
        watched.close()
    code = watched.status if watched.status is not None else -1
    if code != 0:
        raise CommandFailed(code, "".join(lines))
    return "".join(lines)


async def _line(reader: asyncio.StreamReader) -> str:
    """The next line with its line break, empty at the end."""
    try:
        line = await reader.readline()
    except ValueError:
        return "(a very long line was left out)\n"
    return line.decode("utf-8", "replace")

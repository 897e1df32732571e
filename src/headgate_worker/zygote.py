"""A process that has imported what an environment's models need, and forks workers on request. Started by the agent with the
path of a JSON file: {"socket_fd", "modules", "base_modules", "environment_vars", "lifeline_fd"}, and a descriptor with secret variables.

Speaks JSON lines over the inherited socket: `fork` → `forked` or `refused`; `learn` (more modules) → `learned`; tells `ready` once and
`exited` for each child. Ends with its socket or lifeline; its children live on. Never imports a user's code, never predicts, has one
thread: a child of a process that has used OpenMP, CUDA or threads may hang for good.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from collections import deque
from typing import Any, Deque, Dict, List, Optional, Tuple

from headgate_worker import logs, redaction, surroundings, tracing, worker
from headgate_worker.logs import ServiceLog

_LINE_LIMIT = 32 * 1024 * 1024
_SERVING = "headgate_worker.serving"
"""What a child needs besides the model's modules."""
_FORK_SAFE_THREADS = ("jemalloc_bg_thd",)
"""Native threads of libraries that shut them down around a fork by themselves."""


class Zygote:
    """See the module."""

    def __init__(self, told: Dict[str, Any], log: ServiceLog) -> None:
        self._socket = socket.socket(fileno=int(told["socket_fd"]))
        self._socket.set_inheritable(False)
        self._lifeline: Optional[int] = told.get("lifeline_fd")
        self._modules: List[str] = [*told.get("base_modules", ()), *told.get("modules", ()), _SERVING]
        self._log = log
        self._received = b""
        self._wakeup: Tuple[int, int] = (-1, -1)
        self._settled_threads = 0
        self._is_settled = False
        """Whether nothing was imported since `_settle`."""
        self._unlearned: Deque[str] = deque()
        self._skipped: List[str] = []

    def run(self) -> None:
        """Serves until its socket or lifeline ends."""
        began = time.perf_counter()
        for name in dict.fromkeys(self._modules):
            self._import(name)
        tracing.settle()
        self._watch_children()
        self._settle()
        import_ms = round((time.perf_counter() - began) * 1000.0, 3)
        self._tell({"op": "ready", "import_ms": import_ms, "skipped": self._skipped})
        self._serve()

    def _import(self, name: str) -> None:
        if name in sys.modules:
            return
        self._is_settled = False
        try:
            importlib.import_module(name)
        except BaseException as error:
            self._skipped.append(f"{name}: {type(error).__name__}: {error}")

    def _settle(self) -> None:
        """Makes what was imported ready to be forked."""
        gc.collect()
        gc.freeze()
        # Forking once makes libraries with a pool they can take down (OpenBLAS) do so: what is left then must not be forked.
        self._reap_now(self._fork_and_exit())
        self._settled_threads = _native_threads()
        self._is_settled = True

    def _learn(self) -> None:
        """One more module; forks are answered in between. Memory is shared with the children there are: a new zygote's would not be."""
        self._import(self._unlearned.popleft())
        if not self._unlearned:
            self._settle()
            self._tell({"op": "learned", "skipped": self._skipped})

    def _watch_children(self) -> None:
        self._wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def _serve(self) -> None:
        poll = select.poll()
        watched = [self._socket.fileno(), self._wakeup[0]]
        if self._lifeline is not None:
            watched.append(self._lifeline)
        for descriptor in watched:
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(0 if self._unlearned else None)}
            if self._lifeline is not None and self._lifeline in ready:
                return
            if self._wakeup[0] in ready:
                os.read(self._wakeup[0], 4096)
                self._reap()
            if self._socket.fileno() in ready and not self._read():
                return
            if self._unlearned:
                self._learn()

    def _read(self) -> bool:
        """Whether the agent is still there."""
        try:
            data = self._socket.recv(65536)
        except OSError:
            return False
        self._received += data
        *lines, self._received = self._received.split(b"\n")
        for line in lines:
            self._obey(json.loads(line))
        return bool(data) and len(self._received) <= _LINE_LIMIT

    def _obey(self, told: Dict[str, Any]) -> None:
        if told.get("op") == "learn":
            self._unlearned.extend(told["modules"])
        elif told.get("op") == "fork":
            self._fork(told["spec"])

    def _fork(self, spec: Dict[str, Any]) -> None:
        if not self._is_settled:
            self._settle()
        reason = self._why_not()
        if reason:
            self._tell({"op": "refused", "replica": spec["replica"], "reason": reason})
            return
        began = time.perf_counter()
        try:
            pid = os.fork()
        except OSError as error:
            self._tell({"op": "refused", "replica": spec["replica"], "reason": f"fork failed: {error}"})
            return
        if pid == 0:
            spec["phases_ms"] = {
                **(spec.get("phases_ms") or {}),
                "fork": round((time.perf_counter() - began) * 1000.0, 3),
            }
            self._become(spec)
        fork_ms = round((time.perf_counter() - began) * 1000.0, 3)
        self._tell({"op": "forked", "replica": spec["replica"], "pid": pid, "fork_ms": fork_ms})

    def _become(self, spec: Dict[str, Any]) -> None:
        """The child: a worker, never returning here."""
        code = 1
        try:
            surroundings.forget_parent()
            self._socket.close()
            for descriptor in self._wakeup:
                os.close(descriptor)
            code = worker.run(spec, "fork", self._log)
            worker.leave(code)
        except BaseException as error:
            self._log.record("CRITICAL", f"the worker could not start: {type(error).__name__}: {error}")
        finally:
            os._exit(code)

    def _why_not(self) -> str:
        """Why forking cannot be trusted; empty when it can."""
        if threading.active_count() > 1:
            names = sorted(thread.name for thread in threading.enumerate() if thread is not threading.main_thread())
            return f"a library has started a Python thread at import: {', '.join(names[:3])}"
        if _cuda_is_in_use():
            return "CUDA is initialised in the zygote"
        native = _native_threads() - 1
        if native > 0:
            when = "at import" if self._settled_threads > 1 else "after import"
            return f"a library has started {native} native threads {when} (an OpenMP pool, for instance), which a fork would lose"
        return ""

    def _fork_and_exit(self) -> int:
        if threading.active_count() > 1 or _cuda_is_in_use():
            return 0  # every fork will be refused anyway
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        return pid

    def _reap_now(self, pid: int) -> None:
        if pid:
            os.waitpid(pid, 0)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._tell({"op": "exited", "pid": pid, "status": os.waitstatus_to_exitcode(status)})

    def _tell(self, message: Dict[str, Any]) -> None:
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass  # the agent has gone; the next read ends this process


def _cuda_is_in_use() -> bool:
    cuda = sys.modules.get("torch.cuda")
    is_initialized = getattr(cuda, "is_initialized", None)
    return bool(is_initialized and is_initialized())


def _native_threads() -> int:
    """Threads of this process, the main one included, without those that take care of forks themselves."""
    count = 0
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/comm", encoding="utf-8", errors="replace") as file:
                count += file.read().strip() not in _FORK_SAFE_THREADS
        except OSError:
            pass  # it has just ended
    return count


def main() -> None:
    """Entry; the arguments are the path of the JSON specification and where its secrets are."""
    with open(sys.argv[1], encoding="utf-8") as file:
        told = json.load(file)
    # Before any import: libraries read variables when they are imported.
    secrets = surroundings.take_secrets(sys.argv[2:])
    redaction.remember(secrets.values())
    surroundings.apply_environ({**told.get("environment_vars", {}), **secrets})
    gc.disable()
    zygote = Zygote(told, logs.install("zygote"))
    zygote.run()
    os._exit(0)

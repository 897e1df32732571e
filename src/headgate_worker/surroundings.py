"""The process around a model: its environment variables, its lifeline, what a fork must forget. Called by `worker` and `zygote`.

Nothing of the server's environment may reach a model: only facts about the machine and the endpoint's own variables stay.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import select
import signal
import sys
import threading
from typing import Dict, Mapping, Optional, Sequence

_MACHINE_FACTS = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SSL_CERT_FILE",
        "SSL_CERT_DIR", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES",
    }
)  # fmt: skip
_DEFAULTS = {
    # What MLflow's own scoring server sets: type hints of a model are then checked leniently.
    "_MLFLOW_IS_IN_SERVING_ENVIRONMENT": "true",
    # Its telemetry starts threads, which forbid forking, and calls home.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Arrow's own allocator begins with huge pages, megabytes in each of many small processes; pandas 3 uses it for a few strings.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
_OOM_VICTIM = "500"


def clean_environ(environ: Mapping[str, str], own: Mapping[str, str]) -> Dict[str, str]:
    """The environment variables a model sees."""
    facts = {name: value for name, value in environ.items() if name in _MACHINE_FACTS or name.startswith("LC_")}
    return {**facts, **_DEFAULTS, **{str(name): str(value) for name, value in own.items()}}


def apply_environ(own: Mapping[str, str]) -> None:
    """Makes this process's environment variables the clean ones."""
    wanted = clean_environ(os.environ, own)
    for name in set(os.environ) - set(wanted):
        del os.environ[name]
    os.environ.update(wanted)


def take_secrets(arguments: Sequence[str]) -> Dict[str, str]:
    """Environment variables from the descriptor that a command line names, `{name: value}` as JSON; it is closed. Without one: none."""
    if not arguments:
        return {}
    with os.fdopen(int(arguments[0]), "rb") as memory:
        memory.seek(0)
        return {str(name): str(value) for name, value in json.load(memory).items()}


def watch_lifeline(descriptor: Optional[int]) -> None:
    """Ends this process, from a thread of its own, when the pipe's last writer is gone. One that is not open is ignored."""
    if descriptor is None:
        return
    try:
        os.fstat(descriptor)
    except OSError:
        return

    poll = select.poll()
    poll.register(descriptor, select.POLLIN)

    def watch() -> None:
        poll.poll()
        os._exit(0)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def forget_parent() -> None:
    """In a forked child: a session of its own, signals as a fresh process has them, random numbers of its own."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def settle_in(folder: str) -> None:
    """Working folder, a dump of all threads' stacks on a crash, and first in line when the machine runs out of memory."""
    os.chdir(folder)
    faulthandler.enable(file=2, all_threads=True)
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(_OOM_VICTIM)
    except OSError:
        pass

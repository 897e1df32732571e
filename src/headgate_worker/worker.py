"""Entry of a worker: `main()` in a fresh process, `run()` in a zygote's child. Loads one model and serves it until drained.

Started by the agent, in the model's own environment:
`python -I -c "import sys; sys.path.insert(0, GUEST); from headgate_worker.worker import main; main()" SPEC_JSON_PATH [SECRETS_FD]`.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import json
import os
import sys
import threading
from typing import Any, Mapping, Optional

from headgate_worker import loading, logs, redaction, surroundings
from headgate_worker.logs import ServiceLog
from headgate_worker.specification import WorkerSpec
from headgate_worker.status import FAILED, StatusFile

_FAREWELL_S = 3.0


def run(spec: Mapping[str, Any], how: str = "fork", log: Optional[ServiceLog] = None) -> int:
    """Is the worker that the specification describes, to its end; the exit code. `log`: one that is installed already."""
    gc.disable()  # until the model is loaded: nearly everything that is made now stays
    wanted = WorkerSpec.from_json(spec)
    redaction.remember(wanted.secret_vars.values())
    surroundings.apply_environ({**wanted.environment_vars, **wanted.secret_vars})
    told = StatusFile(wanted, how)
    log = log or logs.install(wanted.replica)
    try:
        log.open(wanted.log_path, wanted.replica, wanted.log_bytes)
        surroundings.watch_lifeline(wanted.lifeline_fd)
        surroundings.settle_in(os.path.dirname(wanted.socket_path))
        told.tell()
        loaded = loading.load(wanted, told)
        asyncio.run(_serve(wanted, loaded, told, log))
    except loading.LoadFailed as error:
        log.record("CRITICAL", str(error))
        told.tell(state=FAILED, message=str(error))
        return 1
    except BaseException as error:
        message = loading.explain(error, "the worker failed")
        log.record("CRITICAL", message)
        told.tell(state=FAILED, message=message)
        return 1
    return 0


async def _serve(wanted: WorkerSpec, loaded: loading.Loaded, told: StatusFile, log: ServiceLog) -> None:
    # Imported after MLflow's own import has been timed and its failure told.
    from headgate_worker.scoring import Scorer
    from headgate_worker.serving import Served, Worker

    served = Served(Scorer(loaded.model, wanted.checked_fraction), loaded.example)
    await Worker(wanted, served, told, log).run()


def leave(code: int) -> None:
    """Ends the process: exit functions (they may flush traces) get a moment, threads that still execute are not waited for."""
    watchdog = threading.Timer(_FAREWELL_S, os._exit, (code,))
    watchdog.daemon = True
    watchdog.start()
    try:
        atexit._run_exitfuncs()
    finally:
        os._exit(code)


def main() -> None:
    """Entry of a fresh process; the arguments are the path of its spec.json and where its secrets are."""
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = json.load(file)
    spec["secret_vars"] = surroundings.take_secrets(sys.argv[2:])
    leave(run(spec, how="exec"))

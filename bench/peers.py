"""The servers of others: how each is started for one model, as a person who knows it would. Called by `bench.compare`.

To add one: its requirements in `environments.REQUIREMENTS`, a function here, a line in `PEERS`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.environments import GUESTS, cache_folder, environment
from bench.models import Work
from bench.processes import Launch, free_port


@dataclass(frozen=True, slots=True)
class Peer:
    """A server under comparison."""

    title: str
    environment: str
    launch: Callable[[Work], Launch]


def predictions(answer: Any) -> list[float]:
    """The predictions in a server's answer, whichever protocol it speaks."""
    if "predictions" in answer:
        return list(answer["predictions"])
    return list(answer["outputs"][0]["data"])


def _by_hand(workers: int) -> Callable[[Work], Launch]:
    def launch(work: Work) -> Launch:
        port = free_port()
        uvicorn = str(environment("fastapi") / "bin" / "uvicorn")
        options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
        place = ["--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)]
        return Launch(
            command=(uvicorn, "by_hand:app", *place, *options),
            url=f"http://127.0.0.1:{port}/invocations",
            body=work.split,
            environ={"MODEL": str(work.folder)},
            folder=GUESTS,
        )

    return launch


def _mlflow(work: Work) -> Launch:
    port = free_port()
    programs = environment("mlflow") / "bin"
    place = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return Launch(
        command=(str(programs / "mlflow"), "models", "serve", "-m", str(work.folder), "--env-manager", "local", *place),
        url=f"http://127.0.0.1:{port}/invocations",
        body=work.split,
        environ={"PATH": f"{programs}:{os.environ['PATH']}"},
    )


def _mlserver(work: Work) -> Launch:
    port, folder = free_port(), cache_folder() / "mlserver" / work.name
    folder.mkdir(parents=True, exist_ok=True)
    model = {
        "name": "m",
        "implementation": "mlserver_mlflow.MLflowRuntime",
        "parameters": {"uri": str(work.folder)},
        "max_batch_size": 32,
        "max_batch_time": 0.002,
    }
    server = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "metrics_dir": str(folder),
        "parallel_workers": 0,
    }
    (folder / "model-settings.json").write_text(json.dumps(model))
    (folder / "settings.json").write_text(json.dumps(server))
    return Launch(
        command=(str(environment("mlserver") / "bin" / "mlserver"), "start", str(folder)),
        url=f"http://127.0.0.1:{port}/v2/models/m/infer",
        body=work.v2,
        folder=folder,
    )


def _litserve(work: Work) -> Launch:
    port = free_port()
    return Launch(
        command=(str(environment("litserve") / "bin" / "python"), str(GUESTS / "batched.py"), str(port)),
        url=f"http://127.0.0.1:{port}/predict",
        body=work.split,
        environ={"MODEL": str(work.folder)},
    )


PEERS: dict[str, Peer] = {
    "fastapi": Peer("FastAPI by hand", "fastapi", _by_hand(1)),
    "fastapi-cores": Peer("FastAPI by hand, a process per core", "fastapi", _by_hand(os.cpu_count() or 1)),
    "mlflow": Peer("mlflow models serve", "mlflow", _mlflow),
    "mlserver": Peer("MLServer, adaptive batching", "mlserver", _mlserver),
    "litserve": Peer("LitServe, batching", "litserve", _litserve),
}

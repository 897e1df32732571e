"""CPU a worker spends on one request: a real worker process, a client that speaks its protocol over the Unix socket, no gateway.

    python bench/worker_cpu.py [--outstanding 1 8 32] [--seconds 3] [--connections 1] [--model FOLDER --body FILE] [--profile FILE]

Trains a small classifier (4 columns) unless told a model. Prints requests per second, latency, the worker's CPU per request, and
what it tells of itself. The client keeps `outstanding` requests unanswered and writes what one read allows in one write, as a server.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parent.parent / "src"
sys.path.insert(0, str(SOURCES))

from headgate_worker import protocol  # noqa: E402

START_DEADLINE_S = 120.0
META = b'{"content_type":"application/json","request_id":"0b8f6d5e-1c9e-4d0a-9a39-8a1f9d1f0c11","deadline_ms":597000}'
RUN = f"import sys; sys.path.insert(0, {str(SOURCES)!r}); from headgate_worker.worker import main; main()"
PROFILED = (
    f"import sys; sys.path.insert(0, {str(SOURCES)!r}); import cProfile; from headgate_worker import worker; "
    "spec = __import__('json').load(open(sys.argv[1])); p = cProfile.Profile(); p.enable(); worker.run(spec, 'exec'); "
    "p.disable(); p.dump_stats({!r})"
)


class Client:
    """One connection with so many requests unanswered."""

    def __init__(self, path: str, outstanding: int, body: bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.latencies: list[float] = []
        self._body, self._outstanding, self._number = body, outstanding, 0
        self._sent: dict[int, float] = {}
        self._decoder = protocol.Decoder()

    def say(self, kind: int, payload: bytes = b"") -> dict[str, Any]:
        """Sends a frame that is answered by JSON; the answer."""
        self.socket.sendall(protocol.encode(kind, 0, payload))
        while True:
            for frame in self._decoder.feed(self.socket.recv(1 << 16)):
                told: dict[str, Any] = json.loads(frame.payload)
                return told

    def hello(self) -> dict[str, Any]:
        return self.say(protocol.HELLO, json.dumps({"version": protocol.VERSION, "role": "server"}).encode())

    def send(self, count: int) -> None:
        """So many more requests, in one write."""
        now, out = time.perf_counter(), []
        for _ in range(count):
            self._number += 1
            self._sent[self._number] = now
            out.append(protocol.encode_with_meta(protocol.REQUEST, self._number, META, self._body))
        self.socket.sendall(b"".join(out))

    def receive(self, goes_on: bool) -> None:
        """What has come; each answer is followed by a new request if it `goes_on`."""
        count = 0
        for frame in self._decoder.feed(self.socket.recv(1 << 18)):
            if b'"status":200' not in frame.payload[:40]:
                raise SystemExit(f"not answered: {frame.payload[:2000]!r}")
            self.latencies.append(time.perf_counter() - self._sent.pop(frame.request_id))
            count += 1
        if goes_on:
            self.send(count)

    def load(self) -> None:
        self.send(self._outstanding)

    @property
    def is_idle(self) -> bool:
        return not self._sent


def drive(clients: list[Client], seconds: float) -> list[float]:
    """Latencies of all requests sent in that time, sorted."""
    with selectors.DefaultSelector() as waiting:
        for client in clients:
            client.latencies.clear()
            waiting.register(client.socket, selectors.EVENT_READ, client)
            client.load()
        end = time.perf_counter() + seconds
        while not all(client.is_idle for client in clients):
            for key, _ in waiting.select(60):
                key.data.receive(time.perf_counter() < end)
    return sorted(latency for client in clients for latency in client.latencies)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def train(folder: Path) -> tuple[Path, bytes]:
    """A small sklearn classifier of 4 columns, and a body that asks for one row."""
    import mlflow.sklearn
    import numpy as np
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    x = pd.DataFrame(rng.normal(size=(2000, 4)), columns=[f"f{number}" for number in range(4)])
    y = (x.sum(axis=1) + rng.normal(size=len(x)) > 0).astype("int64")
    model = LogisticRegression().fit(x, y)
    mlflow.sklearn.save_model(
        model,
        str(folder / "model"),
        signature=infer_signature(x, y.to_numpy()),
        input_example=x.iloc[:1],
        pip_requirements=["mlflow"],
        serialization_format="cloudpickle",
    )
    row = x.iloc[0].round(4)
    return folder / "model", json.dumps(
        {"dataframe_split": {"columns": list(x.columns), "data": [row.tolist()]}}
    ).encode()


@contextmanager
def worker(folder: Path, model: Path, arguments: argparse.Namespace) -> Iterator[tuple[int, str]]:
    """A worker process that is READY: its pid and the path of its socket."""
    paths = {f"{name}_path": str(folder / name) for name in ("socket", "status", "log")}
    spec = {"replica": "bench", "model_path": str(model), "slots": arguments.slots, **paths}
    spec["environment_vars"] = dict(each.split("=", 1) for each in arguments.variable)
    (folder / "spec.json").write_text(json.dumps(spec))
    program = PROFILED.format(arguments.profile) if arguments.profile else RUN
    process = subprocess.Popen([sys.executable, "-I", "-W", "ignore", "-c", program, str(folder / "spec.json")])
    try:
        deadline = time.monotonic() + START_DEADLINE_S
        while (state := _state(folder / "status")) != "READY":
            if state == "FAILED" or process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the worker did not start:\n{(folder / 'log').read_text()}")
            time.sleep(0.02)
        yield process.pid, paths["socket_path"]
    finally:
        process.terminate()
        process.wait(30)


def _state(path: Path) -> str:
    try:
        return str(json.loads(path.read_text())["state"])
    except FileNotFoundError:
        return ""


def measure(found: tuple[int, str], outstanding: int, arguments: argparse.Namespace, body: bytes) -> None:
    """`found`: the worker's pid and socket."""
    pid, path = found
    count = min(arguments.connections, outstanding)
    clients = [Client(path, outstanding // count, body) for _ in range(count)]
    hello = [client.hello() for client in clients].pop()
    drive(clients, 0.5)
    before, began = cpu_s(pid), time.perf_counter()
    latencies = drive(clients, arguments.seconds)
    elapsed, spent, done = time.perf_counter() - began, cpu_s(pid) - before, len(latencies)
    print(
        f"outstanding {outstanding:3}: {done / elapsed:8,.0f} requests/s, p50 {latencies[done // 2] * 1e3:6.2f} ms, "
        f"p99 {latencies[done * 99 // 100] * 1e3:6.2f} ms, worker CPU {spent / done * 1e6:5.0f} µs/request",
        flush=True,
    )
    told = clients[0].say(protocol.PING)
    told.pop("rss_bytes", None)
    print(f"                 window {hello['window']}, {told}")
    for client in clients:
        client.socket.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench/worker_cpu.py", description=__doc__)
    parser.add_argument("--outstanding", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--body", type=Path)
    parser.add_argument("--variable", action="append", default=[], metavar="NAME=VALUE", help="of the served entity")
    parser.add_argument("--profile", default="", help="write a profile of the worker to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hgb") as name:
        folder = Path(name)
        model, body = (arguments.model, arguments.body.read_bytes()) if arguments.model else train(folder)
        with worker(folder, model.absolute(), arguments) as found:
            for outstanding in arguments.outstanding:
                measure(found, outstanding, arguments, body)


if __name__ == "__main__":
    main()

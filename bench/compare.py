"""`make bench`: Headgate and its peers serve the same models on this machine, measured in turn in one run.

    python -m bench.compare [--servers headgate,mlserver] [--models light] [--connections 1,32] [--seconds 4] [--rounds 3] [--quick]

For each model all servers are started and asked once (their answers must be equal), then for each concurrency the rounds go over
the servers in turn: a machine that drifts, drifts for all. Only the measured one is under load. Writes markdown and JSON to bench/results/.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import report, wrk
from bench.environments import environment, installed_versions, log_of
from bench.house import House
from bench.models import MODELS, Work, trained
from bench.peers import PEERS, Peer, predictions
from bench.processes import Launch, ServerProcess, ask, cpu_s, pss_mb
from bench.report import OURS, Measurement

RESULTS = Path(__file__).parent / "results"
# Of 32 with wide rows, most servers answer too few in a round to count them.
CONNECTIONS = {"light": [1, 8, 32], "heavy": [1, 8, 32], "wide": [1, 8]}
WARM_S = 2


class Served:
    """A server under comparison, running."""

    def __init__(self, name: str, process: ServerProcess, launch: Launch) -> None:
        self.name, self.process, self.launch = name, process, launch

    def measure(self, connections: int, seconds: int) -> tuple[wrk.Load, float]:
        """What wrk saw, and the CPU milliseconds per request of the whole process tree."""
        before = cpu_s(self.process.pids)
        load = wrk.run(self.launch, connections, seconds)
        spent = cpu_s(self.process.pids) - before
        self.process.wait_until_idle()
        return load, spent * 1e3 / max(1, load.requests)


def main() -> int:
    """Exit code 1 when a server failed a request; a missed target is only printed."""
    wanted = _options()
    wrk.check_installed()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped then, too
    models = trained()
    measured: list[Measurement] = []
    memory: dict[str, float] = {}
    with ExitStack() as stack:
        house = stack.enter_context(House(log_of(OURS))) if OURS in wanted.servers else None
        for name in wanted.models:
            work = Work.read(models, name)
            with ExitStack() as started:
                served = [start(server, work, house, started) for server in wanted.servers]
                measured += measure(work, served, wanted)
                memory |= {f"{name} {one.name}": round(pss_mb(one.process.pids)) for one in served}
    table = report.lines(measured)
    titles = {OURS: "**Headgate**", **{name: peer.title for name, peer in PEERS.items()}}
    text = report.markdown(table, titles)
    judged = report.verdicts(table)
    write(text, {"machine": machine(), "pss_mb": memory, "measurements": [asdict(one) for one in measured]})
    print(f"\n{text}\n" + "\n".join(map(str, judged)))
    return 1 if any(line.errors for line in table) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.compare", description="Headgate against its peers, on this machine.")
    known = [OURS, *PEERS]
    parser.add_argument("--servers", default=",".join(known), help=f"comma-separated, of: {', '.join(known)}")
    parser.add_argument("--models", default=",".join(MODELS), help=f"comma-separated, of: {', '.join(MODELS)}")
    parser.add_argument("--connections", default="", help="concurrencies, comma-separated (1,8,32; wide: 1,8)")
    parser.add_argument("--seconds", type=int, default=4, help="of load per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of 2 seconds: does it work at all?")
    wanted = parser.parse_args()
    wanted.servers, wanted.models = wanted.servers.split(","), wanted.models.split(",")
    wanted.connections = [int(text) for text in wanted.connections.split(",") if text]
    if wanted.quick:
        wanted.seconds, wanted.rounds = 2, 1
    if unknown := [*({*wanted.servers} - {*known}), *({*wanted.models} - {*MODELS})]:
        parser.error(f"unknown: {', '.join(unknown)}")
    return wanted


def start(server: str, work: Work, house: House | None, stack: ExitStack) -> Served:
    """The server with the model, running and right. Raises RuntimeError when it does not start or answers something else."""
    print(f"● start {server} [{work.name}]", flush=True)
    if server == OURS:
        assert house is not None
        house.register(work.folder, f"main.bench.{work.name}")
        ready_s = house.create_endpoint(work.name, f"main.bench.{work.name}")
        print(f"  READY after {ready_s:.1f} s", flush=True)
        stack.callback(house.delete_endpoint, work.name)
        served = Served(server, house.process, house.launch(work.name, work.split))
    else:
        served = _start_peer(server, PEERS[server], work, stack)
    got = predictions(ask(served.launch))
    if len(got) != len(work.answer) or not all(
        math.isclose(a, b, rel_tol=1e-9) for a, b in zip(got, work.answer, strict=True)
    ):
        raise RuntimeError(f"{server} answers {got}, the model {work.answer}")
    return served


def _start_peer(server: str, peer: Peer, work: Work, stack: ExitStack) -> Served:
    environment(peer.environment)
    launch = peer.launch(work)
    process = ServerProcess(launch, log_of(f"{server}-{work.name}"))
    stack.callback(process.stop)
    process.wait_until_it_answers(launch)
    return Served(server, process, launch)


def measure(work: Work, served: list[Served], wanted: argparse.Namespace) -> list[Measurement]:
    """All rounds with one model."""
    found = []
    for one in served:  # a new environment of ours is still compiling its bytecode
        one.process.wait_until_idle()
        one.measure(4, WARM_S)
    for connections in wanted.connections or CONNECTIONS[work.name]:
        for number in range(wanted.rounds):
            for one in served:
                load, cpu_ms = one.measure(connections, wanted.seconds)
                found.append(
                    Measurement(
                        model=work.name,
                        connections=connections,
                        round=number,
                        server=one.name,
                        requests_per_s=load.requests_per_s,
                        p50_ms=load.p50_ms,
                        p99_ms=load.p99_ms,
                        errors=load.errors,
                        cpu_ms_per_request=cpu_ms,
                    )
                )
                print(
                    f"  {work.name} c={connections:<3} {one.name:14} {load.requests_per_s:9,.0f} req/s  "
                    f"p50 {load.p50_ms:.2f} p99 {load.p99_ms:.2f} ms  CPU {cpu_ms * 1e3:,.0f} µs  errors {load.errors}",
                    flush=True,
                )
    return found


def machine() -> dict[str, Any]:
    """What the numbers depend on beside the code."""
    names = ("fastapi", "mlflow", "scikit-learn", "pandas", "numpy", "fastapi", "uvicorn")
    return {**hardware(), "versions": installed_versions(*names)}


def hardware() -> dict[str, Any]:
    """The machine and its Python."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return {
        "cpu": next(
            (line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine()
        ),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "at": time.strftime("%Y-%m-%d %H:%M %Z"),
    }


def write(text: str, measured: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    stem = f"compare-{time.strftime('%Y%m%d-%H%M%S')}"
    (RESULTS / f"{stem}.md").write_text(text)
    (RESULTS / f"{stem}.json").write_text(json.dumps(measured, indent=1))
    print(f"\nwritten: {RESULTS / stem}.md and .json")


if __name__ == "__main__":
    sys.exit(main())

"""`make bench-gateway`: Headgate and other gateways to language models in front of the same upstream, measured in turn in one run.

    python -m bench.language.compare [--servers headgate,litellm] [--seconds 3] [--rounds 3] [--quick] [--soak MINUTES]

All servers are started and asked once, then for each load the rounds go over them in turn: a machine that drifts, drifts for all. Only the measured one is
under load. Headgate's CPU is that of its whole process tree until it has come to rest, the loading of its records into tables included. Writes markdown and JSON
to bench/results/. `--soak`: Headgate only, mixed load, and its memory over time.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from bench import wrk
from bench.compare import RESULTS, hardware
from bench.environments import log_of
from bench.house import House
from bench.language import ours, peers, report, soak, streams, upstream
from bench.language.report import DIRECT, OURS, Paced, Round
from bench.processes import Launch, ServerProcess, ask, cpu_s, free_port, pss_mb

CONNECTIONS = (1, 32)
STREAMING = 16
STREAMS, TOKENS_PER_S = 512, 20
WARM_S = 2


@dataclass(frozen=True, slots=True)
class Served:
    """A server under comparison, running."""

    name: str
    process: ServerProcess
    launch: Launch
    idle_cores: float
    """What it uses when nobody asks."""

    def cpu_s(self) -> float:
        return cpu_s(self.process.pids)

    def load(self, connections: int, seconds: int, streamed: bool = False) -> tuple[wrk.Load, float]:
        """What wrk saw, and the CPU seconds it cost, what came after it included and what an idle server uses left out."""
        asked = Launch((), self.launch.url, peers.body(stream=streamed), self.launch.headers)
        before, began = self.cpu_s(), time.monotonic()
        seen = wrk.run(asked, connections, seconds)
        under = self.cpu_s()
        until = time.monotonic()
        self.process.wait_until_idle()
        after = self.cpu_s() - under - self.idle_cores * (time.monotonic() - until)
        assert until >= began
        return seen, under - before + max(0.0, after)


def main() -> int:
    """Exit code 1 when Headgate failed a request; a missed target is only printed."""
    wanted = options()
    wrk.check_installed()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped then, too
    if wanted.soak:
        return soak.run(wanted.soak)
    with ExitStack() as stack:
        port = free_port()
        vendor = ServerProcess(peers.upstream(port), log_of("language-upstream"))
        stack.callback(vendor.stop)
        vendor.wait_until_it_answers(peers.direct(port))
        served = [Served(DIRECT, vendor, peers.direct(port), 0.0)]
        served += [one for name in wanted.servers if (one := start(name, port, stack)) is not None]
        rounds = measure(served, wanted)
        paced = [pace(one, wanted.paced_s) for one in served if not wanted.quick or one.name == OURS]
        memory = {one.name: round(pss_mb(one.process.pids)) for one in served}
    return tell(rounds, paced, memory)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.language.compare", description="Gateways to language models.")
    known = [OURS, *peers.PEERS]
    parser.add_argument("--servers", default=",".join(known), help="of " + ", ".join(known))
    parser.add_argument("--seconds", type=int, default=3, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--paced-s", type=int, default=10, help="how long the many slow streams last")
    parser.add_argument("--quick", action="store_true", help="one round of a second: does it work?")
    parser.add_argument(
        "--soak", type=float, default=0, metavar="MINUTES", help="only Headgate's memory under mixed load"
    )
    wanted = parser.parse_args()
    wanted.servers = wanted.servers.split(",")
    if unknown := set(wanted.servers) - set(known):
        parser.error(f"no such server: {', '.join(unknown)}")
    if wanted.quick:
        wanted.rounds, wanted.seconds, wanted.paced_s = 1, 1, 3
    return wanted


def start(name: str, port: int, stack: ExitStack) -> Served | None:
    """The server, asked once. None when it cannot be had; says why."""
    try:
        if name == OURS:
            house = stack.enter_context(House(log_of("language-headgate"), **ours.SETTINGS))
            process, launch = house.process, ours.launch(house, port)
        else:
            launch = peers.PEERS[name].launch(port)
            process = ServerProcess(launch, log_of(f"language-{name}"))
            stack.callback(process.stop)
        answer = process.wait_until_it_answers(launch)
        if answer["choices"][0]["message"]["content"] != ask(peers.direct(port))["choices"][0]["message"]["content"]:
            raise RuntimeError(f"answers something else: {str(answer)[:200]}")
    except (peers.Absent, RuntimeError, SystemExit) as error:
        print(f"● {name} left out: {str(error)[:600]}", flush=True)
        return None
    process.wait_until_idle()
    before = cpu_s(process.pids)
    time.sleep(2)
    print(f"● {name} answers", flush=True)
    return Served(name, process, launch, (cpu_s(process.pids) - before) / 2)


def measure(served: list[Served], wanted: argparse.Namespace) -> list[Round]:
    """Whole answers at each concurrency, then streams."""
    rounds: list[Round] = []
    for one in served:
        one.load(4, min(WARM_S, wanted.seconds))
    for streamed, connections in [*((False, c) for c in CONNECTIONS), (True, STREAMING)]:
        print(f"  {'streams' if streamed else 'whole answers'}, {connections} connections", flush=True)
        for number in range(wanted.rounds):
            for one in served:
                seen, spent = one.load(connections, wanted.seconds, streamed)
                cpu_ms = spent * 1e3 / max(1, seen.requests)
                told = (seen.requests_per_s, seen.p50_ms, seen.p99_ms, seen.errors, cpu_ms)
                rounds.append(Round(one.name, streamed, connections, number, *told))
                print(
                    f"    {one.name:<10} {seen.requests_per_s:>9,.0f} /s  p50 {seen.p50_ms:8.2f}  p99 {seen.p99_ms:8.2f} ms  "
                    f"CPU {cpu_ms * 1e3:8.0f} µs  errors {seen.errors}",
                    flush=True,
                )
    return rounds


def pace(one: Served, seconds: int) -> Paced:
    """Many slow streams at once."""
    before, began = one.cpu_s(), time.monotonic()
    seen = streams.run(one.launch, STREAMS, seconds * TOKENS_PER_S, 1000 // TOKENS_PER_S)
    took, spent = time.monotonic() - began, one.cpu_s() - before
    one.process.wait_until_idle()
    per_chunk_us = spent * 1e6 / max(1, seen.chunks)
    made = Paced(
        server=one.name,
        streams=STREAMS,
        chunks_per_s=seen.chunks / took,
        p50_ms=seen.delay_ms(0.5),
        p99_ms=seen.delay_ms(0.99),
        worst_stall_ms=seen.worst_stall_ms,
        broken=seen.broken,
        cpu_us_per_chunk=per_chunk_us,
    )
    print(f"  {made}", flush=True)
    return made


def tell(rounds: list[Round], paced: list[Paced], memory: dict[str, int]) -> int:
    """Prints and writes all of it."""
    measured = {one.server for one in rounds}
    titles = {DIRECT: "none (the upstream itself)", OURS: "**Headgate**"}
    titles |= {name: peer.title for name, peer in peers.PEERS.items() if name in measured}
    titles = {name: title for name, title in titles.items() if name in measured}
    versions: dict[str, str] = {}
    for name, peer in peers.PEERS.items():
        versions |= peer.versions() if name in measured else {}
    shape = (STREAMING, upstream.CHUNKS)
    judged = report.verdicts(rounds, paced, shape)
    text = "\n\n".join(
        [
            report.whole_table(rounds, titles, CONNECTIONS),
            report.stream_table(rounds, paced, titles, shape),
            "\n".join(["| target | asked | measured | |", "| --- | ---: | ---: | --- |", *map(str, judged)]),
            "PSS after all of it, MB: " + ", ".join(f"{titles[name]} {mb}" for name, mb in memory.items()),
        ]
    )
    stamp = time.strftime("%Y%m%d-%H%M%S")
    RESULTS.mkdir(exist_ok=True)
    said = {
        "machine": hardware(),
        "versions": versions,
        "pss_mb": memory,
        "rounds": [asdict(one) for one in rounds],
        "paced": [asdict(one) for one in paced],
    }
    (RESULTS / f"gateway-{stamp}.json").write_text(json.dumps(said, indent=1))
    (RESULTS / f"gateway-{stamp}.md").write_text(text + "\n")
    print(f"\n{text}\n\n{versions}\n")
    return 1 if any(one.errors for one in rounds if one.server == OURS) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd}: {error.stderr}")

"""Headgate's memory under mixed load for minutes: whole answers, streams, clients that leave, requests that are refused. Called by `bench.language.compare`."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import uvloop
from bench.compare import RESULTS
from bench.environments import log_of
from bench.house import House
from bench.language import ours, peers
from bench.processes import Launch, ServerProcess, command_line, free_port

from headgate.clock import SystemClock
from headgate.language_settings import ProviderSettings
from headgate.providers.port import Outgoing
from headgate.telemetry.counting import Metrics
from headgate.upstream.client import open_upstream
from headgate.upstream.port import Lane, Patience, Upstream, UpstreamFailed

CLIENTS, PAUSE_S = 48, 0.25
SAMPLE_S = 5.0
KINDS = {"serve": "supervisor"} | {name: name for name in ("server", "control", "agent", "warehouse", "tracking")}
"""Words of command lines."""
GROWTH = 0.05
"""Of the last quarter's mean over the second quarter's, so much is called flat: the first is warming up."""


@dataclass(slots=True)
class Mixed:
    """What was asked, and what came."""

    launch: Launch
    upstream: Upstream
    rng: random.Random
    until_s: float
    counts: dict[str, int] = field(default_factory=dict)

    async def client(self) -> None:
        """One client until the end."""
        while time.monotonic() < self.until_s:
            kind = self.rng.choices(["whole", "stream", "leaver", "wrong", "unknown", "large"], [50, 25, 10, 5, 5, 5])[
                0
            ]
            try:
                await self._one(kind)
            except UpstreamFailed:
                kind = "failed"
            self.counts[kind] = self.counts.get(kind, 0) + 1
            await asyncio.sleep(self.rng.random() * 2 * PAUSE_S)

    async def _one(self, kind: str) -> None:
        url, body = self.launch.url, peers.body()
        if kind in ("stream", "leaver"):
            body = peers.body(stream=True, wish="chunks=40 gap_ms=5")
        elif kind == "wrong":
            body = b'{"messages": ' + b"[" * self.rng.randrange(1, 2000)
        elif kind == "unknown":
            url = url.replace("/gpt/", f"/nobody-{self.rng.randrange(100_000)}/")
        elif kind == "large":
            said = "word " * self.rng.randrange(20_000)
            body = json.dumps({"messages": [{"role": "user", "content": said}]}).encode()
        headers = ((b"content-type", b"application/json"), *_bytes(self.launch.headers))
        answer = await self.upstream.send(Outgoing("POST", url, headers, body), Lane("ours", Patience(5, 60, 60, 120)))
        if kind == "leaver":
            await answer.chunk()
            answer.close()
            return
        await answer.body()
        expected = {"wrong": 400, "unknown": 404}.get(kind, 200)
        if answer.status != expected:
            self.counts[f"{kind} {answer.status}"] = self.counts.get(f"{kind} {answer.status}", 0) + 1


def _bytes(headers: Mapping[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.encode(), value.encode()) for name, value in headers.items())


def run(minutes: float) -> int:
    """Exit code 1 when memory was not flat."""
    port = free_port()
    vendor = ServerProcess(peers.upstream(port), log_of("language-upstream"))
    try:
        with House(log_of("language-headgate"), **ours.SETTINGS) as house:
            samples, counts = uvloop.run(_soaked(house, ours.launch(house, port), minutes * 60))
    finally:
        vendor.stop()
    return tell(minutes, samples, counts)


async def _soaked(
    house: House, launch: Launch, seconds: float
) -> tuple[list[tuple[float, dict[str, float]]], dict[str, int]]:
    with tempfile.TemporaryDirectory() as folder:
        settings = ProviderSettings(allow_private_addresses=True)
        upstream = open_upstream(settings, SystemClock(), Metrics(Path(folder), "bench"))
        mixed = Mixed(launch, upstream, random.Random(1), time.monotonic() + seconds)
        clients = [asyncio.create_task(mixed.client()) for _ in range(CLIENTS)]
        samples: list[tuple[float, dict[str, float]]] = []
        began = time.monotonic()
        while time.monotonic() < mixed.until_s:
            samples.append((time.monotonic() - began, resident_mb(house.process.pids)))
            await asyncio.sleep(SAMPLE_S)
        await asyncio.gather(*clients)
        await upstream.close()
    return samples, mixed.counts


def resident_mb(pids: list[int]) -> dict[str, float]:
    """RSS by what a process is, those of a kind together."""
    found: dict[str, float] = {}
    for pid in pids:
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (OSError, ValueError):
            continue
        words = command_line(pid).split()
        kind = next((KINDS[word] for word in words if word in KINDS), "others")
        found[kind] = found.get(kind, 0.0) + pages * 4096 / 1024**2
    return found


def tell(minutes: float, samples: list[tuple[float, dict[str, float]]], counts: dict[str, int]) -> int:
    """Prints and writes it."""
    flat = True
    lines = [
        "| process | MB at the start | mean of each quarter | most |",
        "| --- | ---: | --- | ---: |",
    ]
    for kind in sorted({kind for _, seen in samples for kind in seen}):
        series = [seen.get(kind, 0.0) for _, seen in samples]
        quarter = max(1, len(series) // 4)
        means = [_mean(series[n * quarter : (n + 1) * quarter if n < 3 else None]) for n in range(4)]
        flat = flat and means[3] <= means[1] * (1 + GROWTH)
        told = ", ".join(f"{mean:.1f}" for mean in means)
        lines.append(f"| {kind} | {series[0]:.1f} | {told} | {max(series):.1f} |")
    text = "\n".join([*lines, "", f"{minutes:g} minutes, {counts}: {'PASS, flat' if flat else 'MISSED, it grows'}"])
    RESULTS.mkdir(exist_ok=True)
    stem = f"soak-{time.strftime('%Y%m%d-%H%M%S')}"
    (RESULTS / f"{stem}.json").write_text(json.dumps({"samples": samples, "counts": counts}))
    (RESULTS / f"{stem}.md").write_text(text + "\n")
    print(text)
    return 0 if flat else 1


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0

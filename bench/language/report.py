"""From measurements of gateways to tables and verdicts on the targets. Pure. Called by `bench.language.compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

OURS, DIRECT = "headgate", "direct"
LITELLM, MLFLOW = "litellm", "mlflow"


@dataclass(frozen=True, slots=True)
class Round:
    """One server under load from so many connections in one round, of whole answers or of streams."""

    server: str
    streamed: bool
    connections: int
    round: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_ms: float
    """Of its process tree, per request (stream)."""


@dataclass(frozen=True, slots=True)
class Paced:
    """One server with many slow streams."""

    server: str
    streams: int
    chunks_per_s: float
    p50_ms: float
    p99_ms: float
    worst_stall_ms: float
    broken: int
    cpu_us_per_chunk: float


@dataclass(frozen=True, slots=True)
class Line:
    """Medians of a server's rounds."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    errors: int

    @property
    def per_core(self) -> float:
        """Requests per second of one core that does nothing else."""
        return 1000.0 / self.cpu_ms if self.cpu_ms else 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target: what was asked, what was measured."""

    what: str
    asked: str
    measured: str
    met: bool

    def __str__(self) -> str:
        return f"| {self.what} | {self.asked} | {self.measured} | {'PASS' if self.met else 'MISSED'} |"


def line(rounds: Sequence[Round], server: str, streamed: bool, connections: int) -> Line | None:
    """None when it was not measured."""
    of = [one for one in rounds if (one.server, one.streamed, one.connections) == (server, streamed, connections)]
    if not of:
        return None
    middle = {
        name: median(getattr(one, name) for one in of) for name in ("requests_per_s", "p50_ms", "p99_ms", "cpu_ms")
    }
    return Line(**middle, errors=sum(one.errors for one in of))


def whole_table(rounds: Sequence[Round], titles: Mapping[str, str], connections: Sequence[int]) -> str:
    """Of answers that are not streamed."""
    head = "| gateway |" + "".join(
        f" c={c} req/s | added p50 / p99 ms | CPU ms | req/s per core |" for c in connections
    )
    rows = [head + " errors |", "| --- |" + " ---: | ---: | ---: | ---: |" * len(connections) + " ---: |"]
    for server, title in titles.items():
        cells, errors = [], 0
        for c in connections:
            one, base = line(rounds, server, False, c), line(rounds, DIRECT, False, c)
            if one is None or base is None:
                cells.append(" – | – | – | – |")
                continue
            errors += one.errors
            added = f"{one.p50_ms - base.p50_ms:.2f} / {one.p99_ms - base.p99_ms:.2f}"
            if server == DIRECT:
                added = f"({one.p50_ms:.2f} / {one.p99_ms:.2f})"
            cells.append(f" {one.requests_per_s:,.0f} | {added} | {one.cpu_ms:.3f} | {one.per_core:,.0f} |")
        rows.append(f"| {title} |{''.join(cells)} {errors} |")
    return "\n".join(rows)


def stream_table(
    rounds: Sequence[Round], paced: Sequence[Paced], titles: Mapping[str, str], shape: tuple[int, int]
) -> str:
    """`shape`: connections at full speed, and chunks of one of their streams."""
    connections, chunks = shape
    streams = paced[0].streams if paced else 0
    rows = [
        f"| gateway | chunks/s, {connections} connections | CPU µs per chunk | {streams} streams: chunks/s | delay p50 / p99 ms | longest stall ms "
        "| CPU µs per chunk | broken |",
        "| --- |" + " ---: |" * 7,
    ]
    for server, title in titles.items():
        one = line(rounds, server, True, connections)
        fast = f"{one.requests_per_s * chunks:,.0f} | {one.cpu_ms * 1e3 / chunks:.1f}" if one else "– | –"
        if one and one.errors:
            fast += f" ({one.errors} errors)"
        slow = next((each for each in paced if each.server == server), None)
        told = (
            f"{slow.chunks_per_s:,.0f} | {slow.p50_ms:.1f} / {slow.p99_ms:.1f} | {slow.worst_stall_ms:.0f} "
            f"| {slow.cpu_us_per_chunk:.1f} | {slow.broken}"
            if slow
            else "– | – | – | – | –"
        )
        rows.append(f"| {title} | {fast} | {told} |")
    return "\n".join(rows)


def verdicts(rounds: Sequence[Round], paced: Sequence[Paced], shape: tuple[int, int]) -> list[Verdict]:
    """On what was measured of the targets."""
    found = []
    ours = line(rounds, OURS, False, 32)
    for peer, times in ((LITELLM, 15.0), (MLFLOW, 2.5)):
        theirs = line(rounds, peer, False, 32)
        if ours and theirs and theirs.per_core:
            ratio = ours.per_core / theirs.per_core
            found.append(
                Verdict(f"req/s per core against {peer}, c=32", f"≥ {times:g}×", f"{ratio:.1f}×", ratio >= times)
            )
    one, base = line(rounds, OURS, False, 1), line(rounds, DIRECT, False, 1)
    if one and base:
        for name, most_ms in (("p50_ms", 0.4), ("p99_ms", 1.5)):
            added = getattr(one, name) - getattr(base, name)
            what = f"added {name.removesuffix('_ms')} at c=1"
            found.append(Verdict(what, f"≤ {most_ms} ms", f"{added:.2f} ms", added <= most_ms))
    fast = line(rounds, OURS, True, shape[0])
    if fast:
        chunks = fast.requests_per_s * shape[1]
        found.append(Verdict("SSE chunks/s", "≥ 60,000", f"{chunks:,.0f}", chunks >= 60_000))
    slow = next((each for each in paced if each.server == OURS), None)
    if slow:
        found.append(
            Verdict(
                f"longest stall, {slow.streams} streams at 20 tokens/s",
                "≤ 50 ms",
                f"{slow.worst_stall_ms:.0f} ms",
                slow.worst_stall_ms <= 50 and not slow.broken,
            )
        )
    return found

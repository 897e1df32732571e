"""From measurements to the ratio table and the verdicts on the targets. Pure functions, called by `bench.compare`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

OURS = "headgate"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One server under load from so many connections in one round."""

    model: str
    connections: int
    round: int
    server: str
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_ms_per_request: float


@dataclass(frozen=True, slots=True)
class Line:
    """The rounds of one server with one model at one concurrency: medians, and the best round's requests per second."""

    model: str
    connections: int
    server: str
    requests_per_s: float
    best_requests_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_ms_per_request: float


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked of us. With `peer`: at least `value` times its requests per second ("" is the best peer). Else: p99 of at most `value` ms."""

    model: str
    connections: int
    value: float
    peer: str | None = ""


TARGETS = (
    Target("light", 1, 4),
    Target("light", 8, 8),
    Target("light", 32, 12),
    Target("light", 32, 8, peer=None),
    Target("heavy", 1, 2),
    Target("heavy", 8, 3),
    Target("heavy", 32, 7),
    *(Target("wide", connections, 20, peer="mlflow") for connections in (1, 8)),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and what was measured."""

    target: Target
    measured: float

    @property
    def passed(self) -> bool:
        if self.target.peer is None:
            return self.measured <= self.target.value
        return self.measured >= self.target.value

    def __str__(self) -> str:
        target, mark = self.target, "PASS" if self.passed else "MISS"
        where = f"{target.model} c={target.connections}"
        if target.peer is None:
            return f"{mark}  {where}: p99 {self.measured:.1f} ms, at most {target.value:g} ms"
        return f"{mark}  {where}: {self.measured:.1f}x {target.peer or 'the best peer'}, at least {target.value:g}x"


def lines(measurements: Iterable[Measurement]) -> list[Line]:
    """One line per model, concurrency and server, in the order they were first measured."""
    groups: dict[tuple[str, int, str], list[Measurement]] = {}
    for one in measurements:
        groups.setdefault((one.model, one.connections, one.server), []).append(one)
    return [_line(rounds) for rounds in groups.values()]


def _line(rounds: Sequence[Measurement]) -> Line:
    first = rounds[0]
    return Line(
        model=first.model,
        connections=first.connections,
        server=first.server,
        requests_per_s=median(one.requests_per_s for one in rounds),
        best_requests_per_s=max(one.requests_per_s for one in rounds),
        p50_ms=median(one.p50_ms for one in rounds),
        p99_ms=median(one.p99_ms for one in rounds),
        errors=sum(one.errors for one in rounds),
        cpu_ms_per_request=median(one.cpu_ms_per_request for one in rounds),
    )


def ratio(table: Iterable[Line], target: Target) -> float | None:
    """Our median requests per second over the peer's (or the best peer's). None when either was not measured, or no peer answered at all."""
    here = {line.server: line for line in table if (line.model, line.connections) == (target.model, target.connections)}
    peers = [line for name, line in here.items() if name != OURS and target.peer in ("", name)]
    best = max((line.requests_per_s for line in peers), default=0.0)
    return here[OURS].requests_per_s / best if OURS in here and best else None


def verdicts(table: Sequence[Line]) -> list[Verdict]:
    """On each target that could be judged from what was measured."""
    found = []
    for target in TARGETS:
        if target.peer is not None:
            measured = ratio(table, target)
        else:
            at = (target.model, target.connections, OURS)
            measured = next((line.p99_ms for line in table if (line.model, line.connections, line.server) == at), None)
        if measured is not None:
            found.append(Verdict(target, measured))
    return found


def markdown(table: Sequence[Line], titles: dict[str, str]) -> str:
    """The tables, one per model, each followed by the ratios. `titles`: server -> what to call it."""
    parts = []
    for model in dict.fromkeys(line.model for line in table):
        of_model = [line for line in table if line.model == model]
        columns = list(dict.fromkeys(line.connections for line in of_model))
        head = ["server"]
        for c in columns:
            head += [f"c={c} req/s (best)", "p50 / p99 ms"]
        head += [f"CPU µs at c={', '.join(map(str, columns))}", "errors"]
        rows = [_row(titles.get(name, name), of_model, name) for name in dict.fromkeys(x.server for x in of_model)]
        ours: list[str] = ["**ours / best peer**"]
        for c in columns:
            over = ratio(of_model, Target(model, c, 0))
            ours += [f"**{over:.1f}×**" if over else "", ""]
        rows.append([*ours, "", ""])
        ruler = ["---", *("---:" for _ in head[1:])]
        parts.append(f"### {model}\n\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ruler, *rows)))
    return "\n\n".join(parts) + "\n"


def _row(title: str, of_model: Sequence[Line], server: str) -> list[str]:
    cells, mine = [title], [line for line in of_model if line.server == server]
    for line in mine:
        cells += [
            f"{line.requests_per_s:,.0f} ({line.best_requests_per_s:,.0f})",
            f"{line.p50_ms:.2f} / {line.p99_ms:.2f}",
        ]
    cpu = ", ".join(f"{line.cpu_ms_per_request * 1e3:,.0f}" for line in mine)
    return [*cells, cpu, str(sum(line.errors for line in mine))]

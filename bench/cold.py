"""Cold start: requests to sleeping endpoints, and from create to READY, on a house of its own with one scikit-learn model.

    python -m bench.cold [--wakes 40] [--restarts 3] [--json FILE]

Run by `make bench-cold`; takes two to three minutes. Over HTTP, as a client sees it. Phases are those of the header `x-headgate-wake`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from bench.environments import log_of
from bench.house import House
from bench.memory import by_role
from bench.models import Work, trained
from bench.scale import restart, wait_until

MODEL = "main.bench.light"
RESULTS = Path(__file__).parent / "results"
ENDPOINTS, IDLE_S, CREATES, ATTEMPTS = 8, 1.0, 9, 10
LOOK_EVERY_S = 0.01
READY_DEADLINE_S = 300.0
REST_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table. `limits_ms`: the targets for p50 and p99, where there are."""

    what: str
    times_ms: list[float]
    limits_ms: tuple[float | None, float | None] = (None, None)

    @property
    def p50_ms(self) -> float:
        return median(self.times_ms)

    @property
    def p99_ms(self) -> float:
        return percentile(self.times_ms, 99)

    @property
    def verdict(self) -> str:
        """PASS or MISS; empty without a target."""
        measured = ((self.p50_ms, self.limits_ms[0]), (self.p99_ms, self.limits_ms[1]))
        asked = [value <= limit for value, limit in measured if limit is not None]
        return "" if not asked else "PASS" if all(asked) else "MISS"

    def __str__(self) -> str:
        target = " / ".join("–" if limit is None else f"{limit:,.0f}" for limit in self.limits_ms)
        numbers = " | ".join(f"{value:,.0f}" for value in (min(self.times_ms), self.p50_ms, self.p99_ms))
        return f"| {self.what} | {len(self.times_ms)} | {numbers} | {target} | {self.verdict} |"


def percentile(values: Sequence[float], per_cent: float) -> float:
    """The smallest value that at least so many per cent do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * per_cent // 100) - 1)]


def phases(header: str) -> dict[str, float]:
    """The header's milliseconds by phase."""
    return {phase: float(value) for phase, _, value in (part.partition("=") for part in header.split(";")) if value}


class Client:
    """Asks the house, each time over a connection of its own: one to a house that was restarted would be broken."""

    def __init__(self, house: House) -> None:
        self._place = urlsplit(house.host).netloc
        self._headers = {"authorization": f"Bearer {house.token}", "content-type": "application/json"}

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[Any, Mapping[str, str]]:
        """The answer's JSON and headers. Raises RuntimeError when it is not a 200."""
        connection = http.client.HTTPConnection(self._place, timeout=READY_DEADLINE_S)
        try:
            connection.request(method, path, body, self._headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status}: {text[:500]!r}")
        return json.loads(text or b"{}"), {name.lower(): value for name, value in answer.getheaders()}

    def predict(self, endpoint: str, work: Work) -> tuple[float, dict[str, float]]:
        """Milliseconds one prediction took, and the phases of its wake; none when somebody was awake."""
        began = time.perf_counter()
        answer, headers = self.ask("POST", f"/serving-endpoints/{endpoint}/invocations", work.split)
        took_ms = (time.perf_counter() - began) * 1e3
        if answer["predictions"] != work.answer:
            raise RuntimeError(f"{endpoint} answered {answer!r}")
        return took_ms, phases(headers.get("x-headgate-wake", ""))

    def create(self, name: str) -> float:
        """An endpoint that may sleep; milliseconds until it is READY and nothing is in progress."""
        entity = {"entity_name": MODEL, "entity_version": "1", "workload_size": "Small", "scale_to_zero_enabled": True}
        asked = json.dumps({"name": name, "config": {"served_entities": [entity]}}).encode()
        began = time.perf_counter()
        self.ask("POST", "/api/2.0/serving-endpoints", asked)
        while time.perf_counter() - began < READY_DEADLINE_S:
            state = self.ask("GET", f"/api/2.0/serving-endpoints/{name}")[0]["state"]
            if (state["ready"], state["config_update"]) == ("READY", "NOT_UPDATING"):
                return (time.perf_counter() - began) * 1e3
            if state["config_update"] == "UPDATE_FAILED":
                break
            time.sleep(LOOK_EVERY_S)
        raise RuntimeError(f"endpoint {name} is {state}")

    def sleeps(self, name: str) -> bool:
        found, _ = self.ask("GET", f"/api/2.0/serving-endpoints/{name}")
        state = found["config"]["served_entities"][0]["state"]["deployment_state_message"]
        return bool(state == "Scaled to zero")


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.cold", description=__doc__)
    parser.add_argument("--wakes", type=int, default=40)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where the numbers go; default: a new file in bench/results")
    given = parser.parse_args()
    work = Work.read(trained(), "light")
    began = time.monotonic()
    rows: list[Row] = []

    def add(row: Row) -> None:
        print(row, file=sys.stderr, flush=True)
        rows.append(row)

    with House(log_of("cold"), HEADGATE_SCALING_IDLE_S=str(IDLE_S), HEADGATE_SCALING_DOWN_WINDOW_S="1") as house:
        house.register(work.folder, MODEL)
        client = Client(house)
        names = [f"cold-{number}" for number in range(ENDPOINTS)]
        add(Row("create → READY, environment built from warm wheels", [client.create(names[0])], (10_000, None)))
        rest(house)
        created = [client.create(name) for name in [*names[1:], *(f"more-{n}" for n in range(CREATES - ENDPOINTS + 1))]]
        add(Row("create → READY, environment cached, zygote warm", created, (2000, None)))
        rest(house)
        woken = [wake(client, names[number % ENDPOINTS], work) for number in range(given.wakes)]
        add(Row("request to a sleeping endpoint, zygote warm", [took for took, _ in woken], (150, 400)))
        cold = [cold_wake(house, client, names[0], work) for _ in range(given.restarts)]
        add(Row("request to a sleeping endpoint, zygote cold", [took for took, _ in cold], (3000, None)))
        fresh = [cold_create(house, client, f"fresh-{number}") for number in range(given.restarts)]
        add(Row("create → READY, environment cached, zygote cold", fresh, (2000, None)))
    tell(rows, {"warm": [told for _, told in woken], "cold": [told for _, told in cold]})
    write(given.json, rows, {"warm": woken, "cold": cold})
    print(f"took {time.monotonic() - began:.0f} s", file=sys.stderr)


# -- what is measured -------------------------------------------------------------------------------------------------


def rest(house: House) -> None:
    """Until nothing is built, compiled or started in the background any more, or the machine is too busy for that."""
    deadline = time.monotonic() + REST_DEADLINE_S
    while by_role(house.process.pids).of("other").processes:
        if time.monotonic() > deadline:
            print("background work goes on: the numbers that follow are too high", file=sys.stderr, flush=True)
            return
        time.sleep(0.2)


def wake(client: Client, name: str, work: Work) -> tuple[float, dict[str, float]]:
    """One request to that endpoint when it sleeps. Raises RuntimeError when it never does."""
    for _ in range(ATTEMPTS):
        wait_until(lambda: client.sleeps(name), f"{name} sleeps")
        took_ms, told = client.predict(name, work)
        if told:
            return took_ms, told
        # Its last replica had left the table, but was still there for this request.
    raise RuntimeError(f"{name} does not sleep")


def cold_wake(house: House, client: Client, name: str, work: Work) -> tuple[float, dict[str, float]]:
    """The same, as the first thing a new house is asked."""
    sleep_all(house)
    restart(house)
    return wake(client, name, work)


def cold_create(house: House, client: Client, name: str) -> float:
    """Milliseconds to READY of an endpoint that is the first thing a new house is asked for."""
    sleep_all(house)
    restart(house)
    return client.create(name)


def sleep_all(house: House) -> None:
    wait_until(lambda: not by_role(house.process.pids).of("replica").processes, "all replicas have ended")


# -- what is told -----------------------------------------------------------------------------------------------------


def tell(rows: Sequence[Row], told: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Prints the tables."""
    print(
        "| milliseconds | n | least | p50 | p99 | target p50 / p99 | |\n| --- | ---: | ---: | ---: | ---: | --- | --- |"
    )
    print("\n".join(map(str, rows)))
    names = list(next(phase for phases in told.values() for phase in phases))
    print(f"\n| phase of a wake, median ms | {' | '.join(names)} |\n| --- |{' ---: |' * len(names)}")
    for kind, found in told.items():
        print(f"| zygote {kind} | {' | '.join(f'{median(one[name] for one in found):,.0f}' for name in names)} |")


def write(
    path: Path | None, rows: Sequence[Row], wakes: Mapping[str, Sequence[tuple[float, Mapping[str, float]]]]
) -> None:
    """The numbers as JSON."""
    RESULTS.mkdir(exist_ok=True)
    path = path or RESULTS / f"cold-{datetime.now():%Y%m%d-%H%M%S}.json"
    measured = {
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "rows": [{"what": row.what, "times_ms": row.times_ms, "verdict": row.verdict} for row in rows],
        "wakes": {
            kind: [{"took_ms": took, "phases_ms": told} for took, told in found] for kind, found in wakes.items()
        },
    }
    path.write_text(json.dumps(measured, indent=1) + "\n")
    print(f"\nnumbers: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()

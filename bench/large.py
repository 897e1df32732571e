"""Large bodies: a 4,096-row batch and 10 MB through our server, against the same prediction inside a process with one JSON decode and encode.

    python -m bench.large [--rounds 15]

Both take turns, so that a machine that drifts, drifts for both. Part of `make bench`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from bench.environments import GUESTS, log_of
from bench.house import House
from bench.models import trained

LIMIT = 1.3
BATCH_ROWS, LARGE_BYTES = 4096, 10_000_000


@dataclass(frozen=True, slots=True)
class Case:
    """A body for one of the trained models."""

    name: str
    model: str
    columns: int
    rows: int

    def body(self) -> bytes:
        rng = random.Random(0)
        names = [f"f{i}" for i in range(self.columns)]
        rows = [[rng.gauss(0, 1) for _ in names] for _ in range(self.rows)]
        return json.dumps({"dataframe_split": {"columns": names, "data": rows}}).encode()


CASES = (
    Case("4,096 rows of 4 columns, linear", "light", 4, BATCH_ROWS),
    Case("4,096 rows of 20 columns, forest", "heavy", 20, BATCH_ROWS),
    Case("10 MB, 1,000 columns, linear", "wide", 1000, 476),
)


class Client:
    """One connection to an endpoint."""

    def __init__(self, house: House, endpoint: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(house.host).netloc, timeout=120)
        self._path = f"/serving-endpoints/{endpoint}/invocations"
        self._headers = {"authorization": f"Bearer {house.token}", "content-type": "application/json"}

    def ask(self, body: bytes) -> tuple[float, bytes]:
        """Seconds until the whole answer was here, and the answer. Raises RuntimeError when it is not a 200."""
        began = time.perf_counter()
        self._connection.request("POST", self._path, body, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {text[:500]!r}")
        return time.perf_counter() - began, text


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.large", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is stopped then, too
    models = trained()
    print(
        "| body | MB | in process, ms | through the server, ms | ratio | limit |\n| --- | ---: | ---: | ---: | ---: | ---: |"
    )
    with House(log_of("large")) as house:
        for case in CASES:
            house.register(models / case.model, f"main.bench.{case.model}")
            house.create_endpoint(case.model, f"main.bench.{case.model}")
            house.process.wait_until_idle()
            print(line(case, house, models / case.model, rounds), flush=True)


def line(case: Case, house: House, folder: Path, rounds: int) -> str:
    """The case's line of the table. Raises RuntimeError when both ways differ in an answer."""
    body, client = case.body(), Client(house, case.model)
    path = house.folder / f"{case.model}-body.json"
    path.write_bytes(body)
    command = [str(house.model_python()), "-W", "ignore", str(GUESTS / "in_process.py")]
    with subprocess.Popen(
        [*command, str(folder), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as beside:
        assert beside.stdin and beside.stdout
        expected, got = json.loads(beside.stdout.readline()), json.loads(client.ask(body)[1])["predictions"]
        if len(got) != len(expected) or not all(map(math.isclose, got, expected)):
            raise RuntimeError(f"{case.name}: the server's answer is not the model's")
        inside, through = [], []
        for _ in range(rounds):
            beside.stdin.write("again\n")
            beside.stdin.flush()
            inside.append(float(beside.stdout.readline()))
            through.append(client.ask(body)[0])
        beside.stdin.close()
    ratio = median(through) / median(inside)
    verdict = "PASS" if ratio <= LIMIT else "MISS"
    times = f"{median(inside) * 1e3:.1f} | {median(through) * 1e3:.1f}"
    return f"| {case.name} | {len(body) / 1e6:.2f} | {times} | {ratio:.2f}× | {LIMIT}× {verdict} |"


if __name__ == "__main__":
    main()

"""Load from wrk: one thread, keep-alive, POST of one body, closed loop. Called by the bench scripts."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass

from bench.processes import Launch

_SCRIPT = """
wrk.method = "POST"
wrk.body = %(body)s
%(headers)s
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('\\nRESULT{"requests":%%d,"duration_us":%%d,"errors":%%d,"p50_us":%%.1f,"p99_us":%%.1f,"max_us":%%.1f}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw. Its loop is closed; it adds to the latencies what requests would have seen that a stall kept from being sent."""

    requests: int
    requests_per_s: float
    errors: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def check_installed() -> None:
    """Raises SystemExit with what to do when there is no wrk."""
    if shutil.which("wrk") is None:
        raise SystemExit("the load comes from wrk, which is not installed: apt-get install wrk")


def run(launch: Launch, connections: int, seconds: int) -> Load:
    """Load for so many seconds. Raises RuntimeError when wrk fails; failed requests are counted in `errors`."""
    headers = {"content-type": "application/json", **launch.headers}
    lines = [f"wrk.headers[ {_quoted(name)} ] = {_quoted(value)}" for name, value in headers.items()]
    script = _SCRIPT % {"body": _quoted(launch.body.decode()), "headers": "\n".join(lines)}
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", file.name, launch.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 600, check=False)
    found = re.search(r"RESULT(\{.*\})", done.stdout)
    if not found:
        raise RuntimeError(f"wrk: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    seen = json.loads(found[1])
    return Load(
        requests=seen["requests"],
        requests_per_s=seen["requests"] / (seen["duration_us"] / 1e6),
        errors=seen["errors"],
        p50_ms=seen["p50_us"] / 1e3,
        p99_ms=seen["p99_us"] / 1e3,
        max_ms=seen["max_us"] / 1e3,
    )


def _quoted(text: str) -> str:
    """A Lua long string: nothing in it is special but its own end."""
    return f"[==[{text}]==]"

"""`make bench`: requests per second and latency of one scikit-learn endpoint under steady load, on this machine.

Starts a server of its own. The load comes from threads of this process, each with one connection, so on a small machine client and
server share the cores: the numbers compare versions of Headgate, not machines.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from examples.quickstart import server

MODEL, ENDPOINT = "main.default.bench", "bench"
BODY = json.dumps({"dataframe_split": {"columns": ["a", "b", "c"], "data": [[0.1, 0.2, 0.3]]}})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=4)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headgate-bench-", ignore_cleanup_errors=True) as folder:
        with server(Path(folder)) as (host, token):
            deploy(Path(folder), host, token)
            load(host, token, 1.0, wanted.connections)  # warms up
            took_s = load(host, token, wanted.seconds, wanted.connections)
    print_result(took_s, wanted.seconds, wanted.connections)


def deploy(folder: Path, host: str, token: str) -> None:
    """Trains, registers and serves a small model."""
    os.environ.update(DATABRICKS_HOST=host, DATABRICKS_TOKEN=token, MLFLOW_DISABLE_TELEMETRY="true")
    os.chdir(folder)
    import mlflow
    import pandas
    import sklearn
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.serving import EndpointCoreConfigInput, ServedEntityInput
    from sklearn.linear_model import LogisticRegression

    mlflow.set_registry_uri("databricks-uc")
    rows = pandas.DataFrame([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]], columns=["a", "b", "c"])
    mlflow.sklearn.log_model(
        LogisticRegression().fit(rows, [0, 1]),
        name="model",
        input_example=rows,
        registered_model_name=MODEL,
        pip_requirements=[f"mlflow=={mlflow.__version__}", f"scikit-learn=={sklearn.__version__}"],
    )
    entity = ServedEntityInput(
        entity_name=MODEL, entity_version="1", workload_size="Small", scale_to_zero_enabled=False
    )
    config = EndpointCoreConfigInput(name=ENDPOINT, served_entities=[entity])
    WorkspaceClient().serving_endpoints.create_and_wait(name=ENDPOINT, config=config)


def load(host: str, token: str, seconds: float, connections: int) -> list[float]:
    """Seconds each request took, over all connections."""
    took_s: list[float] = []
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=ask, args=(host, token, until, took_s)) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took_s


def ask(host: str, token: str, until: float, took_s: list[float]) -> None:
    """One connection, one request after the other. Raises RuntimeError at the first that fails."""
    connection = http.client.HTTPConnection(urlsplit(host).netloc, timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    while time.monotonic() < until:
        began = time.perf_counter()
        connection.request("POST", f"/serving-endpoints/{ENDPOINT}/invocations", BODY, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {text[:300]!r}")
        took_s.append(time.perf_counter() - began)
    connection.close()


def print_result(took_s: list[float], seconds: float, connections: int) -> None:
    quantiles = statistics.quantiles(took_s, n=1000)
    named = ", ".join(f"p{name} {quantiles[at] * 1000:.2f} ms" for name, at in (("50", 499), ("90", 899), ("99", 989)))
    print(f"\n{len(took_s) / seconds:.0f} requests/s over {connections} connections; {named}")


if __name__ == "__main__":
    main()

"""From a scikit-learn model to a serving endpoint, with MLflow and the Databricks SDK as they are.

Needs a running server and DATABRICKS_HOST and DATABRICKS_TOKEN naming it. `make quickstart` starts one and runs this.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
import sklearn
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.serving import EndpointCoreConfigInput, Route, ServedEntityInput, TrafficConfig
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

MODEL = "main.default.iris"
ENDPOINT = "iris"
FLOWERS, SPECIES = load_iris(return_X_y=True, as_frame=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Prints what is done and how long it took."""
    began = time.monotonic()
    print(f"\n● {title}", flush=True)
    yield
    print(f"  {time.monotonic() - began:.2f} s", flush=True)


def train_and_register(smoothness: float) -> str:
    """Logs a model and registers it in one call. Returns its version."""
    model = LogisticRegression(C=smoothness, max_iter=1000).fit(FLOWERS, SPECIES)
    with mlflow.start_run():
        logged = mlflow.sklearn.log_model(
            model,
            name="model",
            input_example=FLOWERS.head(2),
            registered_model_name=MODEL,
            pip_requirements=[f"mlflow=={mlflow.__version__}", f"scikit-learn=={sklearn.__version__}"],
        )
    print(f"  {MODEL} version {logged.registered_model_version}")
    return str(logged.registered_model_version)


def served(version: str) -> ServedEntityInput:
    """One version of the model, as part of an endpoint's config."""
    return ServedEntityInput(
        entity_name=MODEL, entity_version=version, workload_size="Small", scale_to_zero_enabled=True
    )


def main() -> None:
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    mlflow.set_registry_uri("databricks-uc")
    endpoints = WorkspaceClient().serving_endpoints

    with step("train a model and register it with MLflow"):
        mlflow.set_experiment("quickstart")
        first = train_and_register(1.0)

    with step("create an endpoint: builds the model's environment, starts it, waits until it serves"):
        config = EndpointCoreConfigInput(name=ENDPOINT, served_entities=[served(first)])
        made = endpoints.create_and_wait(name=ENDPOINT, config=config)
        print(f"  {made.name} is {made.state.ready.value}")

    with step("query it"):
        answer = endpoints.query(ENDPOINT, dataframe_records=FLOWERS.iloc[[0, 60, 120]].to_dict("records"))
        print(f"  {answer.served_model_name} predicts {answer.predictions}")

    with step("train and register a second version"):
        second = train_and_register(0.1)

    with step("serve both: 80 % of the requests to the first, 20 % to the second"):
        names = [f"iris-{first}", f"iris-{second}"]
        routes = [Route(served_model_name=n, traffic_percentage=p) for n, p in zip(names, (80, 20), strict=True)]
        endpoints.update_config_and_wait(
            ENDPOINT, served_entities=[served(first), served(second)], traffic_config=TrafficConfig(routes=routes)
        )
        rows = FLOWERS.head(1).to_dict("records")
        answered = Counter(endpoints.query(ENDPOINT, dataframe_records=rows).served_model_name for _ in range(100))
        print(f"  100 requests were answered by {dict(sorted(answered.items()))}")

    with step("read its logs and its metrics"):
        build = endpoints.build_logs(ENDPOINT, names[0]).logs.splitlines()
        log = endpoints.logs(ENDPOINT, names[0]).logs.splitlines()
        metrics = endpoints.export_metrics(ENDPOINT).contents.read().decode().splitlines()
        counts = [line for line in metrics if line.startswith("request_count")]
        print(
            f"  {len(build)} lines of how it was built, {len(log)} of what it wrote, {len(metrics)} of metrics, for example"
        )
        print("\n".join(f"    {line[:110]}" for line in (build[-1], *counts[:2])))

    with step("delete it"):
        endpoints.delete(ENDPOINT)


if __name__ == "__main__":
    main()

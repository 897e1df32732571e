"""Runs in an environment of its own with MLflow: what each caller of the access table meets. Prints JSON.

Reads CALLERS, JSON of caller -> token, and THINGS, JSON of word -> thing (world.py). One child per caller, since MLflow keeps
what it read of the environment; it is imported once.
"""

import json
import os

import mlflow
from mlflow.deployments import get_deploy_client
from mlflow.exceptions import MlflowException
from requests.exceptions import HTTPError

THINGS = json.loads(os.environ["THINGS"])
ENDPOINT, MODEL, EXPERIMENT = THINGS["endpoint"], THINGS["model"], THINGS["experiment_id"]


def client():
    return mlflow.MlflowClient("databricks", "databricks-uc")


CALLS = {
    "get endpoint": lambda: get_deploy_client("databricks").get_endpoint(ENDPOINT)["name"] == ENDPOINT,
    "query": lambda: get_deploy_client("databricks").predict(
        endpoint=ENDPOINT, inputs={"dataframe_records": [{"a": 1.0}]}
    )["predictions"],
    "get model": lambda: client().get_registered_model(MODEL).name == MODEL,
    "get version": lambda: client().get_model_version(MODEL, "1").version,
    "set alias": lambda: client().set_registered_model_alias(MODEL, "Walk", "1"),
    "get experiment": lambda: client().get_experiment(EXPERIMENT).experiment_id == EXPERIMENT,
    "log a run": lambda: bool(client().create_run(EXPERIMENT).info.run_id),
}


def outcome(call):
    try:
        return call()
    except MlflowException as error:
        return error.error_code
    except HTTPError as error:
        return error.response.json()["error_code"]


def as_caller(token):
    """The outcomes, from a child process."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.environ["DATABRICKS_TOKEN"] = token
        found = json.dumps({name: outcome(call) for name, call in CALLS.items()})
        with os.fdopen(writing, "w") as pipe:
            pipe.write(found)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        return json.loads(pipe.read())


print(json.dumps({caller: as_caller(token) for caller, token in json.loads(os.environ["CALLERS"]).items()}))

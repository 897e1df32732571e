"""Runs with only databricks-sdk, or with MLflow beside it: an endpoint follows @Champion, moved by whichever client is there.

Works on 0.59.0 and on the newest. Prints what it did as JSON.
"""

import json
import sys
import time
from datetime import timedelta

from databricks.sdk import WorkspaceClient, errors
from databricks.sdk.service import serving

try:
    import mlflow
except ImportError:
    mlflow = None

ERRORS = (errors.DatabricksError, mlflow.exceptions.MlflowException) if mlflow else errors.DatabricksError
MODEL, NAME = "main.default.versioned", f"follow-{'mlflow' if mlflow else 'sdk'}"
ALIAS = "Picked-by-" + ("mlflow" if mlflow else "sdk")
DONE = []
w = WorkspaceClient()
api = w.serving_endpoints


def move(version):
    if mlflow:
        mlflow.MlflowClient().set_registered_model_alias(MODEL, ALIAS, version)
    else:
        w.registered_models.set_alias(MODEL, ALIAS, int(version))


def remove():
    if mlflow:
        mlflow.MlflowClient().delete_registered_model_alias(MODEL, ALIAS)
    else:
        w.registered_models.delete_alias(MODEL, ALIAS)


def until(condition, what):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = api.get(NAME)
        if condition(found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"never: {what}: {found.as_dict()}")


def serves(version, update="NOT_UPDATING"):
    return until(
        lambda e: e.config.served_entities[0].entity_version == version and e.state.config_update.value == update,
        f"version {version} serves, {update}",
    )


def answer():
    return api.query(NAME, dataframe_records=[{"a": 1.0, "b": 0.0, "c": 0.0}]).predictions


def refused(call):
    try:
        call()
    except ERRORS as error:
        return str(error)
    raise AssertionError("nothing was refused")


move("1")
entity = serving.ServedEntityInput(
    entity_name=MODEL, entity_version=f"@{ALIAS}", workload_size="Small", scale_to_zero_enabled=False
)
name = f"versioned-{ALIAS}"
route = serving.Route(served_model_name=name, traffic_percentage=100)
try:
    config = serving.EndpointCoreConfigInput(
        served_entities=[entity], traffic_config=serving.TrafficConfig(routes=[route])
    )
except TypeError:  # newer SDKs want a name
    config = serving.EndpointCoreConfigInput(
        name=NAME, served_entities=[entity], traffic_config=serving.TrafficConfig(routes=[route])
    )
made = api.create_and_wait(name=NAME, config=config, timeout=timedelta(minutes=5))
assert (made.config.served_entities[0].name, made.config.served_entities[0].entity_version) == (name, "1"), made
assert answer() == ["one"]
DONE.append("create")

move("2")
serves("2")
assert answer() == ["two"]
DONE.append("there")

told = refused(lambda: w.model_versions.delete(MODEL, 2))
assert f"endpoint {NAME}" in told and "version 2 cannot be deleted" in told, told
told = refused(lambda: w.registered_models.delete(MODEL))
assert NAME in told, told
if mlflow:
    told = refused(lambda: mlflow.MlflowClient().delete_model_version(MODEL, "2"))
    assert NAME in told and "RESOURCE_CONFLICT" in told, told
DONE.append("delete refused")

move("4")  # which does not load
failed = serves("2", "UPDATE_FAILED")
pending = failed.pending_config.served_entities[0]
assert "another planet" in pending.state.deployment_state_message, pending
assert answer() == ["two"]
DONE.append("failed")

move("1")
back = serves("1")
assert back.pending_config is None and answer() == ["one"]
DONE.append("back")

seen = w.api_client.do("GET", f"/api/2.0/serving-endpoints/{NAME}")
shown = seen["config"]["served_entities"][0]
assert (shown["entity_version"], shown["followed_alias"]) == ("1", ALIAS), shown
sent = w.api_client.do("PUT", f"/api/2.0/serving-endpoints/{NAME}/config", body=seen["config"])
new = sent.get("pending_config") or sent["config"]  # it needs no new process, so it may be over
assert (
    new["served_entities"][0]["followed_alias"] == ALIAS
    and new["config_version"] == seen["config"]["config_version"] + 1
), sent
serves("1")
pinned = {**seen["config"], "served_models": None, "served_entities": [{**shown, "entity_version": "3"}]}
told = refused(lambda: w.api_client.do("PUT", f"/api/2.0/serving-endpoints/{NAME}/config", body=pinned))
assert "Leave out followed_alias" in told, told
DONE.append("answers are accepted back")

remove()
orphan = until(lambda e: "names no version" in str(e.config.served_entities[0].state), "the alias is gone")
assert orphan.state.config_update.value == "NOT_UPDATING" and answer() == ["one"]
api.delete(NAME)
DONE.append("alias deleted")
json.dump({"done": DONE}, sys.stdout)

"""Runs in an environment of its own with MLflow: its deployments client and its registry, against a running house."""

import json

import mlflow
from mlflow import MlflowClient
from mlflow.deployments import get_deploy_client
from mlflow.exceptions import MlflowException

NAME = "mlflow-" + mlflow.__version__.replace(".", "-")
DONE = []
MODEL = "main.default.versioned"
ENTITY = {"entity_name": MODEL, "entity_version": "1", "workload_size": "Small", "scale_to_zero_enabled": True}


def wait(client):
    import time

    deadline = time.monotonic() + 300
    while True:
        state = client.get_endpoint(NAME)["state"]
        if state["config_update"] != "IN_PROGRESS":
            return state
        assert time.monotonic() < deadline, state
        time.sleep(0.1)


client = get_deploy_client("databricks")
client.create_endpoint(name=NAME, config={"name": NAME, "config": {"served_entities": [ENTITY]}})
assert wait(client)["ready"] == "READY"
DONE.append("create_endpoint")
assert NAME in [endpoint["name"] for endpoint in client.list_endpoints()]
DONE.append("list_endpoints")
rows = {"dataframe_records": [{"a": 1.0, "b": 2.0, "c": 3.0}]}
assert client.predict(endpoint=NAME, inputs=rows)["predictions"] == ["one"]
DONE.append("predict")
try:
    client.predict(endpoint=NAME, inputs={"dataframe_records": [{"z": 1}]})
    raise AssertionError("a bad input must raise")
except Exception as error:
    assert "400" in str(error) or isinstance(error, MlflowException), error
DONE.append("predict error")
client.update_endpoint_config(endpoint=NAME, config={"served_entities": [{**ENTITY, "entity_version": "2"}]})
assert wait(client)["config_update"] == "NOT_UPDATING"
assert client.predict(endpoint=NAME, inputs=rows)["predictions"] == ["two"]
DONE.append("update_endpoint_config")
client.update_endpoint_tags(endpoint=NAME, config={"add_tags": [{"key": "a", "value": "b"}]})
DONE.append("update_endpoint_tags")
client.delete_endpoint(NAME)
DONE.append("delete_endpoint")

streaming = NAME + "-stream"
streamed_entity = {**ENTITY, "entity_name": "main.default.streaming"}
client.create_endpoint(name=streaming, config={"name": streaming, "config": {"served_entities": [streamed_entity]}})
NAME = streaming
assert wait(client)["ready"] == "READY"
asked = {"dataframe_records": [{"prompt": "to be"}], "stream": True}
assert list(client.predict_stream(endpoint=streaming, inputs=asked)) == [{"word": "to"}, {"word": "be"}]
DONE.append("predict_stream")
client.delete_endpoint(streaming)

registry = MlflowClient(registry_uri="databricks-uc")
assert registry.get_model_version(MODEL, "1").status == "READY"
registry.set_registered_model_alias(MODEL, "Champion", "2")
assert str(registry.get_model_version_by_alias(MODEL, "Champion").version) == "2"
registry.set_model_version_tag(MODEL, "1", "stage", "old")
assert registry.get_model_version(MODEL, "1").tags["stage"] == "old"
assert {str(v.version) for v in registry.search_model_versions(f"name='{MODEL}'")} >= {"1", "2"}
mlflow.set_registry_uri("databricks-uc")
local = mlflow.artifacts.download_artifacts(f"models:/{MODEL}@Champion")
with open(local.rstrip("/") + "/MLmodel") as file:
    assert "python_function" in file.read()
DONE.append("registry")
print(json.dumps({"version": mlflow.__version__, "done": DONE}))

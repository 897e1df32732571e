"""Runs in an environment of its own with only databricks-sdk: every operation for custom models, against a running house.

Works on 0.59.0 and on the newest; what the old one lacks is called through its HTTP client. Prints what it did as JSON.
"""

import json
import time
from datetime import timedelta

from databricks.sdk import WorkspaceClient, errors
from databricks.sdk.service import serving
from databricks.sdk.version import __version__

NAME = "sdk-" + __version__.replace(".", "-")
DONE = []


def step(what):
    DONE.append(what)


def must_raise(kind, call):
    try:
        call()
    except kind as error:
        assert str(error), "an error has a message"
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


w = WorkspaceClient()
assert w.current_user.me().user_name
step("me")
assert int(w.get_workspace_id()) > 0
step("workspace_id")


def input_config(*entities, **more):
    try:
        return serving.EndpointCoreConfigInput(served_entities=list(entities), **more)
    except TypeError:  # newer SDKs want a name
        return serving.EndpointCoreConfigInput(name=NAME, served_entities=list(entities), **more)


def versioned(version):
    return serving.ServedEntityInput(
        entity_name="main.default.versioned", entity_version=version, workload_size="Small", scale_to_zero_enabled=True
    )


minutes = timedelta(minutes=5)
api = w.serving_endpoints
created = api.create_and_wait(
    name=NAME, config=input_config(versioned("1")), tags=[serving.EndpointTag(key="team", value="a")], timeout=minutes
)
assert created.state.ready == serving.EndpointStateReady.READY, created.state
entity = created.config.served_entities[0]
assert (entity.name, entity.workload_size, entity.scale_to_zero_enabled) == ("versioned-1", "Small", True), entity
route = created.config.traffic_config.routes[0]
assert (route.served_model_name, route.traffic_percentage) == ("versioned-1", 100)
assert created.config.served_models[0].model_version == "1"
step("create_and_wait")

must_raise(errors.ResourceConflict, lambda: api.create(name=NAME, config=input_config(versioned("1"))))
must_raise(errors.NotFound, lambda: api.get("nobody-knows-me"))
must_raise(errors.BadRequest, lambda: api.create(name="no spaces allowed", config=input_config(versioned("1"))))
unknown = serving.ServedEntityInput(entity_name="main.default.unknown", entity_version="1", scale_to_zero_enabled=True)
must_raise(errors.NotFound, lambda: api.create(name=NAME + "-x", config=input_config(unknown)))
step("errors")

assert NAME in [e.name for e in api.list()]
step("list")
got = api.get(NAME)
assert got.id and got.creator and got.permission_level and got.config and not got.pending_config
step("get")

answer = api.query(NAME, dataframe_split=serving.DataframeSplitInput(columns=["a", "b", "c"], data=[[1, 2, 3]]))
assert answer.predictions == ["one"] and answer.served_model_name == "versioned-1", answer
answer = api.query(NAME, dataframe_records=[{"a": 1.0, "b": 2.0, "c": 3.0}])
assert answer.predictions == ["one"]
must_raise(errors.BadRequest, lambda: api.query(NAME, dataframe_records=[{"z": 1}]))
must_raise(errors.NotFound, lambda: api.query("nobody-knows-me", dataframe_records=[{"z": 1}]))
step("query")

updated = api.update_config_and_wait(NAME, served_entities=[versioned("2")], timeout=minutes)
assert updated.config.served_entities[0].entity_version == "2" and updated.config.config_version == 2
step("update_config_and_wait")
legacy = serving.ServedModelInput(
    model_name="main.default.versioned", model_version="1", scale_to_zero_enabled=True, workload_size="Small"
)
updated = api.update_config_and_wait(NAME, served_models=[legacy], timeout=minutes)
assert updated.config.served_models[0].model_name == "main.default.versioned"
step("update_config served_models")
both = serving.TrafficConfig(
    routes=[
        serving.Route(served_model_name="versioned-1", traffic_percentage=50),
        serving.Route(served_model_name="versioned-2", traffic_percentage=50),
    ]
)
updated = api.update_config_and_wait(
    NAME, served_entities=[versioned("1"), versioned("2")], traffic_config=both, timeout=minutes
)
assert sum(r.traffic_percentage for r in updated.config.traffic_config.routes) == 100
step("traffic split")
broken = serving.ServedEntityInput(
    entity_name="main.default.unloadable", entity_version="1", scale_to_zero_enabled=True
)
try:
    api.update_config_and_wait(NAME, served_entities=[broken], timeout=minutes)
    raise AssertionError("an update that cannot load must fail")
except errors.OperationFailed:
    pass
assert api.get(NAME).state.ready == serving.EndpointStateReady.READY
assert api.query(NAME, dataframe_records=[{"a": 1.0, "b": 2.0, "c": 3.0}]).predictions[0] in ("one", "two")
step("failed update")

tags = api.patch(NAME, add_tags=[serving.EndpointTag(key="cost", value="1")], delete_tags=["team"])
keys = [tag.key for tag in (tags if isinstance(tags, list) else tags.tags)]
assert keys == ["cost"], tags
step("patch")
emails = {"on_update_success": ["a@example.com"]}
if hasattr(api, "update_notifications"):
    api.update_notifications(NAME, email_notifications=serving.EmailNotifications.from_dict(emails))
else:
    path = f"/api/2.0/serving-endpoints/{NAME}/notifications"
    w.api_client.do("PATCH", path, body={"email_notifications": emails})
assert w.api_client.do("GET", f"/api/2.0/serving-endpoints/{NAME}")["email_notifications"] == emails
step("notifications")
telemetry = {"enabled_telemetry_features": ["TELEMETRY_FEATURE_LOGS"], "table_names": {"logs_table": "main.x.logs"}}
path = f"/api/2.0/serving-endpoints/{NAME}/telemetry-config"
echoed = w.api_client.do("PATCH", path, body={"telemetry_config": telemetry})["telemetry_config"]
assert "table_names" not in echoed and echoed["enabled_telemetry_features"], echoed
step("telemetry-config")

assert "logs" in api.logs(NAME, "versioned-1").as_dict()
step("logs")
assert api.build_logs(NAME, "versioned-1").logs
step("build_logs")
deadline = time.monotonic() + 30
while True:  # servers share what they counted within moments
    metrics = api.export_metrics(NAME).contents.read().decode()
    if "request_count_total" in metrics:
        break
    assert time.monotonic() < deadline, metrics
    time.sleep(0.2)
step("export_metrics")
document = json.loads(api.get_open_api(NAME).contents.read())
assert document["openapi"].startswith("3.1") and any("versioned-1" in path for path in document["paths"])
step("get_open_api")

w.api_client.do("POST", f"/api/2.0/serving-endpoints/{NAME}/config:stop")
must_raise(errors.BadRequest, lambda: api.query(NAME, dataframe_records=[{"a": 1.0, "b": 2.0, "c": 3.0}]))
w.api_client.do("POST", f"/api/2.0/serving-endpoints/{NAME}/config:start")
api.wait_get_serving_endpoint_not_updating(NAME, timeout=minutes)
assert api.query(NAME, dataframe_records=[{"a": 1.0, "b": 2.0, "c": 3.0}]).predictions
step("stop and start")

api.delete(NAME)
must_raise(errors.NotFound, lambda: api.get(NAME))
step("delete")
print(json.dumps({"version": __version__, "done": DONE}))

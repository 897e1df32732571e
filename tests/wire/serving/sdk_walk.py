"""Every serving operation of databricks-sdk, old or new, against the server in the environment. Prints what was seen as JSON."""

import json
from datetime import timedelta

from databricks.sdk import WorkspaceClient, errors
from databricks.sdk.service import serving

client = WorkspaceClient()
endpoints = client.serving_endpoints
SOON = timedelta(seconds=30)
seen = {}


def refusal(action):
    try:
        action()
    except (errors.DatabricksError, errors.OperationFailed) as error:
        return [type(error).__name__, str(error)]
    return ["nothing", ""]


def entity(version="1", **values):
    return serving.ServedEntityInput(entity_name="main.default.churn", entity_version=version, **values)


def config(*entities):
    try:
        return serving.EndpointCoreConfigInput(name="walk", served_entities=list(entities))
    except TypeError:
        return serving.EndpointCoreConfigInput(served_entities=list(entities))


seen["me"] = client.current_user.me().user_name
seen["workspace"] = client.get_workspace_id()
seen["empty"] = len(list(endpoints.list()))

created = endpoints.create_and_wait(
    name="walk",
    config=config(entity("@Champion", workload_size="Small", scale_to_zero_enabled=True, environment_vars={"A": "b"})),
    tags=[serving.EndpointTag(key="team", value="growth")],
    description="Who leaves",
    timeout=SOON,
)
seen["created"] = created.as_dict()
seen["get"] = endpoints.get("walk").as_dict() == created.as_dict()
seen["listed"] = [found.as_dict() for found in endpoints.list()]

legacy = serving.ServedModelInput(
    model_name="main.default.fraud", model_version="2", scale_to_zero_enabled=False, workload_size="Medium"
)
updated = endpoints.update_config_and_wait("walk", served_models=[legacy], timeout=SOON)
seen["legacy"] = [updated.config.config_version, updated.config.served_entities[0].as_dict()]

split = serving.TrafficConfig(
    routes=[
        serving.Route(served_model_name="churn-1", traffic_percentage=80),
        serving.Route(served_model_name="churn-2", traffic_percentage=20),
    ]
)
waiting = endpoints.update_config("walk", served_entities=[entity("1"), entity("2")], traffic_config=split)
seen["pending"] = [waiting.response.state.config_update.value, waiting.response.pending_config.config_version]
seen["split"] = waiting.result(timeout=SOON).config.traffic_config.as_dict()

seen["failed"] = refusal(lambda: endpoints.update_config_and_wait("walk", served_entities=[entity("3")], timeout=SOON))
after = endpoints.get("walk")
seen["after failure"] = [
    after.state.ready.value,
    after.state.config_update.value,
    after.config.config_version,
    after.pending_config.config_version,
    after.pending_config.served_entities[0].state.as_dict(),
]

patched = endpoints.patch("walk", add_tags=[serving.EndpointTag(key="a", value="1")], delete_tags=["team"])
seen["tags"] = [tag.as_dict() for tag in getattr(patched, "tags", patched)]
if hasattr(endpoints, "update_notifications"):
    wish = serving.EmailNotifications(on_update_failure=["a@example.com"])
    seen["notifications"] = endpoints.update_notifications("walk", email_notifications=wish).as_dict()
if hasattr(endpoints, "patch_telemetry_config"):
    tables = serving.UnityCatalogTableNames(logs_table="c.s.l")
    wish = serving.TelemetryConfig(table_names=tables, telemetry_profile_id="p")
    seen["telemetry"] = endpoints.patch_telemetry_config("walk", telemetry_config=wish).telemetry_config.as_dict()
    seen["telemetry removed"] = endpoints.patch_telemetry_config("walk").telemetry_config is None

seen["logs"] = endpoints.logs("walk", "churn-1").logs
seen["build logs"] = endpoints.build_logs("walk", "churn-1").logs
seen["metrics"] = endpoints.export_metrics("walk").contents.read().decode()
document = endpoints.get_open_api("walk")
contents = getattr(document, "contents", None)
seen["openapi"] = None if contents is None else list(json.loads(contents.read())["paths"])

each_minute = serving.RateLimitRenewalPeriod.MINUTE
seen["limits"] = endpoints.put("walk", rate_limits=[serving.RateLimit(calls=9, renewal_period=each_minute)]).as_dict()
tracked = serving.AiGatewayUsageTrackingConfig(enabled=True)
seen["gateway"] = endpoints.put_ai_gateway("walk", usage_tracking_config=tracked).as_dict()
seen["gateway shown"] = endpoints.get("walk").ai_gateway.as_dict()

seen["stopped"] = client.api_client.do("POST", "/api/2.0/serving-endpoints/walk/config:stop")["state"]
seen["started"] = client.api_client.do("POST", "/api/2.0/serving-endpoints/walk/config:start")["pending_config"][
    "config_version"
]

seen["refusals"] = {
    "unknown": refusal(lambda: endpoints.get("nobody")),
    "taken": refusal(lambda: endpoints.create("walk", config=config(entity()))),
    "unknown model": refusal(lambda: endpoints.create("x", config=config(entity("9")))),
    "bad name": refusal(lambda: endpoints.create("a b")),
    "bad size": refusal(lambda: endpoints.create("x", config=config(entity(workload_size="Huge")))),
    "unknown entity": refusal(lambda: endpoints.logs("walk", "nobody")),
    "guardrails": refusal(
        lambda: endpoints.put_ai_gateway(
            "walk",
            guardrails=serving.AiGatewayGuardrails(
                input=serving.AiGatewayGuardrailParameters(invalid_keywords=["secret"])
            ),
        )
    ),
}
seen["deleted"] = endpoints.delete("walk")
seen["gone"] = refusal(lambda: endpoints.get("walk"))[0]
print(json.dumps(seen))

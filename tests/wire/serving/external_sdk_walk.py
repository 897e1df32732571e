"""External models and what is asked of the gateway for them, with databricks-sdk, old or new. Prints what was seen as JSON."""

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


def config(*entities, **more):
    return serving.EndpointCoreConfigInput(name="llm", served_entities=list(entities), **more)


def openai(key="{{secrets/llm/openai}}", **more):
    given = {"openai_config": serving.OpenAiConfig(openai_api_key=key), **more}
    provider = given.pop("provider", serving.ExternalModelProvider.OPENAI)
    model = serving.ExternalModel(name="gpt-4.1", provider=provider, task="llm/v1/chat", **given)
    return serving.ServedEntityInput(external_model=model)


def anthropic(name, model):
    key = serving.AnthropicConfig(anthropic_api_key_plaintext="sk-ant-plain")
    vendor = serving.ExternalModelProvider.ANTHROPIC
    external = serving.ExternalModel(name=model, provider=vendor, task="llm/v1/chat", anthropic_config=key)
    return serving.ServedEntityInput(name=name, external_model=external)


client.secrets.create_scope("llm")
client.secrets.put_secret("llm", "openai", string_value="sk-1")
shares = (("gpt-4-1", 80), ("claude", 20), ("spare", 0))
routes = [serving.Route(served_model_name=name, traffic_percentage=share) for name, share in shares]
fallback = serving.AiGatewayConfig(fallback_config=serving.FallbackConfig(enabled=True))
created = endpoints.create_and_wait(
    name="llm",
    config=config(
        openai(),
        anthropic("claude", "claude-large"),
        anthropic("spare", "claude-small"),
        traffic_config=serving.TrafficConfig(routes=routes),
    ),
    ai_gateway=fallback,
    timeout=SOON,
)
seen["created"] = created.as_dict()
seen["created gateway"] = created.ai_gateway.as_dict()

minute = serving.AiGatewayRateLimitRenewalPeriod.MINUTE
keys = serving.AiGatewayRateLimitKey
unit = "tokens" if "tokens" in serving.AiGatewayRateLimit.__dataclass_fields__ else "calls"
group = getattr(keys, "USER_GROUP", None)
limits = [serving.AiGatewayRateLimit(calls=100, key=keys.USER, renewal_period=minute)]
if group is not None:
    limits.append(serving.AiGatewayRateLimit(**{unit: 50}, key=group, principal="analysts", renewal_period=minute))
pii = serving.AiGatewayGuardrailPiiBehavior(behavior=serving.AiGatewayGuardrailPiiBehaviorBehavior.BLOCK)
put = endpoints.put_ai_gateway(
    "llm",
    rate_limits=limits,
    guardrails=serving.AiGatewayGuardrails(input=serving.AiGatewayGuardrailParameters(pii=pii)),
    inference_table_config=serving.AiGatewayInferenceTableConfig(
        enabled=True, catalog_name="main", schema_name="logs", table_name_prefix="llm"
    ),
    usage_tracking_config=serving.AiGatewayUsageTrackingConfig(enabled=True),
)
seen["unit"] = unit
seen["gateway"] = put.as_dict()
seen["gateway shown"] = endpoints.get("llm").ai_gateway.as_dict()
[listed] = endpoints.list()
seen["gateway listed"] = listed.ai_gateway.as_dict()
seen["cleared"] = endpoints.put_ai_gateway("llm").as_dict()

updated = endpoints.update_config_and_wait("llm", served_entities=[openai()], timeout=SOON)
seen["updated"] = [entity.name for entity in updated.config.served_entities]
own = serving.ServedEntityInput(entity_name="main.default.churn", entity_version="1")
seen["kind"] = refusal(lambda: endpoints.update_config("llm", served_entities=[own]))
palm = {"provider": serving.ExternalModelProvider.PALM, "palm_config": serving.PaLmConfig(palm_api_key="x")}
seen["palm"] = refusal(lambda: endpoints.update_config("llm", served_entities=[openai(openai_config=None, **palm)]))
gone = openai("{{secrets/llm/none}}")
seen["no secret"] = refusal(lambda: endpoints.update_config("llm", served_entities=[gone]))
seen["logs"] = endpoints.logs("llm", "gpt-4-1").logs
seen["build logs"] = endpoints.build_logs("llm", "gpt-4-1").logs
endpoints.delete("llm")
print(json.dumps(seen))

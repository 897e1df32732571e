"""Serving endpoints: control plane and data plane."""

from __future__ import annotations

from tests.wire.access.table.rows import ANYBODY, TO_MANAGE, TO_QUERY, TO_VIEW, Row, Section

from headgate.gateway.paths import BY_BODY, MODELS_PATHS

SE = "/api/2.0/serving-endpoints"
MODEL = {"entity_name": "{model}", "entity_version": "1", "workload_size": "Small", "scale_to_zero_enabled": True}
RECORDS = {"dataframe_records": [{"a": 1.0}]}

CONTROL = Section(
    "Serving endpoints",
    "On the endpoint, *manager* has CAN_MANAGE, *querier* CAN_QUERY, *viewer* CAN_VIEW.",
    (
        Row("POST", SE, ANYBODY, body={"name": "{new_name}"}),
        Row("GET", SE, ANYBODY),
        Row("GET", SE + "/{name}", TO_VIEW, SE + "/{endpoint}"),
        Row("DELETE", SE + "/{name}", TO_MANAGE, SE + "/{new_endpoint}"),
        Row("PUT", SE + "/{name}/config", TO_MANAGE, SE + "/{new_endpoint}/config", {"served_entities": [MODEL]}),
        Row("POST", SE + "/{name}/config:stop", TO_MANAGE, SE + "/{new_deployed}/config:stop"),
        Row("POST", SE + "/{name}/config:start", TO_MANAGE, SE + "/{new_stopped}/config:start"),
        Row("GET", SE + "/{name}/metrics", TO_VIEW, SE + "/{endpoint}/metrics"),
        Row(
            "PATCH",
            SE + "/{name}/tags",
            TO_MANAGE,
            SE + "/{endpoint}/tags",
            {"add_tags": [{"key": "a", "value": "1"}]},
        ),
        Row("PATCH", SE + "/{name}/notifications", TO_MANAGE, SE + "/{endpoint}/notifications", {}),
        Row("PATCH", SE + "/{name}/telemetry-config", TO_MANAGE, SE + "/{endpoint}/telemetry-config", {}),
        Row("PATCH", SE + "/{name}/description", TO_MANAGE, SE + "/{endpoint}/description", {"description": "x"}),
        Row("PATCH", SE + "/{name}/budget-policy", TO_MANAGE, SE + "/{endpoint}/budget-policy", {}),
        Row(
            "GET",
            SE + "/{name}/served-models/{served_model_name}/logs",
            TO_MANAGE,
            SE + "/{endpoint}/served-models/{entity}/logs",
        ),
        Row(
            "GET",
            SE + "/{name}/served-models/{served_model_name}/build-logs",
            TO_MANAGE,
            SE + "/{endpoint}/served-models/{entity}/build-logs",
        ),
        Row("GET", SE + "/{name}/openapi", TO_VIEW, SE + "/{endpoint}/openapi"),
        Row("PUT", SE + "/{name}/rate-limits", TO_MANAGE, SE + "/{endpoint}/rate-limits", {"rate_limits": []}),
        Row("PUT", SE + "/{name}/ai-gateway", TO_MANAGE, SE + "/{endpoint}/ai-gateway", {}),
        Row("POST", SE + "/pt", ANYBODY, body={"name": "x"}, ok=501),
        Row("PUT", SE + "/pt/{name}/config", ANYBODY, SE + "/pt/{endpoint}/config", {}, ok=501),
        Row(
            "GET",
            SE + "/get-model-optimization-info/{model}/{version}",
            ANYBODY,
            SE + "/get-model-optimization-info/{model}/1",
            ok=501,
        ),
    ),
)


def by_body(path: str, api: str) -> Row:
    """The endpoint in the body. It serves no language model, so those who get through to it are told so: 400."""
    asked = {"messages": [{"role": "user", "content": "Hello?"}], "prompt": "Hello?", "input": "Hello?"}
    return Row(
        "POST",
        path,
        TO_QUERY,
        body={"model": "{endpoint}", **asked},
        ok=400,
        missing="ENDPOINT_NOT_FOUND",
    )


QUERY = Section(
    "Inference",
    "On the endpoint, *manager* has CAN_MANAGE, *querier* CAN_QUERY, *viewer* CAN_VIEW. A list of models has the endpoints that the caller "
    "may query; a token narrowed to one endpoint sees that one.",
    (
        Row(
            "POST",
            "/serving-endpoints/{name}/invocations",
            TO_QUERY,
            "/serving-endpoints/{endpoint}/invocations",
            RECORDS,
            missing="ENDPOINT_NOT_FOUND",
        ),
        Row(
            "POST",
            "/{workspace_id}/serving-endpoints/{name}/invocations",
            TO_QUERY,
            "/{workspace_id}/serving-endpoints/{endpoint}/invocations",
            RECORDS,
            missing="ENDPOINT_NOT_FOUND",
        ),
        Row(
            "POST",
            "/serving-endpoints/{name}/served-models/{served_model_name}/invocations",
            TO_QUERY,
            "/serving-endpoints/{endpoint}/served-models/{entity}/invocations",
            RECORDS,
            missing="ENDPOINT_NOT_FOUND",
        ),
        *(by_body(path, api) for path, api in BY_BODY.items()),
        *(Row("GET", path, ANYBODY, narrowed=200) for path in MODELS_PATHS),
        *(
            Row("GET", path + "/{id}", TO_QUERY, path + "/{endpoint}", missing="ENDPOINT_NOT_FOUND")
            for path in MODELS_PATHS
        ),
    ),
)

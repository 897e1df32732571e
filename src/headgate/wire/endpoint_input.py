"""Request bodies of the serving-endpoints API. Unknown fields are ignored, as the real backend does; rules live in `domain`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, WithJsonSchema


def _storable(text: str) -> str:
    """Text every database and every log can hold: no NUL, no half characters."""
    if "\x00" in text:
        raise ValueError("text cannot contain the NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("text contains half a character (a lone surrogate)") from None
    return text


def _not_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a whole number")
    return value


def _not_bool_or_text(value: Any) -> Any:
    if isinstance(value, (bool, str)):
        raise ValueError("must be a whole number")
    return value


def _version_text(value: Any) -> Any:
    """Versions are text on the wire, but people write `1`."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Text = Annotated[str, AfterValidator(_storable)]
Whole = Annotated[int, BeforeValidator(_not_bool_or_text), Field(ge=-(2**31), lt=2**31)]
Percentage = Annotated[
    int,
    BeforeValidator(_not_bool),
    Field(ge=-(2**31), lt=2**31),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^[0-9]{1,3}$"}]}),
]
"""Clients send it as a number or as text."""
Version = Annotated[
    str,
    AfterValidator(_storable),
    BeforeValidator(_version_text),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 0}]}),
]


def _storable_within(value: Any) -> Any:
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, dict):
        for key, inner in value.items():
            _storable_within(key)
            _storable_within(inner)
    elif isinstance(value, list):
        for inner in value:
            _storable_within(inner)
    return value


Anything = Annotated[dict[str, Any], AfterValidator(_storable_within)]
"""Judged by `domain`; here only that every text in it can be kept."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class _Sizing(_Body):
    name: Text | None = None
    workload_size: Text | None = Field(None, examples=["Small"])
    workload_type: Text | None = Field(None, examples=["CPU"])
    scale_to_zero_enabled: StrictBool | None = None
    min_provisioned_concurrency: Whole | None = None
    max_provisioned_concurrency: Whole | None = None
    environment_vars: dict[Text, Text] | None = None
    instance_profile_arn: Text | None = None
    min_provisioned_throughput: Whole | None = None
    max_provisioned_throughput: Whole | None = None
    provisioned_model_units: Whole | None = None
    burst_scaling_enabled: StrictBool | None = None


class ServedEntityInput(_Sizing):
    """One model version to serve."""

    entity_name: Text | None = Field(None, examples=["main.default.churn"])
    entity_version: Version | None = Field(None, examples=["1"])
    followed_alias: Text | None = Field(
        None, description="An alias to follow, as answers show it; same as an entity_version of `@` and it."
    )
    external_model: Anything | None = None
    foundation_model: Anything | None = None


class ServedModelInput(_Sizing):
    """The legacy form of a served entity."""

    model_name: Text | None = None
    model_version: Version | None = None
    followed_alias: Text | None = None
    external_model: Anything | None = None


class RouteInput(_Body):
    """A share of the traffic. Either name, or both when they are equal."""

    served_entity_name: Text | None = None
    served_model_name: Text | None = None
    traffic_percentage: Percentage


class TrafficConfigInput(_Body):
    routes: list[RouteInput] | None = None


class AutoCaptureConfigInput(_Body):
    catalog_name: Text | None = None
    schema_name: Text | None = None
    table_name_prefix: Text | None = None
    enabled: StrictBool | None = None


class ConfigInput(_Body):
    """What an endpoint serves. Give `served_entities`; `served_models` is the legacy form of the same."""

    served_entities: list[ServedEntityInput] | None = None
    served_models: list[ServedModelInput] | None = None
    traffic_config: TrafficConfigInput | None = None
    auto_capture_config: AutoCaptureConfigInput | None = None


class TagInput(_Body):
    key: Text = Field(min_length=1)
    value: Text | None = None


class EmailNotificationsInput(_Body):
    on_update_success: list[Text] | None = None
    on_update_failure: list[Text] | None = None


class TelemetryTableNamesInput(_Body):
    logs_table: Text | None = None
    metrics_table: Text | None = None
    traces_table: Text | None = None
    annotations_table: Text | None = None


class TelemetryInferenceTableInput(_Body):
    name: Text | None = None
    sampling_fraction: float | None = Field(None, ge=0, le=1)


class TelemetryConfigInput(_Body):
    enabled_telemetry_features: list[Text] | None = None
    table_names: TelemetryTableNamesInput | None = None
    telemetry_profile_id: Text | None = None
    inference_table_config: TelemetryInferenceTableInput | None = None


class CreateEndpoint(_Body):
    """`POST /api/2.0/serving-endpoints`."""

    name: Text = Field(examples=["churn"])
    config: ConfigInput | None = None
    tags: list[TagInput] | None = None
    description: Text | None = None
    email_notifications: EmailNotificationsInput | None = None
    telemetry_config: TelemetryConfigInput | None = None
    route_optimized: StrictBool | None = None
    budget_policy_id: Text | None = Field(None, max_length=64)
    ai_gateway: Anything | None = None
    rate_limits: list[Anything] | None = None


class PatchTags(_Body):
    add_tags: list[TagInput] | None = None
    delete_tags: list[Text] | None = None


class PatchNotifications(_Body):
    email_notifications: EmailNotificationsInput | None = None


class PatchTelemetryConfig(_Body):
    telemetry_config: TelemetryConfigInput | None = None


class PatchDescription(_Body):
    description: Text | None = None


class PatchBudgetPolicy(_Body):
    budget_policy_id: Text | None = Field(None, max_length=64)

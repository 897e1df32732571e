"""`headgate serving-endpoints …`: what changes or shows endpoints. Inference and logs are in `queries` and `logs`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from headgate.cli import bodies, waiting
from headgate.cli.client import SERVING_ENDPOINTS, Client, endpoint_path
from headgate.cli.printing import note, print_json, print_pairs, print_table
from headgate.cli.session import Session, register

group = typer.Typer(no_args_is_help=True, help="Create, change, query and watch serving endpoints.")

Json = Annotated[
    dict[str, Any],
    typer.Option("--json", parser=bodies.read, metavar="JSON", help="The body: '{…}', @file, or @- (standard input)."),
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return at once instead of when the update is over.")]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        parser=waiting.duration_s,
        metavar="TIME",
        show_default="20m",
        help="Longest wait, e.g. 90s, 1h30m.",
    ),
]
TIMEOUT_S = 1200.0


@register(group, "list")
def list_endpoints(session: Session) -> None:
    """List all endpoints."""
    endpoints = session.client().get(SERVING_ENDPOINTS).get("endpoints", [])
    session.print(endpoints, _print_list)


@register(group, "get", aliases=("get-status",))
def get(session: Session, name: str) -> None:
    """Show one endpoint: state, served entities, traffic."""
    session.print(session.client().get(endpoint_path(name)), _print_endpoint)


@register(group, "create")
def create(
    session: Session, name: str | None, body: Json, no_wait: NoWait = False, timeout: Timeout = TIMEOUT_S
) -> None:
    """Create an endpoint and wait until it serves.

    The body is {"name", "config": {"served_entities": […], …}, …}; the keys of config may also stand at the top.
    """
    request = bodies.for_create(name, body)
    client = session.client()
    made = client.send("POST", SERVING_ENDPOINTS, request)
    _finish(session, client, made, None if no_wait else timeout)


@register(group, "update-config")
def update_config(
    session: Session, name: str | None, body: Json, no_wait: NoWait = False, timeout: Timeout = TIMEOUT_S
) -> None:
    """Replace an endpoint's config; the old one serves until the new one is ready.

    The body is {"served_entities": […], "traffic_config": {…}}, which may also be wrapped in {"config": {…}}.
    """
    settled, config = bodies.for_update(name, body)
    client = session.client()
    made = client.send("PUT", endpoint_path(settled, "config"), config)
    _finish(session, client, made, None if no_wait else timeout)


@register(group, "start")
def start(session: Session, name: str, no_wait: NoWait = False, timeout: Timeout = TIMEOUT_S) -> None:
    """Start a stopped endpoint and wait until it serves."""
    client = session.client()
    made = client.send("POST", endpoint_path(name, "config:start"), {})
    _finish(session, client, made, None if no_wait else timeout)


@register(group, "stop")
def stop(session: Session, name: str) -> None:
    """Stop an endpoint: it keeps its config and answers no requests."""
    session.print(session.client().send("POST", endpoint_path(name, "config:stop"), {}), _print_endpoint)


@register(group, "delete")
def delete(session: Session, name: str) -> None:
    """Delete an endpoint."""
    session.client().send("DELETE", endpoint_path(name))
    note(f"deleted {name}")


@register(group, "patch")
def patch(session: Session, name: str, body: Json) -> None:
    """Add and delete tags: {"add_tags": [{"key", "value"}], "delete_tags": ["key"]}."""
    session.print(session.client().send("PATCH", endpoint_path(name, "tags"), body))


@register(group, "put-ai-gateway")
def put_ai_gateway(session: Session, name: str, body: Json) -> None:
    """Replace an endpoint's limits, guardrails, tables and fallbacks; {} clears them. In force at once."""
    session.print(session.client().send("PUT", endpoint_path(name, "ai-gateway"), body))


@register(group, "put")
def put(session: Session, name: str, body: Json) -> None:
    """Replace an endpoint's rate limits (deprecated: use put-ai-gateway): {"rate_limits": [{"calls", "key", "renewal_period"}]}."""
    session.print(session.client().send("PUT", endpoint_path(name, "rate-limits"), body))


@register(group, "export-metrics", aliases=("get-metrics",))
def export_metrics(session: Session, name: str) -> None:
    """Print an endpoint's metrics in Prometheus' text format."""
    sys.stdout.write(session.client().get_text(endpoint_path(name, "metrics")))


@register(group, "get-open-api")
def get_open_api(session: Session, name: str) -> None:
    """Print the OpenAPI document of what an endpoint accepts and returns."""
    print_json(session.client().get(endpoint_path(name, "openapi")))


def _finish(session: Session, client: Client, made: dict[str, Any], timeout_s: float | None) -> None:
    """Prints the endpoint, after waiting for it if there is a timeout."""
    endpoint = made if timeout_s is None else waiting.until_updated(client, made["name"], timeout_s)
    session.print(endpoint, _print_endpoint)


def _print_list(endpoints: list[dict[str, Any]]) -> None:
    print_table(
        ("NAME", "READY", "UPDATE", "SERVES", "CREATOR"),
        ([item["name"], *_states(item), _serves(item), item.get("creator") or ""] for item in endpoints),
    )


def _states(endpoint: dict[str, Any]) -> tuple[str, str]:
    state = endpoint.get("state", {})
    ready = "STOPPED" if state.get("suspend") == "STOPPED" else state.get("ready", "")
    return ready, state.get("config_update", "")


def _serves(endpoint: dict[str, Any]) -> str:
    entities = (endpoint.get("config") or {}).get("served_entities", [])
    return ", ".join(_served(entity) for entity in entities)


def _served(entity: dict[str, Any]) -> str:
    """`main.default.churn/3`, or `openai/gpt-4.1` of a vendor."""
    vendors = entity.get("external_model")
    if vendors:
        return f"{vendors.get('provider', '')}/{vendors.get('name', '')}"
    return f"{entity.get('entity_name', '')}/{_version(entity)}"


def _version(entity: dict[str, Any]) -> str:
    """`3`, or `3 (@Champion)` of one that follows that alias."""
    version, alias = str(entity.get("entity_version", "")), entity.get("followed_alias")
    return f"{version} (@{alias})" if alias else version


def _print_endpoint(endpoint: dict[str, Any]) -> None:
    ready, update = _states(endpoint)
    tags = ", ".join(f"{tag['key']}={tag.get('value', '')}" for tag in endpoint.get("tags", []))
    print_pairs(
        [
            ("name", endpoint["name"]),
            ("id", endpoint.get("id", "")),
            ("state", f"{ready}, {update}" if update else ready),
            ("creator", endpoint.get("creator") or ""),
            ("description", endpoint.get("description", "")),
            ("tags", tags),
        ]
    )
    for title, key in (("serving", "config"), ("pending", "pending_config")):
        if (endpoint.get(key) or {}).get("served_entities"):
            _print_config(title, endpoint[key])


def _print_config(title: str, config: dict[str, Any]) -> None:
    sys.stdout.write(f"\n{title}, config version {config.get('config_version', '?')}\n")
    routes = (config.get("traffic_config") or {}).get("routes", [])
    shares = {route.get("served_entity_name") or route.get("served_model_name"): route for route in routes}
    print_table(
        ("ENTITY", "MODEL", "VERSION", "SIZE", "TRAFFIC", "STATE"),
        (_entity_row(entity, shares.get(entity.get("name"), {})) for entity in config.get("served_entities", [])),
    )


def _entity_row(entity: dict[str, Any], route: dict[str, Any]) -> tuple[str, ...]:
    state = entity.get("state", {})
    message = state.get("deployment_state_message")
    low, high = entity.get("min_provisioned_concurrency"), entity.get("max_provisioned_concurrency")
    vendors = entity.get("external_model")
    return (
        entity.get("name", ""),
        _served(entity) if vendors else entity.get("entity_name", ""),
        "" if vendors else _version(entity),
        entity.get("workload_size") or (f"{low}-{high}" if high else ""),
        f"{route.get('traffic_percentage', 0)} %",
        ": ".join(part for part in (state.get("deployment", ""), message) if part),
    )

"""PATCH of what an endpoint carries besides its config: tags, notifications, telemetry, description, budget policy. Deploys nothing. Each takes CAN_MANAGE."""

from __future__ import annotations

from fastapi import APIRouter

from headgate.api import endpoint_shapes, endpoint_wishes
from headgate.api.dependencies import Caller, Given
from headgate.api.serving_endpoints import PREFIX, answer, find
from headgate.domain import endpoint_rules
from headgate.domain.grants import CAN_MANAGE
from headgate.wire import endpoint_input as given
from headgate.wire import endpoint_output as shown


def routes() -> APIRouter:
    """The family."""
    router = APIRouter(prefix=PREFIX + "/{name}", tags=["serving endpoints"])
    router.patch("/tags", response_model_exclude_none=True)(patch_tags)
    router.patch("/notifications")(patch_notifications)
    router.patch("/telemetry-config", response_model_exclude_none=True)(patch_telemetry_config)
    router.patch("/description", response_model_exclude_none=True)(patch_description)
    router.patch("/budget-policy", response_model_exclude_none=True)(patch_budget_policy)
    return router


def patch_tags(name: str, body: given.PatchTags, dependencies: Given, caller: Caller) -> shown.Tags:
    """Add and delete tags; answers with all there are then."""
    find(dependencies, caller, name, CAN_MANAGE)
    add = {tag.key: tag.value for tag in body.add_tags or ()}
    pairs = dependencies.endpoints.change_tags(name, add, body.delete_tags or ())
    return shown.Tags(tags=endpoint_shapes.tags(pairs))


def patch_notifications(
    name: str, body: given.PatchNotifications, dependencies: Given, caller: Caller
) -> shown.Notifications:
    """Replace who is told of updates."""
    find(dependencies, caller, name, CAN_MANAGE)
    wish = endpoint_wishes.written(body.email_notifications)
    dependencies.endpoints.change(name, dependencies.clock.now_ms(), email_notifications=wish)
    return shown.Notifications(name=name, email_notifications=wish or {})


def patch_telemetry_config(
    name: str, body: given.PatchTelemetryConfig, dependencies: Given, caller: Caller
) -> shown.Endpoint:
    """Replace the telemetry config; without one, remove it."""
    endpoint_rules.check_telemetry_change(find(dependencies, caller, name, CAN_MANAGE))
    kept = endpoint_rules.telemetry(endpoint_wishes.written(body.telemetry_config))
    return answer(dependencies, dependencies.endpoints.change(name, dependencies.clock.now_ms(), telemetry_config=kept))


def patch_description(name: str, body: given.PatchDescription, dependencies: Given, caller: Caller) -> shown.Endpoint:
    """Replace the description."""
    find(dependencies, caller, name, CAN_MANAGE)
    now_ms = dependencies.clock.now_ms()
    return answer(dependencies, dependencies.endpoints.change(name, now_ms, description=body.description or ""))


def patch_budget_policy(
    name: str, body: given.PatchBudgetPolicy, dependencies: Given, caller: Caller
) -> shown.Endpoint:
    """Replace the budget policy; without one, remove it."""
    find(dependencies, caller, name, CAN_MANAGE)
    now_ms = dependencies.clock.now_ms()
    changed = dependencies.endpoints.change(name, now_ms, budget_policy_id=body.budget_policy_id or None)
    return answer(dependencies, changed)

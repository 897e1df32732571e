"""What databricks-sdk, old or new, does with permissions and grants, against the server in the environment. Prints what was seen as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import DatabricksError
from databricks.sdk.service import catalog, serving

client = WorkspaceClient()
robot, mine = sys.argv[1:3]
endpoints, grants = client.serving_endpoints, client.grants


def refusal(call: Any) -> list[str]:
    try:
        call()
    except DatabricksError as error:
        return [type(error).__name__, str(error)]
    return ["nothing", ""]


def level(name: str) -> serving.ServingEndpointPermissionLevel:
    return serving.ServingEndpointPermissionLevel(name)


def request(**named: Any) -> serving.ServingEndpointAccessControlRequest:
    return serving.ServingEndpointAccessControlRequest(**named)


def shown(permissions: serving.ServingEndpointPermissions) -> dict[str, list[Any]]:
    found = {}
    for control in permissions.access_control_list or []:
        name = control.user_name or control.group_name or control.service_principal_name
        found[name] = [
            [one.permission_level.value, one.inherited, one.inherited_from_object] for one in control.all_permissions
        ]
    return found


def assigned(answer: Any) -> dict[str, list[str]]:
    return {
        one.principal: [privilege.value for privilege in one.privileges] for one in answer.privilege_assignments or []
    }


def change(principal: str, **changes: list[catalog.Privilege]) -> list[catalog.PermissionsChange]:
    return [catalog.PermissionsChange(principal=principal, **changes)]


made = endpoints.get(mine)
levels = endpoints.get_permission_levels(made.id).permission_levels
before = endpoints.get_permissions(made.id)
replaced = endpoints.set_permissions(
    made.id,
    access_control_list=[
        request(user_name="vera", permission_level=level("CAN_VIEW")),
        request(group_name="team", permission_level=level("CAN_QUERY")),
    ],
)
merged = endpoints.update_permissions(
    made.id, access_control_list=[request(service_principal_name=robot, permission_level=level("CAN_MANAGE"))]
)
seen = {
    "object": [before.object_id == f"/serving-endpoints/{made.id}", before.object_type],
    "level": made.permission_level.value,
    "levels": [one.permission_level.value for one in levels],
    "before": shown(before),
    "replaced": shown(replaced),
    "merged": shown(merged),
    "nobody": refusal(
        lambda: endpoints.update_permissions(
            made.id, access_control_list=[request(user_name="nobody", permission_level=level("CAN_VIEW"))]
        )
    ),
    "hidden": refusal(lambda: endpoints.get_permissions("0" * 32)),
}

model, execute = "main.default.walk", [catalog.Privilege.EXECUTE]
kind = "FUNCTION"
client.api_client.do(
    "POST", "/api/2.1/unity-catalog/models", body={"catalog_name": "main", "schema_name": "default", "name": "walk"}
)
seen["granted"] = assigned(grants.update(kind, model, changes=change("vera", add=execute)))
seen["grants"] = assigned(grants.get(kind, model, principal="vera"))
effective = grants.get_effective(kind, model).privilege_assignments or []
seen["effective"] = {one.principal: [each.privilege.value for each in one.privileges] for one in effective}
if hasattr(grants, "list"):
    seen["listed"] = {one.principal: [each.value for each in one.privileges] for one in grants.list(kind, model)}
seen["taken"] = assigned(grants.update(kind, model, changes=change("vera", remove=execute)))
seen["not applicable"] = refusal(
    lambda: grants.update(kind, model, changes=change("vera", add=[catalog.Privilege.USE_CATALOG]))
)
print(json.dumps(seen))

"""Who may do what with an endpoint."""

from __future__ import annotations

from tests.wire.access.table.endpoints import SE
from tests.wire.access.table.rows import TO_MANAGE, TO_VIEW, Row, Section

OBJECT = "/api/2.0/permissions/serving-endpoints"
NEW = {"access_control_list": [{"user_name": "{viewer_name}", "permission_level": "CAN_VIEW"}]}

SECTION = Section(
    "Permissions on serving endpoints",
    "On the endpoint, *manager* has CAN_MANAGE, *querier* CAN_QUERY, *viewer* CAN_VIEW.",
    (
        Row("GET", OBJECT + "/{endpoint_id}", TO_VIEW, OBJECT + "/{endpoint_id}"),
        Row("PUT", OBJECT + "/{endpoint_id}", TO_MANAGE, OBJECT + "/{new_endpoint_id}", NEW),
        Row("PATCH", OBJECT + "/{endpoint_id}", TO_MANAGE, OBJECT + "/{endpoint_id}", NEW),
        Row(
            "GET",
            OBJECT + "/{endpoint_id}/permissionLevels",
            TO_VIEW,
            OBJECT + "/{endpoint_id}/permissionLevels",
        ),
        Row("PATCH", SE + "/{name}/creator", TO_MANAGE, SE + "/{new_endpoint}/creator", {}),
    ),
)

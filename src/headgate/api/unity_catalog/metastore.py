"""The one metastore there is, as the SDKs ask for it."""

from __future__ import annotations

from typing import Any

from headgate.api.model_registry.arguments import Arguments
from headgate.api.model_registry.asking import Asking
from headgate.api.model_registry.operations import ASKED, Operation
from headgate.domain.identity import ADMINS_ID
from headgate.domain.namespace import DEFAULT_CATALOG

NAME = "headgate"


class Nothing(Arguments):
    pass


def _summary(asking: Asking, _sent: Nothing) -> dict[str, Any]:
    return {
        "metastore_id": asking.metastore_id,
        "global_metastore_id": f"{NAME}:local:{asking.metastore_id}",
        "name": NAME,
        "cloud": NAME,
        "region": "local",
        "owner": asking.owner_name(ADMINS_ID),
        "privilege_model_version": "1.0",
        "external_access_enabled": False,
    }


def _assignment(asking: Asking, _sent: Nothing) -> dict[str, Any]:
    return {
        "metastore_id": asking.metastore_id,
        "workspace_id": int(asking.workspace_id),
        "default_catalog_name": DEFAULT_CATALOG,
    }


OPERATIONS = (
    Operation("GET", "metastore_summary", Nothing, _summary, ASKED),
    Operation("GET", "current-metastore-assignment", Nothing, _assignment, ASKED),
)

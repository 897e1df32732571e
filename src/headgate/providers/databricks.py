"""An endpoint of another Databricks workspace, or of another Headgate. `external_model.name` is that endpoint's name."""

from __future__ import annotations

import dataclasses

from headgate.providers.compatible import EVERYTHING, ROUTES, Address, Compatible
from headgate.providers.port import Credential, Target


class Databricks(Compatible):
    name = "databricks-model-serving"
    label = "Databricks"
    capabilities = dataclasses.replace(EVERYTHING, cache_control=True, thinking=True)
    ours: tuple[str, ...] = ()
    """It knows all of Databricks' extras, and does with them there what its own endpoint says."""

    def address(self, target: Target, credential: Credential | None) -> Address:
        config = target.config
        url = config["databricks_workspace_url"].rstrip("/") + "/serving-endpoints" + ROUTES[target.task]
        return Address(url, ((b"authorization", b"Bearer " + config["databricks_api_token"].encode()),))

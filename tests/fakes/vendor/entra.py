"""Microsoft Entra's token endpoint, for applications that name themselves by a secret."""

from __future__ import annotations

from urllib.parse import parse_qs

import orjson
from tests.fakes.vendor.scene import Heard, Reply, Scene

TOKEN = "an-entra-token"
"""What it issues."""
SECRET = "sk-secret"
"""The one secret it knows."""


class Entra:
    name = "entra"

    def claims(self, heard: Heard) -> bool:
        return heard.route.endswith("/oauth2/v2.0/token")

    def reply(self, heard: Heard, scene: Scene) -> Reply:
        form = {key: values[0] for key, values in parse_qs(heard.body.decode()).items()}
        if form.get("grant_type") != "client_credentials" or not form.get("scope", "").endswith("/.default"):
            return self.refusal(400, "AADSTS900144: the request is not one for client credentials.")
        if form.get("client_secret") != SECRET or not form.get("client_id"):
            return self.refusal(401, "AADSTS7000215: Invalid client secret provided.")
        return Reply((orjson.dumps({"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}),))

    def refusal(self, status: int, message: str) -> Reply:
        return Reply((orjson.dumps({"error": "invalid_client", "error_description": message}),), status)

"""OpenAI's models on Azure: an address per deployment, a key, or a token of Microsoft Entra for `azuread`."""

from __future__ import annotations

from urllib.parse import quote, urlencode, urlsplit

import orjson

from headgate.providers.compatible import ROUTES, Address, Compatible
from headgate.providers.port import RESPONSES, BadAnswer, Credential, Outgoing, Target

AUTHORITIES = {
    ".azure.us": ("https://login.microsoftonline.us", "https://cognitiveservices.azure.us/.default"),
    ".azure.cn": ("https://login.chinacloudapi.cn", "https://cognitiveservices.azure.cn/.default"),
}
"""Who issues tokens for which cloud, and the scope to ask for."""
PUBLIC = ("https://login.microsoftonline.com", "https://cognitiveservices.azure.com/.default")


class Azure(Compatible):
    """`authority`: who issues tokens instead of Microsoft's own, for tests and private clouds."""

    name = "azure-openai"
    label = "Azure OpenAI"

    def __init__(self, authority: str | None = None) -> None:
        self._authority = authority

    def address(self, target: Target, credential: Credential | None) -> Address:
        config = target.config
        base = config["openai_api_base"].rstrip("/").removesuffix("/openai")
        deployment = quote(config["openai_deployment_name"], safe="")
        route = "/responses" if target.task == RESPONSES else f"/deployments/{deployment}{ROUTES[target.task]}"
        url = f"{base}/openai{route}?{urlencode({'api-version': config['openai_api_version']})}"
        if config.get("openai_api_type", "").lower() != "azuread":
            return Address(url, ((b"api-key", config["openai_api_key"].encode()),))
        # A key beside `azuread` is itself a token, which somebody else keeps fresh.
        token = credential.value if credential is not None else config["openai_api_key"]
        return Address(url, ((b"authorization", b"Bearer " + token.encode()),))

    def token_request(self, target: Target, now_s: float) -> Outgoing | None:
        """OAuth's client credentials, as Entra wants them."""
        config = target.config
        if config.get("openai_api_type", "").lower() != "azuread" or "microsoft_entra_client_secret" not in config:
            return None
        host = urlsplit(config["openai_api_base"]).hostname or ""
        authority, scope = next((cloud for end, cloud in AUTHORITIES.items() if host.endswith(end)), PUBLIC)
        form = {
            "grant_type": "client_credentials",
            "client_id": config["microsoft_entra_client_id"],
            "client_secret": config["microsoft_entra_client_secret"],
            "scope": scope,
        }
        tenant = quote(config["microsoft_entra_tenant_id"], safe="")
        url = f"{(self._authority or authority).rstrip('/')}/{tenant}/oauth2/v2.0/token"
        return Outgoing(
            "POST", url, ((b"content-type", b"application/x-www-form-urlencoded"),), urlencode(form).encode()
        )

    def credential(self, body: bytes, now_s: float) -> Credential:
        """The token Entra issued."""
        try:
            said = orjson.loads(body)
            token, lives_s = str(said["access_token"]), float(said["expires_in"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            raise BadAnswer("Microsoft Entra answered without a token.") from None
        return Credential(token, now_s + lives_s)

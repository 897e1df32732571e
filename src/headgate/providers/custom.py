"""Any server that speaks OpenAI's dialect, by its URL, with a bearer token or a header of its own choosing.

Where such a URL may lead is judged by `domain.outbound` when it is configured and again on every connection.
"""

from __future__ import annotations

from headgate.providers.compatible import ROUTES, Address, Compatible
from headgate.providers.port import Credential, Target


class Custom(Compatible):
    name = "custom"
    label = "The custom provider"
    forgives_no_done = True

    def address(self, target: Target, credential: Credential | None) -> Address:
        config = target.config
        url = _url(config["custom_provider_url"], ROUTES[target.task])
        if "bearer_token_auth.token" in config:
            return Address(url, ((b"authorization", b"Bearer " + config["bearer_token_auth.token"].encode()),))
        if "api_key_auth.key" in config:
            name = config["api_key_auth.key"].lower().encode()
            return Address(url, ((name, config["api_key_auth.value"].encode()),))
        return Address(url, ())


def _url(said: str, route: str) -> str:
    """A base gets the route; what names a route already is complete, and leads to its sibling for another task."""
    address, question, query = said.partition("?")
    address = address.rstrip("/")
    if address.endswith("/invocations"):
        return said
    known = next((known for known in ROUTES.values() if address.endswith(known)), "")
    return address.removesuffix(known) + route + question + query

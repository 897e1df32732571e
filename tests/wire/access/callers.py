"""Makes the world of the access table in a running house: five callers and every kind of bad credential, then what they have rights on."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.fakes import callers
from tests.scenario.house import TOKEN, House, until
from tests.wire.access import world as worlds
from tests.wire.access.table.rows import CALLERS, FORM, NARROWED
from tests.wire.access.world import World

from headgate.access.principals import new_token

ON_BEHALF = "/api/2.0/token-management/on-behalf-of/tokens"


def furnished(house: House) -> World:
    """Everything the table and the walks need."""
    ask = callers.over_http(house.url, TOKEN)
    made = {name: callers.user(ask, f"{name}@example.com") for name in CALLERS[1:]}
    world = World(house, {"admin": f"Bearer {TOKEN}"} | {name: f"Bearer {one.token}" for name, one in made.items()})
    world.user_names = {"admin": "admin"} | {name: one.name for name, one in made.items()}
    worlds.furnish(world)
    world.tokens |= _bad(world, ask)
    return world


def _bad(world: World, ask: callers.Ask) -> dict[str, str | None]:
    gone = callers.user(ask, "gone@example.com")
    ask("DELETE", f"{callers.SCIM}/Users/{gone.id}", None)
    revoked = ask("POST", ON_BEHALF, {"user_name": world.user_names["manager"]})
    ask("DELETE", f"/api/2.0/token-management/tokens/{revoked['token_info']['token_id']}", None)
    short = ask("POST", ON_BEHALF, {"user_name": world.user_names["manager"], "lifetime_seconds": 1})
    expired = f"Bearer {short['token_value']}"
    until(lambda: world.send("GET", f"{callers.SCIM}/Me", authorization=expired).status == 401, "a token expires")
    return {
        "no token": None,
        "malformed header": "Bearer",
        "expired token": expired,
        "revoked token": f"Bearer {revoked['token_value']}",
        "token of somebody deleted": f"Bearer {gone.token}",
        "token of another installation": f"Bearer {new_token()}",
        "JWT signed by somebody else": f"Bearer {_forged(_oauth_token(world))}",
        NARROWED: f"Bearer {_oauth_token(world, world.known['stopped_id'])}",
    }


def _oauth_token(world: World, endpoint_id: str = "") -> str:
    """Of a service principal that is an administrator; for querying that endpoint only, when one is given."""
    words = world.known
    form = {"grant_type": "client_credentials", "scope": "all-apis"}
    if endpoint_id:
        details = {
            "type": "workspace_permission", "object_type": "serving-endpoints",
            "object_path": f"/serving-endpoints/{endpoint_id}", "actions": ["query_inference_endpoint"],
        }  # fmt: skip
        form["authorization_details"] = json.dumps([details])
    basic = base64.b64encode(f"{words['client_id']}:{words['client_secret']}".encode()).decode()
    answer = world.send("POST", "/oidc/v1/token", {FORM: form}, authorization=f"Basic {basic}")
    assert answer.status == 200, answer
    return str(answer.json["access_token"])


def _forged(token: str) -> str:
    """The same claims and key id, signed with a key that is not ours."""
    head: dict[str, Any] = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})
    key: Any = (
        ec.generate_private_key(ec.SECP256R1())
        if head["alg"].startswith("ES")
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    return jwt.encode(claims, key, algorithm=head["alg"], headers={"kid": head["kid"]})

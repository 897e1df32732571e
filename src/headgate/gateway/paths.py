"""The paths of the data plane: what one is for, and the head of a request made of it. Both doors ask; nothing of a body is looked at.

    POST /serving-endpoints/{name}/invocations                             the path names the endpoint
    POST /serving-endpoints/{name}/served-models/{entity}/invocations      and one served entity of it
    POST /serving-endpoints/{chat/completions …}                           the body's `model` names the endpoint
    POST /ai-gateway/{mlflow,openai}/v1/{chat/completions …}               the same
    POST /serving-endpoints/anthropic/v1/messages, /ai-gateway/anthropic/v1/messages
    GET  …/models, …/models/{id}                                           beside each of the last three

What is below `/serving-endpoints/` is also below `/{workspace_id}/serving-endpoints/`, where endpoints that are route optimized say they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headgate import errors
from headgate.gateway.call import (
    CHAT_COMPLETIONS,
    COMPLETIONS,
    EMBEDDINGS,
    INVOCATIONS,
    MESSAGES,
    RESPONSES,
    Head,
)

ORDINARY = "/serving-endpoints/"
GATEWAY = "/ai-gateway/"
MODELS = "models"
"""As a target's api: a list of what could be asked."""

_OPENAI_BASES = ("/serving-endpoints/", "/ai-gateway/mlflow/v1/", "/ai-gateway/openai/v1/")
_ANTHROPIC_BASES = ("/serving-endpoints/anthropic/v1/", "/ai-gateway/anthropic/v1/")
BY_BODY: Mapping[str, str] = {
    **{base + api: api for base in _OPENAI_BASES for api in (CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS, RESPONSES)},
    **{base + "messages": MESSAGES for base in _ANTHROPIC_BASES},
}
"""Paths where the body names the endpoint -> api."""
MODELS_PATHS = tuple(base + MODELS for base in (*_OPENAI_BASES, *_ANTHROPIC_BASES))

INVOCATIONS_PATH = "/serving-endpoints/{name}/invocations"
SERVED_MODEL_PATH = "/serving-endpoints/{name}/served-models/{served_model_name}/invocations"
WORKSPACE_PATH = "/{workspace_id}/serving-endpoints/{name}/invocations"
ROUTES: tuple[tuple[str, str], ...] = (
    ("POST", INVOCATIONS_PATH),
    ("POST", SERVED_MODEL_PATH),
    ("POST", WORKSPACE_PATH),
    *(("POST", path) for path in BY_BODY),
    *(("GET", path) for path in MODELS_PATHS),
    *(("GET", path + "/{id}") for path in MODELS_PATHS),
)
"""(method, path) of all that is answered here."""

_LISTED = b"anthropic-beta"

_HOW = "Send requests as POST /serving-endpoints/{name}/invocations."
_HOW_BY_BODY = (
    "Language models also answer, with the endpoint's name as 'model', at POST /serving-endpoints/chat/completions, /completions, "
    "/embeddings, /responses and /anthropic/v1/messages, and below /ai-gateway/openai/v1 and /ai-gateway/anthropic/v1; GET …/models "
    "lists what you may query."
)
_NO_COUNTING = "Tokens are not counted ahead of a request here: the answer's usage says how many they were. Leave count_tokens out."


@dataclass(frozen=True, slots=True)
class Target:
    """What a path is for."""

    endpoint_name: str
    """Empty where the body names it. Of MODELS: the one that is asked for, empty for all."""
    entity_name: str | None
    api: str
    """One of `call.APIS`, or MODELS."""
    anthropic: bool = False
    """Whether Anthropic's clients ask here: they send their key in a header of its own."""


_TARGETS: Mapping[str, Target] = {
    **{path: Target("", None, api, api == MESSAGES) for path, api in BY_BODY.items()},
    **{path: Target("", None, MODELS, "/anthropic/" in path) for path in MODELS_PATHS},
}


def within_workspace(path: str, prefix: str) -> str:
    """The path without the workspace that it names, if it begins with `prefix` (`/{workspace_id}/serving-endpoints/`)."""
    return path[len(prefix) - len(ORDINARY) :] if path.startswith(prefix) else path


def target(method: str, path: str) -> Target:
    """What a path is for. Raises EndpointNotFound, MethodNotAllowed."""
    found = _TARGETS.get(path) or _find(path.removesuffix("/"))
    if found is None:
        advice = _NO_COUNTING if path.rstrip("/").endswith("/messages/count_tokens") else f"{_HOW} {_HOW_BY_BODY}"
        raise errors.EndpointNotFound(f"There is nothing at {method} {path}. {advice}")
    allowed = ("GET", "HEAD") if found.api == MODELS else ("POST",)
    if method not in allowed:
        how = _HOW if found.api == INVOCATIONS else f"Use {allowed[0]}."
        raise errors.MethodNotAllowed(f"{method} is not allowed here. {how}", headers={"allow": ", ".join(allowed)})
    return found


def _find(path: str) -> Target | None:
    found = _TARGETS.get(path)
    if found is not None:
        return found
    parts = path.split("/")
    if parts[1:2] == ["serving-endpoints"]:
        if len(parts) == 4 and parts[3] == "invocations":
            return Target(parts[2], None, INVOCATIONS)
        if len(parts) == 6 and parts[3] == "served-models" and parts[5] == "invocations":
            return Target(parts[2], parts[4], INVOCATIONS)
    base, _, name = path.rpartition("/")
    listed = _TARGETS.get(base)
    return Target(name, None, MODELS, listed.anthropic) if listed is not None and listed.api == MODELS else None


def headers_of(fields: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by their names, which are in lower case. Of several of a name the last counts, but where all of them together are a list that goes on."""
    headers = dict(fields)
    if len(headers) != len(fields) and _LISTED in headers:
        headers[_LISTED] = b",".join([value for name, value in fields if name == _LISTED])
    return headers


def head(method: str, path: str, found: Target, headers: Mapping[bytes, bytes]) -> Head:
    """The head of a request. `path` as the client wrote it, names of headers in lower case."""
    authorization = headers.get(b"authorization")
    if authorization is None and found.anthropic and (key := headers.get(b"x-api-key")) is not None:
        authorization = b"Bearer " + key
    return Head(
        method=method,
        path=path,
        endpoint_name=found.endpoint_name,
        entity_name=found.entity_name,
        headers=headers,
        authorization=None if authorization is None else authorization.decode("latin-1"),
        content_type=headers.get(b"content-type", b""),
        api=found.api,
    )

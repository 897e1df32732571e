"""Families given as tables: each route with what it reads, what answers it, and what it takes of the caller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from headgate.api.dependencies import Caller, Given
from headgate.api.model_registry import arguments
from headgate.api.model_registry.arguments import Arguments
from headgate.api.model_registry.asking import Asking
from headgate.errors import ResourceConflict
from headgate.registry.models import Registry
from headgate.store import served_models

SEEN = "to see it"
ASKED = "asked by the answer"


@dataclass(frozen=True, slots=True)
class Operation:
    """One route."""

    method: str
    path: str
    arguments: type[Arguments]
    answer: Callable[[Asking, Any], dict[str, Any]]
    needs: str
    """A privilege on `securable` of the arguments; SEEN: to see that; ASKED: the answer asks by itself."""


def router(registry: Registry, operations: Sequence[Operation], *, prefix: str, tag: str) -> APIRouter:
    """The family of these operations."""
    family = APIRouter(prefix=prefix, tags=[tag])
    for operation in operations:
        family.add_api_route(
            f"/{operation.path}",
            _endpoint(registry, operation),
            methods=[operation.method],
            name=f"{operation.method} {operation.path}",
            openapi_extra=_documented(operation),
        )
    return family


def _endpoint(registry: Registry, operation: Operation) -> Callable[..., Any]:
    read = arguments.reader(operation.arguments)

    # Not async: FastAPI runs it in a thread, so that the database and the disk hold up nobody.
    def answer(request: Request, given: Given, caller: Caller, sent: Any = Depends(read)) -> JSONResponse:
        asking = Asking(registry, given.model_rights, caller, given.directory(), given.workspace_id)
        securable: Any = getattr(sent, "securable", None)
        if securable is not None:
            request.state.audit_object = securable.id
        if operation.needs == SEEN:
            asking.standing(securable).require_seen()
        elif operation.needs != ASKED:
            asking.standing(securable).require(operation.needs)
        try:
            return JSONResponse(operation.answer(asking, sent))
        except served_models.InUse as error:
            visible = given.rights.endpoint_levels(caller, error.endpoints)
            names = [name for one, name in error.endpoints.items() if one in visible]
            raise ResourceConflict(served_models.told(error.what, names, len(error.endpoints) - len(names))) from error

    return answer


def _documented(operation: Operation) -> dict[str, Any]:
    schema = _inlined(operation.arguments.model_json_schema())
    required, properties = schema.get("required", []), schema.get("properties", {})
    in_path = [name for name in properties if f"{{{name}}}" in operation.path]
    parameters = [{"name": name, "in": "path", "required": True, "schema": properties[name]} for name in in_path]
    left = {name: properties[name] for name in properties if name not in in_path}
    if operation.method == "GET":
        parameters += [
            {"name": name, "in": "query", "required": name in required, "schema": left[name]} for name in left
        ]
    documented: dict[str, Any] = {"parameters": parameters} if parameters else {}
    if operation.method != "GET" and left:
        needed = [name for name in required if name in left]
        body = {"type": "object", "title": schema["title"], "properties": left}
        if needed:
            body["required"] = needed
        documented["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return documented


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without references, which would point into the whole document."""
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, dict) and "$ref" in node:
            return resolve(definitions[node["$ref"].rpartition("/")[2]])
        if isinstance(node, dict):
            return {key: resolve(value) for key, value in node.items()}
        return [resolve(value) for value in node] if isinstance(node, list) else node

    resolved: dict[str, Any] = resolve(schema)
    return resolved

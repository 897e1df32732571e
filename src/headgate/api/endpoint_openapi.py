"""`GET …/openapi`: an OpenAPI 3.1 document of what an endpoint's models take and give, made from their signatures.

All schemas are inline: clients generate types from `paths` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from headgate.api.dependencies import Caller, Given, base_url
from headgate.api.language import vendors_document
from headgate.api.serving_endpoints import PREFIX, find
from headgate.domain import signature
from headgate.domain.endpoint import Endpoint
from headgate.domain.environment import ModelDescription
from headgate.domain.grants import CAN_VIEW
from headgate.domain.signature import Field, Schema, Signature
from headgate.errors import InvalidState

# Bodies with one of these are handed to the model whole, and so is its answer.
_WHOLE = ("messages", "prompt", "input")


def routes() -> APIRouter:
    """The family."""
    router = APIRouter(prefix=PREFIX + "/{name}", tags=["serving endpoints"])
    router.get("/openapi", response_model=dict[str, Any])(get_open_api)
    return router


def get_open_api(name: str, request: Request, dependencies: Given, caller: Caller) -> JSONResponse:
    """An endpoint's OpenAPI document. Takes CAN_VIEW."""
    endpoint = find(dependencies, caller, name, CAN_VIEW)
    if endpoint.serving is None:
        raise InvalidState(
            f"Endpoint {name} has no OpenAPI document yet: none of its configs is ready. Wait until its state is READY."
        )
    if endpoint.serving.config.is_external:
        return JSONResponse(vendors_document.document(endpoint, base_url(dependencies, request)))
    models = {
        entity.name: dependencies.describe(entity.entity_name, entity.entity_version)
        for entity in endpoint.serving.config.served_entities
    }
    return JSONResponse(document(endpoint, models, base_url(dependencies, request)))


def document(endpoint: Endpoint, models: Mapping[str, ModelDescription], base: str) -> dict[str, Any]:
    """The document. `models` maps served entity names to what they serve; `base` is scheme and host."""
    version = endpoint.serving.number if endpoint.serving else 0
    return {
        "openapi": "3.1.0",
        "info": {"title": endpoint.name, "version": str(version)},
        "servers": [{"url": f"{base}/serving-endpoints/{endpoint.name}"}],
        "paths": {f"/served-models/{name}/invocations": {"post": _operation(model)} for name, model in models.items()},
    }


def _operation(model: ModelDescription) -> dict[str, Any]:
    known = signature.parse(model.signature)
    return {
        "summary": f"Query {model.full_name} version {model.version}",
        "requestBody": {"required": True, "content": {"application/json": {"schema": _request(known)}}},
        "responses": {
            "200": {
                "description": "What the model answers.",
                "content": {"application/json": {"schema": _response(known)}},
            }
        },
    }


def _request(known: Signature) -> Schema:
    if not known.inputs:
        return {"type": "object"}
    forms = _tensor_forms(known.inputs) if known.inputs[0].is_tensor else _column_forms(known.inputs)
    params = {field.name: field.schema for field in known.params}
    for form in forms:
        if params:
            form["properties"]["params"] = {"type": "object", "properties": params}
    return {"oneOf": [*forms, *_whole_form(known)]}


def _whole_form(known: Signature) -> list[Schema]:
    """Chat models and agents also take their columns as the body itself, parameters among them."""
    keys = [field.name for field in known.inputs if field.name in _WHOLE]
    if not keys:
        return []
    fields = [*known.inputs, *known.params]
    return [{**_record(fields), "required": keys}]


def _column_forms(fields: Sequence[Field]) -> list[Schema]:
    if not all(field.name for field in fields):
        return [_form("inputs", {"type": "array", "items": fields[0].schema})]
    return [
        _form("dataframe_split", _split(fields)),
        _form("dataframe_records", {"type": "array", "items": _record(fields)}),
    ]


def _split(fields: Sequence[Field]) -> Schema:
    required = ", ".join(field.name for field in fields if field.required)
    columns = {
        "type": "array",
        "description": f"required fields: {required}",
        "items": {"type": "string", "enum": [field.name for field in fields]},
    }
    # Columns may come in any order, so each cell has one of the columns' types.
    kinds: list[Schema] = []
    for field in fields:
        if field.schema not in kinds:
            kinds.append(field.schema)
    cells = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    data = {"type": "array", "items": {"type": "array", "items": cells}}
    index = {"type": "array", "items": {"type": ["integer", "string"]}}
    properties = {"columns": columns, "data": data, "index": index}
    return {"type": "object", "properties": properties, "required": ["columns", "data"]}


def _tensor_forms(fields: Sequence[Field]) -> list[Schema]:
    if not fields[0].name:
        return [_form("inputs", fields[0].schema), _form("instances", fields[0].schema)]
    rows = [Field(field.name, field.schema.get("items", field.schema)) for field in fields]
    return [_form("inputs", _record(fields)), _form("instances", {"type": "array", "items": _record(rows)})]


def _form(key: str, schema: Schema) -> Schema:
    return {"type": "object", "properties": {key: schema}, "required": [key]}


def _record(fields: Sequence[Field]) -> Schema:
    required = [field.name for field in fields if field.required]
    schema: Schema = {"type": "object", "properties": {field.name: field.schema for field in fields}}
    return schema | ({"required": required} if required else {})


def _response(known: Signature) -> Schema:
    predictions = _form("predictions", _predictions(known.outputs))
    if any(field.name in _WHOLE for field in known.inputs):
        return {"anyOf": [predictions, {"type": "object"}]}
    return predictions


def _predictions(fields: Sequence[Field]) -> Schema:
    if not fields:
        return {}
    if fields[0].is_tensor:
        return _record(fields) if fields[0].name else fields[0].schema
    if all(field.name for field in fields):
        return {"type": "array", "items": _record(fields)}
    return {"type": "array", "items": fields[0].schema}

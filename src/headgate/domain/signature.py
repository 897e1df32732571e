"""An MLflow signature (the JSON texts in an MLmodel file) as fields with JSON Schema types. Pure.

The API asks it whether a model can be served and what its requests look like; enforcing it is the worker's work, with MLflow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headgate.errors import InvalidParameterValue

Schema = dict[str, Any]

_SCALARS: Mapping[str, Schema] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "format": "int32"},
    "long": {"type": "integer", "format": "int64"},
    "float": {"type": "number", "format": "float"},
    "double": {"type": "number", "format": "double"},
    "string": {"type": "string"},
    "binary": {"type": "string", "contentEncoding": "base64"},
    "datetime": {"type": "string", "description": "Date and time, e.g. 2026-01-31T12:00:00."},
    "any": {},
    "sparkml vector": {"type": "array", "items": {"type": "number"}},
}
_TENSOR_KINDS = {"b": "boolean", "i": "integer", "u": "integer", "f": "number", "s": "string"}


@dataclass(frozen=True, slots=True)
class Field:
    """A column, tensor or parameter."""

    name: str
    """Empty when the signature names none."""
    schema: Schema
    """JSON Schema of one value (of the whole tensor, for a tensor)."""
    required: bool = True
    is_tensor: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives."""

    inputs: tuple[Field, ...] = ()
    outputs: tuple[Field, ...] = ()
    params: tuple[Field, ...] = ()


def parse(text: str) -> Signature:
    """Reads MLmodel's `signature` mapping, given as JSON; empty text is an empty signature. Raises InvalidParameterValue."""
    if not text:
        return Signature()
    try:
        mapping = json.loads(text) or {}
        inputs, outputs, params = (_entries(mapping.get(key)) for key in ("inputs", "outputs", "params"))
        return Signature(
            tuple(_field(entry) for entry in inputs),
            tuple(_field(entry) for entry in outputs),
            tuple(_parameter(entry) for entry in params),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidParameterValue(f"The model's signature cannot be read ({error}); log the model again.") from error


def check_servable(full_name: str, version: str, text: str) -> None:
    """Raises InvalidParameterValue for a model that says nothing about its inputs."""
    if not parse(text).inputs:
        raise InvalidParameterValue(
            f"Model {full_name} version {version} has no signature with inputs. Log it again with `signature=` "
            "(mlflow.models.infer_signature) or `input_example=`, register it, and use the new version."
        )


def _entries(part: Any) -> Sequence[Mapping[str, Any]]:
    """MLflow stores each part as JSON text inside the mapping."""
    entries = json.loads(part) if isinstance(part, str) else part
    return entries or []


def _field(entry: Mapping[str, Any]) -> Field:
    if entry["type"] == "tensor":
        return Field(str(entry.get("name") or ""), _tensor(entry["tensor-spec"]), is_tensor=True)
    return Field(str(entry.get("name") or ""), _nullable(entry), _is_required(entry))


def _parameter(entry: Mapping[str, Any]) -> Field:
    schema = _value(entry)
    if entry.get("shape"):
        schema = {"type": "array", "items": schema}
    return Field(str(entry["name"]), schema | {"default": entry.get("default")}, required=False)


def _value(entry: Mapping[str, Any]) -> Schema:
    kind = entry["type"]
    if kind == "array":
        return {"type": "array", "items": _value(entry["items"])}
    if kind == "map":
        return {"type": "object", "additionalProperties": _value(entry["values"])}
    if kind == "object":
        return _object(entry["properties"])
    return dict(_SCALARS[kind.replace("_", " ")])


def _object(properties: Mapping[str, Mapping[str, Any]]) -> Schema:
    required = [name for name, entry in properties.items() if _is_required(entry)]
    schemas = {name: _nullable(entry) for name, entry in properties.items()}
    return {"type": "object", "properties": schemas, **({"required": required} if required else {})}


def _nullable(entry: Mapping[str, Any]) -> Schema:
    schema = _value(entry)
    if not _is_required(entry) and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    return schema


def _is_required(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("required", not entry.get("optional", False)))


def _tensor(spec: Mapping[str, Any]) -> Schema:
    dtype = str(spec["dtype"])
    # "unicode"/"str" and "object" are what numpy calls text and anything.
    kind = _TENSOR_KINDS.get("b" if dtype == "bool" else dtype[0])
    schema: Schema = {"type": kind} if kind else {}
    for size in reversed(spec["shape"]):
        schema = {"type": "array", "items": schema}
        if size >= 0:
            schema |= {"minItems": size, "maxItems": size}
    return schema

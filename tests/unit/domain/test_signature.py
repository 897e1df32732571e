"""Signatures as MLflow itself writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headgate.domain import signature
from headgate.errors import InvalidParameterValue


def text(inputs: Any, outputs: Any = None, params: Any = None) -> str:
    """MLmodel's mapping: JSON texts inside JSON."""
    parts = {"inputs": inputs, "outputs": outputs, "params": params}
    return json.dumps({key: None if part is None else json.dumps(part) for key, part in parts.items()})


def column(**entry: Any) -> dict[str, Any]:
    return {"name": "c", "required": True, **entry}


@pytest.mark.parametrize(
    ("entry", "schema"),
    [
        ({"type": "boolean"}, {"type": "boolean"}),
        ({"type": "integer"}, {"type": "integer", "format": "int32"}),
        ({"type": "long"}, {"type": "integer", "format": "int64"}),
        ({"type": "float"}, {"type": "number", "format": "float"}),
        ({"type": "double"}, {"type": "number", "format": "double"}),
        ({"type": "string"}, {"type": "string"}),
        ({"type": "binary"}, {"type": "string", "contentEncoding": "base64"}),
        ({"type": "any"}, {}),
        ({"type": "sparkml vector"}, {"type": "array", "items": {"type": "number"}}),
        ({"type": "array", "items": {"type": "string"}}, {"type": "array", "items": {"type": "string"}}),
        ({"type": "map", "values": {"type": "boolean"}}, {"type": "object", "additionalProperties": {"type": "boolean"}}),
        (
            {"type": "object", "properties": {"a": {"type": "string", "required": True}, "b": {"type": "any", "required": False}}},
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]},
        ),
        ({"type": "string", "required": False}, {"type": ["string", "null"]}),
        ({"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}},
         {"type": "array", "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}}),
        ({"type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": [-1]}}, {"type": "array", "items": {"type": "integer"}}),
        ({"type": "tensor", "tensor-spec": {"dtype": "bool", "shape": [-1]}}, {"type": "array", "items": {"type": "boolean"}}),
        ({"type": "tensor", "tensor-spec": {"dtype": "str", "shape": [-1]}}, {"type": "array", "items": {"type": "string"}}),
        ({"type": "tensor", "tensor-spec": {"dtype": "object", "shape": [-1]}}, {"type": "array", "items": {}}),
    ],
)  # fmt: skip
def test_each_type_has_a_json_schema(entry: dict[str, Any], schema: dict[str, Any]) -> None:
    (field,) = signature.parse(text([column(**entry)])).inputs
    assert field.schema == schema


def test_older_models_say_optional_instead_of_required() -> None:
    (field,) = signature.parse(text([{"name": "c", "type": "string", "optional": True}])).inputs
    assert not field.required


def test_parameters_carry_their_defaults_and_may_be_lists() -> None:
    params = [
        {"name": "t", "type": "double", "default": 0.5, "shape": None},
        {"name": "stop", "type": "string", "default": ["a"], "shape": [-1]},
    ]
    first, second = signature.parse(text([column(type="string")], params=params)).params
    assert first.schema == {"type": "number", "format": "double", "default": 0.5}
    assert second.schema == {"type": "array", "items": {"type": "string"}, "default": ["a"]}


@pytest.mark.parametrize("said", ["", "{}", text(None, [{"type": "long"}]), text([])])
def test_a_model_without_inputs_cannot_be_served_and_is_told_what_to_do(said: str) -> None:
    with pytest.raises(
        InvalidParameterValue, match=r"Model a\.b\.c version 4 has no signature with inputs\. Log it again"
    ):
        signature.check_servable("a.b.c", "4", said)


@pytest.mark.parametrize("said", ["{", text([{"type": "nonsense"}]), text([{"name": "c"}]), '{"inputs": "["}', "[1]"])
def test_a_signature_that_cannot_be_read_is_an_error_of_the_model(said: str) -> None:
    with pytest.raises(InvalidParameterValue, match="signature cannot be read"):
        signature.parse(said)


def test_what_mlflow_infers_is_understood() -> None:
    mlflow_models = pytest.importorskip("mlflow.models")
    import numpy
    import pandas

    frame = pandas.DataFrame({"age": [1.5], "name": ["x"], "tags": [["a", "b"]], "profile": [{"height": 1}]})
    inferred = mlflow_models.infer_signature(frame, numpy.zeros((1, 3)), params={"limit": 3})
    known = signature.parse(json.dumps(inferred.to_dict()))
    assert [field.name for field in known.inputs] == ["age", "name", "tags", "profile"]
    assert known.outputs[0].is_tensor
    assert known.params[0].schema["default"] == 3

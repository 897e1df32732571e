"""The OpenAPI document of an endpoint: valid, and true to what MLflow takes."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from tests.fakes.api_house import SIGNATURE, ApiHouse

ARRAY = {"type": "array", "items": {"type": "double"}}
MODELS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]] = {
    "columns": (
        [{"type": "double", "name": "age", "required": True}, {"type": "string", "name": "city", "required": False}],
        [{"type": "long", "required": True}],
        [],
    ),
    "nested": (
        [
            {**ARRAY, "name": "history", "required": True},
            {"type": "map", "values": {"type": "long"}, "name": "counts", "required": True},
            {"type": "object", "properties": {"height": {"type": "double", "required": False}}, "name": "profile", "required": True},
        ],
        [{"type": "double", "name": "score", "required": True}, {"type": "string", "name": "label", "required": True}],
        [{"name": "limit", "type": "long", "default": 3, "shape": None}],
    ),
    "tensor": (
        [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}],
        [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 1]}}],
        [],
    ),
    "tensors": (
        [
            {"type": "tensor", "name": "a", "tensor-spec": {"dtype": "int64", "shape": [-1, 2]}},
            {"type": "tensor", "name": "b", "tensor-spec": {"dtype": "str", "shape": [-1]}},
        ],
        [{"type": "tensor", "name": "y", "tensor-spec": {"dtype": "float64", "shape": [-1]}}],
        [],
    ),
    "hints": ([{"type": "string", "required": True}], [{"type": "any", "required": True}], []),
    "chat": (
        [{"type": "array", "items": {"type": "object", "properties": {"role": {"type": "string", "required": True}}},
          "name": "messages", "required": True}],
        [{"type": "string", "name": "id", "required": True}],
        [{"name": "temperature", "type": "double", "default": 1.0, "shape": None}],
    ),
}  # fmt: skip


def signature(name: str) -> str:
    inputs, outputs, params = MODELS[name]
    return json.dumps({"inputs": json.dumps(inputs), "outputs": json.dumps(outputs), "params": json.dumps(params)})


def document(api: ApiHouse, model: str) -> dict[str, Any]:
    api.models.signatures[(f"main.default.{model}", "1")] = signature(model)
    name = f"of-{model}"
    if api.get(name).status == 404:
        assert api.create(name, {"entity_name": f"main.default.{model}", "entity_version": "1"}).status == 200
        api.activate(name)
    body: dict[str, Any] = api.get(name, "openapi").body
    return body


def schemas(found: dict[str, Any]) -> tuple[Any, Any]:
    """Of the request and of the answer."""
    (path,) = found["paths"].values()
    request = path["post"]["requestBody"]["content"]["application/json"]["schema"]
    answer = path["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    return request, answer


@pytest.mark.parametrize("model", MODELS)
def test_the_document_is_valid_openapi_with_valid_schemas(api: ApiHouse, model: str) -> None:
    found = document(api, model)
    schemathesis.openapi.from_dict(found).validate()
    for schema in schemas(found):
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def test_the_document_names_endpoint_version_server_and_entity(api: ApiHouse) -> None:
    found = document(api, "columns")
    assert (found["openapi"], found["info"]) == ("3.1.0", {"title": "of-columns", "version": "1"})
    assert found["servers"] == [{"url": "http://headgate.test/serving-endpoints/of-columns"}]
    assert list(found["paths"]) == ["/served-models/columns-1/invocations"]
    split = schemas(found)[0]["oneOf"][0]["properties"]["dataframe_split"]
    assert split["properties"]["columns"]["description"] == "required fields: age"
    assert split["properties"]["columns"]["items"]["enum"] == ["age", "city"]


MESSAGES = {"messages": [{"role": "user"}]}
TAKEN: list[tuple[str, Any]] = [
    ("columns", {"dataframe_split": {"columns": ["age"], "data": [[1.5]], "index": [0]}}),
    ("columns", {"dataframe_split": {"columns": ["city", "age"], "data": [["x", 1.5], [None, 2]]}}),
    ("columns", {"dataframe_records": [{"age": 1.5, "city": None}, {"age": 2}]}),
    (
        "nested",
        {
            "dataframe_records": [{"history": [1, 2.5], "counts": {"a": 1}, "profile": {"height": None}}],
            "params": {"limit": 4},
        },
    ),
    ("tensor", {"inputs": [[1.0, 2.0]]}),
    ("tensor", {"instances": [[1.0, 2.0], [3.0, 4.0]]}),
    ("tensors", {"inputs": {"a": [[1, 2]], "b": ["x"]}}),
    ("tensors", {"instances": [{"a": [1, 2], "b": "x"}]}),
    ("hints", {"inputs": ["a", "b"]}),
    ("chat", {"dataframe_records": [MESSAGES]}),
    ("chat", {**MESSAGES, "temperature": 0.5}),
]
REFUSED: list[tuple[str, Any]] = [
    ("columns", {"dataframe_split": {"columns": ["height"], "data": [[1.5]]}}),
    ("columns", {"dataframe_records": [{"city": "x"}]}),
    ("columns", {"dataframe_records": [{"age": "x"}]}),
    ("columns", {"dataframe_records": [{"age": 1}], "dataframe_split": {"columns": ["age"], "data": [[1]]}}),
    ("nested", {"dataframe_records": [{"history": 1, "counts": {}, "profile": {}}]}),
    ("nested", {"dataframe_records": [], "params": {"limit": "many"}}),
    ("tensor", {"inputs": [[1.0, 2.0, 3.0]]}),
    ("tensors", {"inputs": {"a": [[1, 2]]}}),
    ("hints", {"inputs": "a"}),
    ("chat", {"prompt": "hello"}),
    ("chat", {}),
]


@pytest.mark.parametrize(("model", "body"), TAKEN)
def test_bodies_that_the_model_takes_fit_the_document(api: ApiHouse, model: str, body: Any) -> None:
    jsonschema_rs.validate(schemas(document(api, model))[0], body)


@pytest.mark.parametrize(("model", "body"), REFUSED)
def test_bodies_that_the_model_refuses_do_not_fit_the_document(api: ApiHouse, model: str, body: Any) -> None:
    assert not jsonschema_rs.is_valid(schemas(document(api, model))[0], body)


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        ("columns", {"predictions": [1, 2]}),
        ("nested", {"predictions": [{"score": 0.5, "label": "x"}]}),
        ("tensor", {"predictions": [[0.5]]}),
        ("tensors", {"predictions": {"y": [0.5]}}),
        ("hints", {"predictions": [{"anything": 1}]}),
        ("chat", {"id": "1", "choices": []}),
    ],
)
def test_answers_fit_the_document(api: ApiHouse, model: str, answer: Any) -> None:
    jsonschema_rs.validate(schemas(document(api, model))[1], answer)


def test_every_entity_of_the_serving_config_has_a_path(api: ApiHouse) -> None:
    api.models.signatures[("main.default.churn", "1")] = SIGNATURE
    split = {"routes": [{"served_entity_name": "a", "traffic_percentage": 100}]}
    entities = [{"name": name, "entity_name": "main.default.churn", "entity_version": "1"} for name in ("a", "b")]
    api.create("pair", *entities, traffic_config=split)
    api.activate("pair")
    assert list(api.get("pair", "openapi").body["paths"]) == [
        "/served-models/a/invocations",
        "/served-models/b/invocations",
    ]


def test_an_endpoint_that_is_not_ready_has_no_document(api: ApiHouse) -> None:
    api.create("unready")
    status, code, message = api.get("unready", "openapi").error
    assert (status, code) == (400, "INVALID_STATE") and "Wait until its state is READY" in message

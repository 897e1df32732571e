"""Filters, page tokens and arguments of the registry's API."""

from __future__ import annotations

from typing import Any

import pytest

from headgate import errors
from headgate.access.model_rights import ModelRights
from headgate.access.principals import Principal
from headgate.api.model_registry import arguments, mlflow_registry, registry_search
from headgate.api.model_registry.asking import Asking
from headgate.api.model_registry.registry_search import SearchModels, SearchVersions
from headgate.domain.registered_model import Author, VersionOrigin
from headgate.registry.models import NewModel

ANN = Author("7", "ann")
NAMES = ["dev.default.a", "main.default.a", "main.default.b", "main.other.c"]


def filled(room: Any) -> Any:
    registry = room.registry()
    for number, name in enumerate(NAMES):
        catalog, schema, _ = name.split(".")
        registry.create_model(NewModel(name, ANN, missing=(catalog, f"{catalog}.{schema}")))
        for version in range(2):
            registry.create_version(name, ANN, VersionOrigin(run_id=f"run-{number}-{version}"))
    return registry


def asked(room: Any, registry: Any) -> Asking:
    return Asking(registry, ModelRights(room.database), Principal("1", "admin", admin=True))


def versions(room: Any, registry: Any, **arguments: Any) -> list[str]:
    answer = registry_search.versions(asked(room, registry), SearchVersions(**arguments))
    return [f"{found['name']}/{found['version']}" for found in answer["model_versions"]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name='main.default.a'", ["main.default.a/2", "main.default.a/1"]),
        ('name = "Main.Default.A"', ["main.default.a/2", "main.default.a/1"]),
        ("run_id='run-1-0'", ["main.default.a/1"]),
        ("name='main.default.a' AND run_id = 'run-1-1'", ["main.default.a/2"]),
        ("catalog_name='main' and schema_name='other'", ["main.other.c/2", "main.other.c/1"]),
        ("name='main.default.absent'", []),
    ],
)
def test_versions_are_found_by_filter(room: Any, text: str, found: list[str]) -> None:
    assert versions(room, filled(room), filter=text) == found


@pytest.mark.parametrize(
    "text", ["name like 'x'", "name='a", "tags.x='y'", "name='a.b.c' OR run_id='x'", "name='a.b.c' run_id='x'", "AND"]
)
def test_filters_that_are_not_known_are_refused(room: Any, text: str) -> None:
    with pytest.raises(errors.InvalidParameterValue, match="Invalid filter"):
        versions(room, room.registry(), filter=text)


def test_models_of_a_catalog_are_found(room: Any) -> None:
    answer = registry_search.models(asked(room, filled(room)), SearchModels(catalog_name="MAIN", schema_name="default"))
    assert [found["name"] for found in answer["registered_models"]] == NAMES[1:3]
    assert "next_page_token" not in answer


def test_pages_follow_each_other_to_the_end(room: Any) -> None:
    asking, token, seen = asked(room, filled(room)), "", []
    for _ in range(3):
        answer = registry_search.versions(asking, SearchVersions(max_results=3, page_token=token))
        seen += [(found["name"], found["version"]) for found in answer["model_versions"]]
        token = answer.get("next_page_token", "")
    assert token == ""
    assert seen == [(name, number) for name in NAMES for number in ("2", "1")]


@pytest.mark.parametrize(
    "token", ["x", "bm90IGpzb24=", "WzEsIDJd", "e30=", "WyJhIiwgMWU5OTld", "é", "WyJhIiwgbnVsbF0="]
)
def test_page_tokens_of_others_are_refused(room: Any, token: str) -> None:
    with pytest.raises(errors.InvalidParameterValue, match="page_token"):
        registry_search.models(asked(room, room.registry()), SearchModels(page_token=token))


@pytest.mark.parametrize("operation", mlflow_registry.OPERATIONS, ids=lambda operation: operation.path)
def test_what_is_missing_is_named(operation: Any) -> None:
    required = operation.arguments.model_json_schema().get("required", [])
    if not required:
        arguments.validated(operation.arguments, {"unknown": 1})
        return
    with pytest.raises(errors.InvalidParameterValue, match=f"parameter '{required[0]}': it is missing"):
        arguments.validated(operation.arguments, {"unknown": 1})

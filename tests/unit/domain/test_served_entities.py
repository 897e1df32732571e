"""Sizes, types, names and variables of one served entity."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.domain import served_entities
from headgate.domain.endpoint_wish import EntityWish
from headgate.errors import InvalidParameterValue

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"entity_name": None}, "entity_name is missing"),
    ({"entity_name": "churn"}, "not a full model name: write it as catalog.schema.model"),
    ({"entity_name": "main.default."}, "not a full model name"),
    ({"entity_name": "a.b.c.d"}, "not a full model name"),
    ({"entity_version": None}, "entity_version is missing for main.default.churn"),
    ({"entity_version": "latest"}, "neither a version number nor an alias"),
    ({"entity_version": "-1"}, "neither a version number nor an alias"),
    ({"entity_version": "Champion"}, "write e.g. 1 or @Champion"),
    ({"name": "a.b"}, "'a.b' is not a valid served entity name"),
    ({"name": "a" * 64}, "1 to 63 letters"),
    ({"workload_type": "TPU"}, "workload_type 'TPU' is unknown; use one of CPU, CPU_MEDIUM"),
    ({"workload_type": "GPU_SMALL"}, "GPU_SMALL needs a GPU, and this server has none"),
    ({"workload_size": "small"}, "workload_size 'small' is unknown; use one of Small, Medium, Large"),
    ({"workload_size": "Small", "max_provisioned_concurrency": 4}, "cannot be combined"),
    ({"workload_size": "Small", "min_provisioned_concurrency": 4}, "cannot be combined"),
    ({"min_provisioned_concurrency": 4}, "needs max_provisioned_concurrency"),
    ({"max_provisioned_concurrency": 0}, "between 1 and 1024, not 0"),
    ({"max_provisioned_concurrency": 1025}, "between 1 and 1024, not 1025"),
    ({"min_provisioned_concurrency": 9, "max_provisioned_concurrency": 8}, r"max_provisioned_concurrency \(8\), not 9"),
    ({"min_provisioned_concurrency": -1, "max_provisioned_concurrency": 8}, "not -1"),
    ({"environment_vars": {f"V{n}": "" for n in range(31)}}, "31 entries; at most 30"),
    ({"environment_vars": {"1A": ""}}, "'1A' is not a valid name"),
    ({"environment_vars": {"": ""}}, "'' is not a valid name"),
    ({"environment_vars": {"A=B": ""}}, "'A=B' is not a valid name"),
    ({"environment_vars": {"HEADGATE_LIFELINE_FD": "3"}}, "reserved"),
    ({"environment_vars": {"HEADGATE_BATCHING": "yes"}}, "'yes'; it can be auto or on or off"),
    (
        {"environment_vars": {"KEY": "{{secrets/scope}}"}},
        r"KEY: .*is not a reference to a secret: write \{\{secrets/<scope>/<key>\}\}",
    ),
    ({"environment_vars": {"HEADGATE_BATCHING": "{{secrets/scope/key}}"}}, "it can be auto or on or off"),
]


@pytest.mark.parametrize(("values", "message"), REFUSED)
def test_an_entity_that_cannot_be_served_is_refused(values: dict[str, Any], message: str) -> None:
    wish = EntityWish(**{"entity_name": "main.default.churn", "entity_version": "1", **values})
    with pytest.raises(InvalidParameterValue, match=message):
        served_entities.check(wish, gpu_available=False)


ACCEPTED: list[dict[str, Any]] = [
    {},
    {"entity_version": "@Champion"},
    {"name": "my_entity-1"},
    {"workload_type": "CPU_LARGE", "workload_size": "Large"},
    {"max_provisioned_concurrency": 1},
    {"min_provisioned_concurrency": 0, "max_provisioned_concurrency": 1024},
    {"environment_vars": {f"V{n}": "{{not/a/secret}}" for n in range(30)}},
    {"environment_vars": {"HEADGATE_BATCHING": "On", "HEADGATE_NATIVE_PREDICT": "off"}},
]


@pytest.mark.parametrize("values", ACCEPTED)
def test_an_ordinary_entity_is_accepted(values: dict[str, Any]) -> None:
    wish = EntityWish(**{"entity_name": "main.default.churn", "entity_version": "1", **values})
    served_entities.check(wish, gpu_available=False)


def test_gpu_types_are_accepted_where_there_is_a_gpu() -> None:
    for workload_type in served_entities.GPU_TYPES:
        served_entities.check(EntityWish("a.b.c", "1", workload_type=workload_type), gpu_available=True)


def test_foundation_models_are_not_served() -> None:
    with pytest.raises(InvalidParameterValue, match="foundation model"):
        served_entities.check(EntityWish("system.ai.llama", "1"), gpu_available=True)


@pytest.mark.parametrize(
    ("entity_name", "version", "name"),
    [
        ("main.default.churn", "1", "churn-1"),
        ("a.b.meta llama:3", "12", "meta-llama-3-12"),
        ("a.b.x_y", "@Champion", "x_y-Champion"),
        ("a.b.x_y", "@größte wahl", "x_y-gr--te-wahl"),
    ],
)
def test_the_default_name_is_made_of_model_and_version(entity_name: str, version: str, name: str) -> None:
    assert served_entities.default_name(entity_name, version) == name

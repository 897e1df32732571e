"""Rules and defaults of one served entity: which sizes, types, names and variables there may be. Pure; asked by `endpoint_rules`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from headgate.domain import secret_references
from headgate.domain.endpoint import WORKLOAD_SIZES
from headgate.domain.endpoint_wish import EntityWish
from headgate.errors import InvalidParameterValue

CPU_TYPES = ("CPU", "CPU_MEDIUM", "CPU_LARGE")
GPU_TYPES = (
    "GPU_SMALL", "GPU_MEDIUM", "GPU_MEDIUM_8", "MULTIGPU_MEDIUM", "GPU_LARGE", "GPU_LARGE_2", "GPU_LARGE_4",
    "GPU_LARGE_8", "GPU_XLARGE", "GPU_XLARGE_8",
)  # fmt: skip
MOST_CONCURRENCY = 1024
MOST_VARIABLES = 30
NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")
OPTIONS = {"HEADGATE_BATCHING": ("auto", "on", "off"), "HEADGATE_NATIVE_PREDICT": ("auto", "off")}
"""Variables by which an entity's owner steers the worker's fast path, and their values."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VERSION = re.compile(r"[0-9]{1,18}|@[^\s@/]{1,255}")
_LEVELS = 3


def check(wish: EntityWish, *, gpu_available: bool) -> None:
    """Everything that can be said of an entity without the registry. Raises InvalidParameterValue."""
    if wish.name is not None and not NAME.fullmatch(wish.name):
        raise InvalidParameterValue(
            f"{wish.name!r} is not a valid served entity name: use 1 to 63 letters, digits, dashes and underscores."
        )
    if wish.external is not None:
        return
    _check_model(wish.entity_name, wish.entity_version)
    _check_type(wish.workload_type, gpu_available)
    _check_size(wish)
    check_variables(wish.environment_vars)


def default_name(entity_name: str, version: str) -> str:
    """`main.default.churn`, `1` -> `churn-1`; `@Champion` -> `churn-Champion`, whichever version that is: routes name it."""
    last, end = (re.sub(r"[^A-Za-z0-9_-]", "-", part) for part in (entity_name.rpartition(".")[2], version.lstrip("@")))
    end = end[:40]
    return f"{last[: 62 - len(end)]}-{end}"


def sizing(wish: EntityWish) -> tuple[str | None, int | None, int | None]:
    """Workload size, least and most provisioned concurrency. Only what was given, `Small` when nothing was."""
    if wish.workload_size is None and wish.max_provisioned_concurrency is None:
        return "Small", None, None
    return wish.workload_size, wish.min_provisioned_concurrency, wish.max_provisioned_concurrency


def check_variables(variables: Mapping[str, str]) -> None:
    """Environment variables of a model. Raises InvalidParameterValue."""
    if len(variables) > MOST_VARIABLES:
        raise InvalidParameterValue(
            f"environment_vars has {len(variables)} entries; at most {MOST_VARIABLES} are allowed per served entity."
        )
    for name, value in variables.items():
        if name in OPTIONS:
            if value.strip().lower() not in OPTIONS[name]:
                raise InvalidParameterValue(
                    f"environment_vars: {name} is {value!r}; it can be {' or '.join(OPTIONS[name])}."
                )
        elif not _VARIABLE.fullmatch(name) or name.startswith("HEADGATE_"):
            raise InvalidParameterValue(
                f"environment_vars: {name!r} is not a valid name. Use letters, digits and underscores, beginning with no digit; "
                f"names beginning with HEADGATE_ are reserved, but for {' and '.join(OPTIONS)}."
            )
        try:
            secret_references.within(value)
        except InvalidParameterValue as error:
            raise InvalidParameterValue(f"environment_vars: {name}: {error.message}") from error


def _check_model(entity_name: str | None, version: str | None) -> None:
    if not entity_name:
        raise InvalidParameterValue("entity_name is missing: give the model's full name, catalog.schema.model.")
    if entity_name.startswith("system.ai."):
        raise InvalidParameterValue(
            f"{entity_name} is a foundation model; this server serves custom models of its own registry only."
        )
    levels = entity_name.split(".")
    if len(levels) != _LEVELS or not all(levels):
        raise InvalidParameterValue(
            f"entity_name {entity_name!r} is not a full model name: write it as catalog.schema.model, e.g. main.default.churn."
        )
    if not version:
        raise InvalidParameterValue(
            f"entity_version is missing for {entity_name}: give a version such as 1, or an alias such as @Champion."
        )
    if not _VERSION.fullmatch(version):
        raise InvalidParameterValue(
            f"entity_version {version!r} is neither a version number nor an alias: write e.g. 1 or @Champion."
        )


def _check_type(workload_type: str | None, gpu_available: bool) -> None:
    if workload_type is None or workload_type in CPU_TYPES:
        return
    if workload_type not in GPU_TYPES:
        raise InvalidParameterValue(
            f"workload_type {workload_type!r} is unknown; use one of {', '.join(CPU_TYPES + GPU_TYPES)}."
        )
    if not gpu_available:
        raise InvalidParameterValue(
            f"workload_type {workload_type} needs a GPU, and this server has none; use one of {', '.join(CPU_TYPES)}."
        )


def _check_size(wish: EntityWish) -> None:
    low, high = wish.min_provisioned_concurrency, wish.max_provisioned_concurrency
    if wish.workload_size is not None and wish.workload_size not in WORKLOAD_SIZES:
        raise InvalidParameterValue(
            f"workload_size {wish.workload_size!r} is unknown; use one of {', '.join(WORKLOAD_SIZES)}."
        )
    if wish.workload_size is not None and (low is not None or high is not None):
        raise InvalidParameterValue(
            "workload_size cannot be combined with min_provisioned_concurrency and max_provisioned_concurrency: give one of them."
        )
    if low is not None and high is None:
        raise InvalidParameterValue("min_provisioned_concurrency needs max_provisioned_concurrency beside it.")
    if high is not None and not 1 <= high <= MOST_CONCURRENCY:
        raise InvalidParameterValue(
            f"max_provisioned_concurrency must be between 1 and {MOST_CONCURRENCY}, not {high}."
        )
    if low is not None and high is not None and not 0 <= low <= high:
        raise InvalidParameterValue(
            f"min_provisioned_concurrency must be between 0 and max_provisioned_concurrency ({high}), not {low}."
        )

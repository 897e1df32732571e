"""What an `MLmodel` file must say before its version may become READY. Called by `version_files.finalize`; pure."""

from __future__ import annotations

import json
from typing import Any

import yaml

from headgate import errors

FILE_NAME = "MLmodel"
MAX_BYTES = 16 * 1024 * 1024
_EXPLANATION = (
    "All models in the Unity Catalog must be logged with a model signature containing both input and output type "
    "specifications. See https://mlflow.org/docs/latest/model/signatures.html#how-to-log-models-with-signatures "
    "for details on how to log a model with a signature"
)


def check(text: str | None) -> None:
    """Raises InvalidParameterValue unless `text` (None: there is no such file) is of a model with flavors and a full signature."""
    if text is None:
        raise errors.InvalidParameterValue(
            "The model version has no MLmodel file. Upload the files of an MLflow model folder, the MLmodel file among "
            "them, before finalizing it."
        )
    model = _parsed(text)
    if not isinstance(model.get("flavors"), dict) or not model["flavors"]:
        raise errors.InvalidParameterValue("The MLmodel file names no flavors: it is not of an MLflow model.")
    signature = model.get("signature")
    if not isinstance(signature, dict) or not any(signature.values()):
        raise errors.InvalidParameterValue(
            f"Model passed for registration did not contain any signature metadata. {_EXPLANATION}"
        )
    for field, other in (("outputs", "inputs"), ("inputs", "outputs")):
        if not _is_schema(signature.get(field)):
            raise errors.InvalidParameterValue(
                f"Model passed for registration contained a signature that includes only {other}. {_EXPLANATION}"
            )


def _parsed(text: str) -> dict[str, Any]:
    try:
        # The C loader, where there is one: input examples can make this file large.
        model = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise errors.InvalidParameterValue(f"The MLmodel file is not valid YAML: {error}") from error
    if not isinstance(model, dict):
        raise errors.InvalidParameterValue("The MLmodel file is not a YAML mapping.")
    return model


def _is_schema(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return isinstance(json.loads(value), list)
    except ValueError:
        return False

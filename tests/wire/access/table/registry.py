"""Registered models through MLflow's Unity Catalog routes, and their files."""

from __future__ import annotations

from typing import Any

from tests.wire.access.table.rows import ANYBODY, OPEN, TO_MANAGE, TO_QUERY, Row, Rule, Section

UC = "/api/2.0/mlflow/unity-catalog"
FS = "/api/2.0/fs"
MODELS = UC + "/registered-models"
VERSIONS = UC + "/model-versions"
PATH = "{path:path}"
NAMED = {"name": "{model}"}
VERSION = {"name": "{model}", "version": "1"}
TAG = {"key": "k", "value": "v"}


def get(path: str, rule: Rule, query: str, **more: Any) -> Row:
    return Row("GET", path, rule, f"{path}?{query}", **more)


REGISTRY = Section(
    "Model registry",
    "Of the model, *manager* is the owner, *querier* has EXECUTE, *viewer* BROWSE; all of them, *stranger* too, may use "
    "`main.default` and create models there.",
    (
        Row("POST", MODELS + "/create", ANYBODY, body={"name": "main.default.{new_name}"}),
        get(MODELS + "/get", TO_QUERY, "name={model}"),
        Row("GET", MODELS + "/search", ANYBODY),
        Row("PATCH", MODELS + "/update", TO_MANAGE, body={"name": "{model}", "description": "d"}),
        Row("DELETE", MODELS + "/delete", TO_MANAGE, body={"name": "{new_model}"}),
        Row("POST", MODELS + "/set-tag", TO_MANAGE, body=NAMED | TAG),
        Row("DELETE", MODELS + "/delete-tag", TO_MANAGE, body=NAMED | {"key": "k"}),
        Row("POST", MODELS + "/alias", TO_MANAGE, body=VERSION | {"alias": "Other"}),
        Row("DELETE", MODELS + "/alias", TO_MANAGE, body=NAMED | {"alias": "Other"}),
        get(MODELS + "/alias", TO_QUERY, "name={model}&alias=Champion"),
        Row("GET", MODELS + ":is-databricks-sdk-models-artifact-repository-enabled", ANYBODY),
        Row("POST", VERSIONS + "/create", TO_MANAGE, body=NAMED),
        get(VERSIONS + "/get", TO_QUERY, "name={model}&version=1"),
        Row("GET", VERSIONS + "/search", ANYBODY),
        Row("PATCH", VERSIONS + "/update", TO_MANAGE, body=VERSION | {"description": "d"}),
        Row("POST", VERSIONS + "/finalize", TO_MANAGE, body={"name": "{new_pending}", "version": "1"}),
        Row("DELETE", VERSIONS + "/delete", TO_MANAGE, body={"name": "{new_pending}", "version": "1"}),
        Row("POST", VERSIONS + "/set-tag", TO_MANAGE, body=VERSION | TAG),
        Row("DELETE", VERSIONS + "/delete-tag", TO_MANAGE, body=VERSION | {"key": "k"}),
        get(VERSIONS + "/get-download-uri", TO_QUERY, "name={model}&version=1"),
        Row("POST", VERSIONS + "/generate-temporary-credentials", TO_QUERY, body=VERSION),
        Row("POST", VERSIONS + "/emit-lineage", ANYBODY, body={}),
    ),
)

FILES = Section(
    "Files of models",
    "As for the models they belong to. A signed URL carries its permission and asks nobody who they are.",
    (
        Row("POST", FS + "/create-upload-url", TO_MANAGE, body={"path": "/Models/{pending_path}/1/more"}),
        Row("POST", FS + "/create-download-url", TO_QUERY, body={"path": "/Models/{model_path}/1/MLmodel"}),
        Row("GET", f"{FS}/directories/{PATH}", TO_QUERY, FS + "/directories/Models/{model_path}/1"),
        Row("HEAD", f"{FS}/directories/{PATH}", TO_QUERY, FS + "/directories/Models/{model_path}/1"),
        Row("PUT", f"{FS}/files/{PATH}", TO_MANAGE, FS + "/files/Models/{pending_path}/1/more", b"1", ok=204),
        Row("GET", f"{FS}/files/{PATH}", TO_QUERY, FS + "/files/Models/{model_path}/1/MLmodel"),
        Row("HEAD", f"{FS}/files/{PATH}", TO_QUERY, FS + "/files/Models/{model_path}/1/MLmodel"),
        Row("DELETE", f"{FS}/files/{PATH}", TO_MANAGE, FS + "/files/Models/{new_pending_path}/1/MLmodel", ok=204),
        Row(
            "POST",
            f"{FS}/files/{PATH}",
            TO_MANAGE,
            FS + "/files/Models/{pending_path}/1/more?action=initiate-upload",
        ),
        Row("PUT", f"{FS}/signed/{PATH}", OPEN, "{signed_upload}", b"1"),
        Row("GET", f"{FS}/signed/{PATH}", OPEN, "{signed_download}"),
        Row("HEAD", f"{FS}/signed/{PATH}", OPEN, "{signed_download}"),
    ),
)

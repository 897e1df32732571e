"""Experiments, runs, traces and their artifacts: MLflow's own server behind our door, open to everybody in the workspace."""

from __future__ import annotations

from tests.wire.access.table.rows import ANYBODY, OPEN, PASSED_ON, Row, Section

from headgate.api.tracking.families import ROUTES
from headgate.api.tracking.pages import LINKS

FS = "/api/2.0/fs"
SIGNED = FS + "/signed"
INTERNAL = "/WorkspaceInternal/Mlflow/Artifacts/"
PATH = "{path:path}"
FILES = f"{FS}/files{INTERNAL}{PATH}"
DIRECTORIES = f"{FS}/directories{INTERNAL}{PATH}"
PROXIED = "/api/2.0/mlflow-artifacts/artifacts"
MLFLOW = "/api/2.0/mlflow"
RUN = "{experiment_id}/Runs/{run_id}/artifacts"
OF_RUN = {"run_id": "{run_id}", "path": ["a.txt"]}
OF_MODEL = f"{MLFLOW}/logged-models/{{model_id}}/artifacts/credentials-for"
OF_TRACE = f"{MLFLOW}/traces/{{request_id}}/credentials-for-data"

ARTIFACTS = Section(
    "Artifacts of runs, logged models and traces",
    "Everybody in the workspace may read and write them. A signed URL carries its permission and asks nobody who they are.",
    (
        Row("PUT", FILES, ANYBODY, f"{FS}/files{INTERNAL}{RUN}/b.txt", b"1", ok=204),
        Row("GET", FILES, ANYBODY, f"{FS}/files{INTERNAL}{RUN}/a.txt"),
        Row("HEAD", FILES, ANYBODY, f"{FS}/files{INTERNAL}{RUN}/a.txt"),
        Row("POST", FILES, ANYBODY, f"{FS}/files{INTERNAL}{RUN}/a.txt?action=initiate-upload"),
        Row(
            "DELETE",
            FILES,
            ANYBODY,
            f"{FS}/files{INTERNAL}{{new_experiment_id}}/Runs/{{new_run_id}}/artifacts/a.txt",
            ok=204,
        ),
        Row("GET", DIRECTORIES, ANYBODY, f"{FS}/directories{INTERNAL}{RUN}"),
        Row("HEAD", DIRECTORIES, ANYBODY, f"{FS}/directories{INTERNAL}{RUN}"),
        Row("PUT", DIRECTORIES, ANYBODY, f"{FS}/directories{INTERNAL}{RUN}", ok=204),
        Row("GET", PROXIED, ANYBODY, PROXIED + "?path={experiment_id}"),
        Row("PUT", PROXIED + "/" + PATH, ANYBODY, PROXIED + "/{experiment_id}/{run_id}/artifacts/b.txt", b"1"),
        Row("GET", PROXIED + "/" + PATH, ANYBODY, PROXIED + "/{experiment_id}/{run_id}/artifacts/a.txt"),
        Row("DELETE", PROXIED + "/" + PATH, ANYBODY, PROXIED + "/{new_experiment_id}/{new_run_id}/artifacts/a.txt"),
        Row("POST", MLFLOW + "/artifacts/credentials-for-write", ANYBODY, body=OF_RUN),
        Row("POST", MLFLOW + "/artifacts/credentials-for-read", ANYBODY, body=OF_RUN),
        Row("POST", OF_MODEL + "-upload", ANYBODY, body={"paths": ["a"]}, ok=PASSED_ON),
        Row("POST", OF_MODEL + "-download", ANYBODY, body={"paths": ["a"]}, ok=PASSED_ON),
        Row("GET", OF_TRACE + "-upload", ANYBODY, ok=PASSED_ON),
        Row("GET", OF_TRACE + "-download", ANYBODY, ok=PASSED_ON),
        Row("PUT", f"{SIGNED}{INTERNAL}{PATH}", OPEN, "{signed_artifact_upload}", b"1"),
        Row("GET", f"{SIGNED}{INTERNAL}{PATH}", OPEN, "{signed_artifact_download}"),
        Row("HEAD", f"{SIGNED}{INTERNAL}{PATH}", OPEN, "{signed_artifact_download}"),
    ),
)

PROXY = Section(
    "Experiments, runs, traces",
    "MLflow's own server answers; everybody in the workspace may use it. The same holds for its pages and what they ask, below `/mlflow/`.",
    (
        *(Row(method, path, ANYBODY, ok=PASSED_ON) for method, path in ROUTES if path not in LINKS),
        # Only browsers are sent on from there.
        Row("GET", "/", OPEN, ok=404, missing="ENDPOINT_NOT_FOUND"),
        *(
            Row("GET", path, OPEN, path.replace("{path:path}", "experiments/1"), ok=302)
            for path in LINKS
            if path != "/"
        ),
    ),
)

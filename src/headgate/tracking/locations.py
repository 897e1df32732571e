"""Where tracking artifacts lie, in the three spellings clients use. Pure.

    dbfs:/databricks/mlflow-tracking/<experiment>/<rest>     what MLflow's server stores and `databricks` clients are told
    mlflow-artifacts:/<experiment>/<rest>                    what clients of `http://…` need instead
    /WorkspaceInternal/Mlflow/Artifacts/<experiment>/…       the same below the Files API

`<rest>` is `<run>/artifacts/…`, `logged_models/<model>/artifacts/…` or `<trace>/artifacts/…`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from headgate import errors

DBFS_ROOT = "dbfs:/databricks/mlflow-tracking"
PROXIED_ROOT = "mlflow-artifacts:"
FILES_ROOT = "/WorkspaceInternal/Mlflow/Artifacts/"

_EXPERIMENT = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_TRACE = re.compile(r"tr-[0-9A-Za-z_-]+|[0-9a-f]{32}", re.ASCII)
_MAX_BYTES = 3000
_MAX_PART_BYTES = 255
# First folder below the experiment, in the Files API -> in the store.
_KINDS = {"Runs": "", "LoggedModels": "logged_models"}


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file or folder of an experiment."""

    experiment_id: str
    path: str
    """Inside the experiment, canonical; empty for all of it."""

    def below(self, more: str) -> Artifact:
        """What lies at `more` under it. Raises InvalidParameterValue for a path that leads elsewhere."""
        return self if not more else checked(self.experiment_id, f"{self.path}/{more}".strip("/"))


def of_uri(uri: str) -> Artifact:
    """From a `dbfs:` or `mlflow-artifacts:` URI. Raises InvalidParameterValue for what is not kept here."""
    for root in (DBFS_ROOT, PROXIED_ROOT):
        if uri.startswith(f"{root}/"):
            return of_path(uri.removeprefix(f"{root}/"))
    raise errors.InvalidParameterValue(
        f"Artifact location {uri[:200]!r} is not kept here: leave artifact_location out, or begin it with {DBFS_ROOT}/."
    )


def of_path(path: str) -> Artifact:
    """From `<experiment>/<rest>`. Raises InvalidParameterValue."""
    experiment, _, rest = path.strip("/").partition("/")
    return checked(experiment, rest)


def of_files_path(path: str) -> Artifact:
    """From the Files API's path below `FILES_ROOT`. Raises InvalidParameterValue."""
    experiment, _, rest = path.strip("/").partition("/")
    kind, _, inner = rest.partition("/")
    if rest and kind not in _KINDS:
        raise errors.InvalidParameterValue(
            f"{FILES_ROOT}{path[:200]} is no artifact: <experiment>/Runs/<run>/… or <experiment>/LoggedModels/<model>/… is expected."
        )
    return checked(experiment, f"{_KINDS[kind]}/{inner}".strip("/") if rest else "")


def checked(experiment_id: str, path: str) -> Artifact:
    """Raises InvalidParameterValue unless both are safe as paths."""
    parts = path.split("/") if path else []
    strange = any(part in ("", ".", "..") or len(part.encode(errors="replace")) > _MAX_PART_BYTES for part in parts)
    if (
        strange
        or not _EXPERIMENT.fullmatch(experiment_id)
        or "\\" in path
        or not path.isprintable()
        or len(path) > _MAX_BYTES
    ):
        raise errors.InvalidParameterValue(
            f"Artifact path {f'{experiment_id}/{path}'[:200]!r} is not valid: it must be relative, without '..', empty or overlong "
            "parts, backslashes or control characters."
        )
    return Artifact(experiment_id, path)


def is_of_trace(artifact: Artifact) -> bool:
    """Whether it belongs to a trace rather than to a run or model."""
    owner, slash, inner = artifact.path.partition("/")
    return bool(slash) and _TRACE.fullmatch(owner) is not None and inner.startswith("artifacts/")

from __future__ import annotations

import pytest

from headgate import errors
from headgate.tracking import locations
from headgate.tracking.locations import Artifact


@pytest.mark.parametrize(
    ("dbfs", "proxied", "files"),
    [
        ("7/run/artifacts/a/b.txt", "7/run/artifacts/a/b.txt", "7/Runs/run/artifacts/a/b.txt"),
        ("7/logged_models/m-1/artifacts/MLmodel", "7/logged_models/m-1/artifacts/MLmodel", "7/LoggedModels/m-1/artifacts/MLmodel"),
        ("7/tr-1/artifacts/traces.json", "7/tr-1/artifacts/traces.json", "7/Runs/tr-1/artifacts/traces.json"),
        ("7", "7/", "7"),
    ],
)  # fmt: skip
def test_three_spellings_are_one_place(dbfs: str, proxied: str, files: str) -> None:
    wanted = Artifact("7", dbfs.partition("/")[2])
    assert locations.of_uri(f"dbfs:/databricks/mlflow-tracking/{dbfs}") == wanted
    assert locations.of_uri(f"mlflow-artifacts:/{proxied}") == wanted
    assert locations.of_files_path(files) == wanted


@pytest.mark.parametrize(
    "uri",
    ["file:///etc", "s3://bucket/1", "dbfs:/other/1", "/etc", "dbfs:/databricks/mlflow-tracking", "models:/m/1", ""],
)
def test_nothing_else_is_a_place_for_artifacts(uri: str) -> None:
    with pytest.raises(errors.InvalidParameterValue, match="is not kept here"):
        locations.of_uri(uri)


@pytest.mark.parametrize(
    "path", ["7/../8/x", "7/./x", "7//x", "../x", "7/a\\b", "7/a\0b", "7/" + "x" * 256, "a b/c", "7/a\nb"]
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(errors.InvalidParameterValue):
        locations.of_path(path)


def test_below_stays_below() -> None:
    run = Artifact("7", "run/artifacts")
    assert run.below("a/b") == Artifact("7", "run/artifacts/a/b") and run.below("") == run
    with pytest.raises(errors.InvalidParameterValue):
        run.below("../../other")


def test_what_belongs_to_a_trace() -> None:
    assert locations.is_of_trace(Artifact("7", "tr-12ab/artifacts/traces.json"))
    assert locations.is_of_trace(Artifact("7", f"{'a' * 32}/artifacts/attachments/x"))
    for path in ("", "tr-12ab", "tr-12ab/other", "run/artifacts/x", "logged_models/tr-1/artifacts/x"):
        assert not locations.is_of_trace(Artifact("7", path))

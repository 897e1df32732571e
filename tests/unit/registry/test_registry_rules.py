"""Rules of the model registry."""

from __future__ import annotations

from typing import Any

import pytest

from headgate import errors
from headgate.domain.registered_model import Author, ModelChange, ModelName, TagChanges, VersionOrigin, VersionStatus
from headgate.registry.catalogs import Catalogs
from headgate.registry.models import NewModel
from headgate.store.model_versions import VersionFilter
from headgate.store.models import Page

NAME = "main.default.churn"
ANN, BEN = Author("7", "ann"), Author("8", "ben")


@pytest.mark.parametrize("name", ["churn", "default.churn", "a.b.c.d", "", "..", "main..churn"])
def test_names_without_three_levels_are_refused(name: str) -> None:
    with pytest.raises(errors.InvalidParameterValue, match=r"must have three levels|each level has"):
        ModelName.parse(name)


@pytest.mark.parametrize("level", ["a b", "a/b", "a\\b", "a@b", "a:b", "a\nb", "\ud800", "x" * 256, "é" * 128])
def test_names_that_would_be_trouble_elsewhere_are_refused(level: str) -> None:
    with pytest.raises(errors.InvalidParameterValue):
        ModelName.parse(f"main.default.{level}")


def test_names_are_folded_to_lower_case() -> None:
    assert ModelName.parse("Main.Default.Churn_Ünit-1").full == "main.default.churn_ünit-1"


def test_catalogs_and_schemas_come_into_being_with_their_first_model(room: Any) -> None:
    registry = room.registry()
    registry.create_model(NewModel("never.seen.before", ANN, missing=("never", "never.seen")))
    assert [model.name.full for model in registry.search_models(Page(10), catalog="NEVER")] == ["never.seen.before"]
    catalogs = Catalogs(room.database, registry.files, room.clock)
    assert [catalogs.get(name).owner_id for name in ("never", "never.seen")] == ["7", "7"]
    with pytest.raises(errors.ResourceDoesNotExist, match=r"Schema never\.made"):
        registry.create_model(NewModel("never.made.churn", ANN))


def test_a_model_is_created_once(room: Any) -> None:
    registry = room.registry()
    registry.create_model(NewModel(NAME, ANN, "what", {"b": "2", "a": "1"}, ("main", "main.default")))
    assert list(registry.model("MAIN.default.churn").tags) == ["a", "b"]
    with pytest.raises(errors.ResourceAlreadyExists, match=NAME):
        registry.create_model(NewModel("Main.Default.Churn", BEN))


def test_a_version_needs_its_model(room: Any) -> None:
    with pytest.raises(errors.ResourceDoesNotExist, match=NAME):
        room.registry().create_version(NAME, ANN, VersionOrigin())


@pytest.mark.parametrize("alias", ["latest", "Latest", "v1", "V12", "3", "", "a b", "a.b", "x" * 256, "ä"])
def test_aliases_that_could_be_mistaken_are_refused(room: Any, alias: str) -> None:
    number = room.begun()
    with pytest.raises(errors.InvalidParameterValue):
        room.registry().set_alias(NAME, alias, number, ANN)


@pytest.mark.parametrize("version", ["0", "-1", "1.0", "one", "", "٣", "9999999999"])
def test_versions_are_positive_integers(room: Any, version: str) -> None:
    with pytest.raises(errors.InvalidParameterValue):
        room.registry().version(NAME, version)


def test_versions_and_aliases_are_resolved_for_serving(room: Any) -> None:
    first, second = room.ready(), room.ready()
    registry = room.registry()
    registry.set_alias(NAME, "Champion", second, ANN)
    assert registry.resolve(NAME, first) == "1"
    assert registry.resolve(NAME, "@Champion") == registry.resolve(NAME, "Champion") == "2"


def test_what_cannot_be_resolved_is_told_what_there_is(room: Any) -> None:
    room.ready()
    registry = room.registry()
    registry.set_alias(NAME, "Champion", "1", ANN)
    with pytest.raises(errors.ResourceDoesNotExist, match=r"version 7 does not exist\. Existing versions: 1\."):
        registry.resolve(NAME, "7")
    with pytest.raises(errors.ResourceDoesNotExist, match=r"Challenger .*existing aliases: Champion"):
        registry.resolve(NAME, "@Challenger")
    with pytest.raises(errors.ResourceDoesNotExist, match=r"Registered model main\.default\.none does not exist"):
        registry.resolve("main.default.none", "1")


def test_a_ready_version_is_described_for_serving(room: Any) -> None:
    described = room.registry().describe(NAME, room.ready())
    assert (described.full_name, described.version) == (NAME, "1")
    assert described.path == str(room.folder / "models" / "main" / "default" / "churn" / "1")
    assert described.flavors == ("python_function", "sklearn")
    assert described.environment.requirements == ("mlflow==3.1.0", "scikit-learn==1.5.0")
    assert "double" in described.signature


def test_a_version_that_is_not_ready_is_not_described(room: Any) -> None:
    number = room.begun()
    with pytest.raises(errors.InvalidState, match=r"churn version 1 is not READY but PENDING_REGISTRATION"):
        room.registry().describe(NAME, number)


def test_requirements_cannot_reach_outside_of_the_model(room: Any) -> None:
    (room.folder / "secret.txt").write_text("secret==1.0\n")
    files = {"MLmodel": b"", "requirements.txt": b"-r ../../../../../secret.txt\n"}
    number = room.begun({**files, "MLmodel": room_mlmodel()})
    registry = room.registry()
    registry.finalize_version(NAME, number)
    with pytest.raises(errors.InvalidParameterValue):
        registry.describe(NAME, number)


def room_mlmodel() -> bytes:
    return (
        b"flavors: {python_function: {loader_module: x, env: {virtualenv: python_env.yaml}}}\n"
        b"signature: {inputs: '[]', outputs: '[]'}\n"
    )


def test_deleting_a_version_removes_files_and_aliases_but_no_other_version(room: Any) -> None:
    first, second = room.ready(), room.ready()
    registry = room.registry()
    registry.set_alias(NAME, "Champion", first, ANN)
    registry.delete_version(NAME, first, ANN)
    assert registry.model(NAME).aliases == {}
    assert all(path.startswith(f"main/default/churn/{second}/") for path in room.files_on_disk())
    with pytest.raises(errors.ResourceDoesNotExist):
        registry.files.stat(ModelName.parse(NAME), int(first))
    assert room.begun() == "3"


def test_deleting_a_model_removes_everything_and_its_numbers_stay_used(room: Any) -> None:
    room.ready()
    room.begun()
    registry = room.registry()
    registry.delete_model(NAME)
    assert room.files_on_disk() == []
    assert registry.search_versions(VersionFilter(), Page(10)) == []
    assert room.begun() == "3"


def test_a_number_whose_files_outlived_the_database_is_not_given_out(room: Any) -> None:
    old = room.folder / "models" / "main" / "default" / "churn" / "5"
    old.mkdir(parents=True)
    (old / "MLmodel").write_text("of an earlier life")
    assert room.begun() == "6"
    assert (old / "MLmodel").read_text() == "of an earlier life"


def test_a_renamed_model_keeps_its_files(room: Any) -> None:
    number = room.ready()
    registry = room.registry()
    renamed = ModelName.parse(NAME).renamed("leavers")
    assert registry.change_model(NAME, ModelChange(name=renamed), BEN).name.full == "main.default.leavers"
    assert registry.describe("main.default.leavers", number).flavors
    with pytest.raises(errors.InvalidParameterValue, match="cannot be moved"):
        renamed.renamed("other.default.leavers")


def test_descriptions_and_tags_of_versions_are_kept(room: Any) -> None:
    number = room.begun()
    registry = room.registry()
    room.clock.ms += 5
    assert registry.describe_version(NAME, number, "better", BEN).origin.description == "better"
    registry.change_version_tags(NAME, number, TagChanges({"stage": "prod"}), BEN)
    found = registry.version(NAME, number)
    assert found.origin.tags == {"stage": "prod"}
    assert found.updated_at_ms == found.created_at_ms + 5
    assert (found.creator, found.updated_by) == ("ann", "ben")
    assert found.status is VersionStatus.PENDING
    with pytest.raises(errors.InvalidParameterValue):
        registry.change_version_tags(NAME, number, TagChanges({"": "x"}), BEN)

"""Repositories of registered models and their versions, on every database."""

from __future__ import annotations

import threading
import uuid

import pytest

from headgate import errors
from headgate.domain.registered_model import (
    Author,
    ModelChange,
    ModelName,
    ModelVersion,
    RegisteredModel,
    Stamp,
    TagChanges,
    VersionOrigin,
    VersionStatus,
)
from headgate.registry.catalogs import new_namespace
from headgate.store.database import Database
from headgate.store.model_versions import ModelVersions, NewVersion, VersionFilter
from headgate.store.models import Models, Page

CHURN = ModelName("main", "default", "churn")
ALL = Page(100)
ANN = Author("7", "ann")
BEN = Stamp("ben", 6)
USES = {"function": {"function_full_name": "main.default.f"}}


def create(database: Database, name: ModelName = CHURN, at_ms: int = 1) -> RegisteredModel:
    model = RegisteredModel(uuid.uuid4().hex, name, "7", "ann", at_ms, at_ms, "ann", tags={"a": "1"})
    missing = [new_namespace(one, ANN, at_ms) for one in (name.catalog, f"{name.catalog}.{name.schema}")]
    Models(database).create(model, missing)
    return model


def create_version(database: Database, upload_id: str, name: ModelName = CHURN, above: int = 0) -> ModelVersion:
    origin = VersionOrigin(source="s3://x", run_id="run-1", tags={"t": "v"}, dependencies=(USES,))
    return ModelVersions(database).create(NewVersion(name, ANN, upload_id, origin, above), 5)


def test_a_model_is_read_as_it_was_written(database: Database) -> None:
    model = create(database)
    assert Models(database).get(CHURN) == model
    with pytest.raises(errors.ResourceAlreadyExists):
        create(database)
    with pytest.raises(errors.ResourceDoesNotExist):
        Models(database).get(ModelName("main", "default", "absent"))


def test_a_version_is_read_as_it_was_written(database: Database) -> None:
    create(database)
    version = create_version(database, "u1")
    assert version == ModelVersion(
        name=CHURN,
        version=1,
        status=VersionStatus.PENDING,
        status_message="",
        creator="ann",
        creator_id="7",
        created_at_ms=5,
        updated_at_ms=5,
        updated_by="ann",
        origin=VersionOrigin(source="s3://x", run_id="run-1", tags={"t": "v"}, dependencies=(USES,)),
        aliases=(),
        upload_id="u1",
        location="main/default/churn/1",
    )
    assert ModelVersions(database).pending() == [version]


def test_searches_page_through_everything_once(database: Database) -> None:
    names = [ModelName(catalog, "default", f"m{number}") for catalog in ("dev", "main") for number in range(3)]
    for name in names:
        create(database, name)
        for _ in range(2):
            create_version(database, f"{name.catalog}{name.model}{_}", name)
    models, versions = Models(database), ModelVersions(database)

    found: list[str] = []
    while page := models.search(Page(2, (found[-1], 0) if found else None)):
        found += [model.name.full for model in page]
    assert found == [name.full for name in names]
    assert [model.name for model in models.search(ALL, catalog="main", schema="default")] == names[3:]

    seen: list[tuple[str, int]] = []
    while part := versions.search(VersionFilter(), Page(5, seen[-1] if seen else None)):
        seen += [(version.name.full, version.version) for version in part]
    assert seen == [(name.full, number) for name in names for number in (2, 1)]
    assert len(versions.search(VersionFilter(catalog="dev"), ALL)) == 6
    assert len(versions.search(VersionFilter(name=names[0], run_id="run-1"), ALL)) == 2
    assert versions.search(VersionFilter(run_id="run-2"), ALL) == []


def test_numbers_are_never_given_out_twice(database: Database) -> None:
    create(database)
    versions, models = ModelVersions(database), Models(database)
    assert [create_version(database, f"a{n}").version for n in range(2)] == [1, 2]
    versions.delete(CHURN, 2, BEN)
    assert create_version(database, "b").version == 3
    models.delete(CHURN)
    create(database)
    assert create_version(database, "c").version == 4
    assert create_version(database, "d", above=7).version == 8
    renamed = ModelName("main", "default", "renamed")
    models.change(CHURN, ModelChange(name=renamed), BEN)
    assert create_version(database, "e", renamed).version == 9
    create(database)
    assert create_version(database, "f").version == 9


def test_a_rename_keeps_versions_and_where_their_files_are(database: Database) -> None:
    create(database)
    create_version(database, "u1")
    renamed = ModelName("main", "default", "renamed")
    assert Models(database).change(CHURN, ModelChange(name=renamed), BEN).name == renamed
    assert ModelVersions(database).get(renamed, 1).location == "main/default/churn/1"
    create(database)
    with pytest.raises(errors.ResourceAlreadyExists):
        Models(database).change(CHURN, ModelChange(name=renamed), BEN)
    assert Models(database).get(CHURN).name == CHURN


def test_aliases_point_to_existing_versions_and_go_with_them(database: Database) -> None:
    create(database)
    create_version(database, "u1")
    create_version(database, "u2")
    models, versions = Models(database), ModelVersions(database)
    models.set_alias(CHURN, "Champion", 1, BEN)
    models.set_alias(CHURN, "Champion", 2, BEN)
    models.set_alias(CHURN, "Old", 1, BEN)
    with pytest.raises(errors.ResourceDoesNotExist):
        models.set_alias(CHURN, "Champion", 3, BEN)
    assert versions.get(CHURN, 2).aliases == ("Champion",)
    versions.delete(CHURN, 2, BEN)
    assert models.get(CHURN).aliases == {"Old": 1}
    models.delete_alias(CHURN, "Old", BEN)
    models.delete_alias(CHURN, "Old", BEN)
    assert models.get(CHURN).aliases == {}


def test_tags_are_set_replaced_and_deleted(database: Database) -> None:
    create(database)
    create_version(database, "u1")
    models, versions = Models(database), ModelVersions(database)
    models.change_tags(CHURN, TagChanges({"a": "2", "b": "3"}, frozenset({"absent"})), BEN)
    assert models.get(CHURN).tags == {"a": "2", "b": "3"}
    assert (models.get(CHURN).updated_at_ms, models.get(CHURN).updated_by) == (6, "ben")
    versions.change_tags(CHURN, 1, TagChanges({"x": "y"}, frozenset({"t"})), BEN)
    assert versions.get(CHURN, 1).origin.tags == {"x": "y"}
    with pytest.raises(errors.ResourceDoesNotExist):
        versions.change_tags(CHURN, 9, TagChanges({"x": "y"}), BEN)


def test_pending_ends_once(database: Database) -> None:
    create(database)
    version = create_version(database, "u1")
    versions = ModelVersions(database)
    assert versions.settle(version, VersionStatus.READY, "", 6)
    assert not versions.settle(version, VersionStatus.FAILED, "too late", 7)
    assert versions.get(CHURN, 1).status is VersionStatus.READY
    assert versions.pending() == []


def test_a_deletion_notes_every_place_where_files_can_be(database: Database) -> None:
    create(database)
    create_version(database, "u1")
    create_version(database, "u2")
    models = Models(database)
    gone = ModelVersions(database).delete(CHURN, 1, BEN)
    assert set(gone) == {".staging/u1", ".sealed/u1", "main/default/churn/1"}
    gone += models.delete(CHURN)
    assert sorted(models.deleted_files()) == sorted(gone) and len(gone) == 6
    for location in gone:
        models.strike_out(location)
    assert models.deleted_files() == []


def test_versions_created_at_the_same_time_get_numbers_of_their_own(database: Database) -> None:
    create(database)
    numbers: list[int] = []
    rivals = [
        threading.Thread(target=lambda n=n: numbers.append(create_version(database, f"u{n}").version))  # type: ignore[misc]
        for n in range(12)
    ]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join(30)
    assert sorted(numbers) == list(range(1, 13))

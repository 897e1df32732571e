"""Catalogs and schemas, what goes with them when they are renamed or deleted, and who owns what; on every database."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable

import pytest

from headgate import errors
from headgate.domain.grants import CATALOG, MODEL, SCHEMA, Securable
from headgate.domain.namespace import Namespace, NamespaceChange
from headgate.domain.registered_model import (
    Author,
    ModelChange,
    ModelName,
    RegisteredModel,
    Stamp,
    TagChanges,
    VersionOrigin,
)
from headgate.registry.catalogs import new_namespace
from headgate.store.database import Database
from headgate.store.grants import Grants
from headgate.store.model_access import ModelAccess
from headgate.store.model_versions import ModelVersions, NewVersion
from headgate.store.models import Models, Page
from headgate.store.namespaces import Namespaces

ANN = Author("7", "ann")
BEN = Stamp("ben", 6)


def namespace(full_name: str) -> Namespace:
    return new_namespace(full_name, ANN, 1)


def made(database: Database, *full_names: str) -> None:
    for full_name in full_names:
        Namespaces(database).create(namespace(full_name))


def model(database: Database, full_name: str) -> RegisteredModel:
    """With one version."""
    name = ModelName.parse(full_name)
    found = RegisteredModel(uuid.uuid4().hex, name, "7", "ann", 1, 1, "ann")
    Models(database).create(found)
    ModelVersions(database).create(NewVersion(name, ANN, uuid.uuid4().hex, VersionOrigin()), 1)
    return found


def granted(database: Database, kind: str, name: str) -> dict[str, frozenset[str]]:
    return dict(Grants(database).of(Securable(kind, name)))


def grant(database: Database, kind: str, name: str, privilege: str = "MANAGE") -> None:
    Grants(database).replace(Securable(kind, name), {"9": [privilege]})


def at_once(*calls: Callable[[], object]) -> list[BaseException | None]:
    """What became of calls made at the same time."""
    outcomes: list[BaseException | None] = [None] * len(calls)

    def run(number: int) -> None:
        try:
            calls[number]()
        except errors.HeadgateError as error:
            outcomes[number] = error

    rivals = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join(60)
        assert not rival.is_alive()
    return outcomes


def test_main_and_its_default_schema_are_there_for_everybody(database: Database) -> None:
    namespaces = Namespaces(database)
    assert [found.full_name for found in namespaces.search(limit=10)] == ["main"]
    assert [found.full_name for found in namespaces.search(catalog="main", limit=10)] == ["main.default"]
    assert namespaces.get("main").owner_id == "1"
    assert granted(database, CATALOG, "main") == {"3": {"USE_CATALOG", "CREATE_SCHEMA"}}
    assert granted(database, SCHEMA, "main.default") == {"3": {"USE_SCHEMA", "CREATE_MODEL", "CREATE_TABLE"}}


def test_a_namespace_is_read_as_it_was_written(database: Database) -> None:
    namespaces = Namespaces(database)
    shop = Namespace("i", "shop", "7", "ann", 1, 2, "ben", "What we sell", {"a": "b"}, {"t": "v"})
    namespaces.create(shop)
    assert namespaces.get("shop") == shop
    with pytest.raises(errors.ResourceAlreadyExists, match="Catalog shop already exists"):
        made(database, "shop")
    with pytest.raises(errors.ResourceDoesNotExist, match="Catalog none does not exist"):
        made(database, "none.buyers")
    with pytest.raises(errors.ResourceDoesNotExist, match=r"Schema shop\.buyers does not exist"):
        namespaces.get("shop.buyers")


def test_lists_go_on_after_a_name(database: Database) -> None:
    made(database, "shop", "shop.b", "shop.a", "shop.c", "shopping")
    namespaces = Namespaces(database)
    assert [one.full_name for one in namespaces.search(limit=2, after="main")] == ["shop", "shopping"]
    assert [one.full_name for one in namespaces.search(catalog="shop", limit=2)] == ["shop.a", "shop.b"]
    assert [one.full_name for one in namespaces.search(catalog="shop", after="shop.b", limit=2)] == ["shop.c"]


def test_changes_are_kept_with_who_made_them(database: Database) -> None:
    made(database, "shop")
    namespaces = Namespaces(database)
    changed = namespaces.change("shop", NamespaceChange(comment="c", properties={"p": "q"}, owner_id="8"), BEN)
    assert (changed.comment, changed.properties, changed.owner_id) == ("c", {"p": "q"}, "8")
    assert (changed.updated_by, changed.updated_at_ms, changed.creator) == ("ben", 6, "ann")
    namespaces.change_tags("shop", TagChanges({"a": "1", "b": "2"}), BEN)
    namespaces.change_tags("shop", TagChanges({"c": "3"}, frozenset({"a", "none"})), BEN)
    assert namespaces.get("shop").tags == {"b": "2", "c": "3"}


def test_a_renamed_catalog_takes_schemas_models_versions_and_grants_along(database: Database) -> None:
    made(database, "shop", "shop.buyers", "shop.goods", "shopping")
    model(database, "shop.buyers.churn")
    for kind, name in ((CATALOG, "shop"), (SCHEMA, "shop.buyers"), (MODEL, "shop.buyers.churn")):
        grant(database, kind, name)
    Namespaces(database).change("shop", NamespaceChange(full_name="store", comment="moved"), BEN)
    assert [one.full_name for one in Namespaces(database).search(limit=10)] == ["main", "shopping", "store"]
    assert [one.full_name for one in Namespaces(database).search(catalog="store", limit=9)] == [
        "store.buyers",
        "store.goods",
    ]
    assert Namespaces(database).get("store").comment == "moved"
    moved = ModelName.parse("store.buyers.churn")
    assert Models(database).search(Page(10), catalog="store", schema="buyers")[0].name == moved
    assert ModelVersions(database).get(moved, 1).location == "shop/buyers/churn/1"
    for kind, name in ((CATALOG, "store"), (SCHEMA, "store.buyers"), (MODEL, "store.buyers.churn")):
        assert granted(database, kind, name) == {"9": {"MANAGE"}}
        assert granted(database, kind, name.replace("store", "shop", 1)) == {}
    with pytest.raises(errors.ResourceAlreadyExists, match="Catalog main already exists"):
        Namespaces(database).change("store", NamespaceChange(full_name="main"), BEN)
    assert Namespaces(database).get("store.buyers").owner_id == "7"


def test_version_numbers_are_not_used_again_under_a_name_that_was_renamed_away(database: Database) -> None:
    made(database, "shop", "shop.buyers")
    model(database, "shop.buyers.churn")
    Namespaces(database).change("shop", NamespaceChange(full_name="store"), BEN)
    made(database, "shop", "shop.buyers")
    model(database, "shop.buyers.churn")
    found = ModelVersions(database).get(ModelName.parse("shop.buyers.churn"), 2)
    assert found.location == "shop/buyers/churn/2"


def test_what_is_not_empty_is_deleted_by_force_only_and_its_grants_go_too(database: Database) -> None:
    made(database, "shop", "shop.buyers")
    model(database, "shop.buyers.churn")
    for kind, name in ((CATALOG, "shop"), (SCHEMA, "shop.buyers"), (MODEL, "shop.buyers.churn")):
        grant(database, kind, name)
    namespaces = Namespaces(database)
    with pytest.raises(errors.InvalidState, match=r"Schema shop\.buyers is not empty: it has shop\.buyers\.churn"):
        namespaces.delete("shop.buyers", force=False)
    with pytest.raises(
        errors.InvalidState, match=r"Catalog shop is not empty: it has shop\.buyers, shop\.buyers\.churn"
    ):
        namespaces.delete("shop", force=False)
    assert Models(database).get(ModelName.parse("shop.buyers.churn"))
    gone = namespaces.delete("shop", force=True)
    assert len(gone) == 3 and sorted(Models(database).deleted_files()) == sorted(gone)
    assert [one.full_name for one in namespaces.search(limit=10)] == ["main"]
    for kind, name in ((CATALOG, "shop"), (SCHEMA, "shop.buyers"), (MODEL, "shop.buyers.churn")):
        assert granted(database, kind, name) == {}
    made(database, "shop")
    assert namespaces.delete("shop", force=False) == []


def test_a_model_takes_its_grants_along_when_renamed_and_loses_them_when_deleted(database: Database) -> None:
    model(database, "main.default.churn")
    grant(database, MODEL, "main.default.churn", "EXECUTE")
    renamed = ModelName.parse("main.default.leavers")
    Models(database).change(ModelName.parse("main.default.churn"), ModelChange(name=renamed), BEN)
    assert granted(database, MODEL, "main.default.leavers") == {"9": {"EXECUTE"}}
    assert granted(database, MODEL, "main.default.churn") == {}
    Models(database).delete(renamed)
    assert granted(database, MODEL, "main.default.leavers") == {}


def test_owners_and_grants_are_read_together(database: Database) -> None:
    made(database, "shop", "shop.buyers")
    model(database, "shop.buyers.churn")
    grant(database, CATALOG, "shop", "USE_CATALOG")
    grant(database, MODEL, "shop.buyers.churn", "EXECUTE")
    path = [Securable(CATALOG, "shop"), Securable(SCHEMA, "shop.none"), Securable(MODEL, "shop.buyers.churn")]
    found = ModelAccess(database).levels(path, ["9"])
    assert [(level.owner_id, set(level.granted)) for level in found] == [
        ("7", {"USE_CATALOG"}),
        (None, set()),
        ("7", {"EXECUTE"}),
    ]
    assert all(not level.granted for level in ModelAccess(database).levels(path, ["5"]))
    holdings = ModelAccess(database).holdings(["9", "3"])
    assert holdings.owners == {"main": "1", "main.default": "1", "shop": "7", "shop.buyers": "7"}
    assert holdings.granted[Securable(MODEL, "shop.buyers.churn")] == {"EXECUTE"}
    assert holdings.granted[Securable(CATALOG, "main")] == {"USE_CATALOG", "CREATE_SCHEMA"}


def test_of_two_renames_to_one_name_one_wins(database: Database) -> None:
    names = [ModelName.parse(f"main.default.m{number}") for number in range(4)]
    for name in names:
        model(database, name.full)
        grant(database, MODEL, name.full)
    target = ModelName.parse("main.default.target")
    outcomes = at_once(
        *(lambda name=name: Models(database).change(name, ModelChange(name=target), BEN) for name in names)  # type: ignore[misc]
    )
    lost = [error for error in outcomes if error is not None]
    assert len(lost) == 3 and all(isinstance(error, errors.ResourceAlreadyExists) for error in lost)
    left = {found.name.full for found in Models(database).search(Page(10))}
    assert len(left) == 4 and target.full in left
    assert all(granted(database, MODEL, name) == {"9": {"MANAGE"}} for name in left)


def test_of_two_renames_of_one_model_both_are_done_in_turn_or_one_finds_it_gone(database: Database) -> None:
    model(database, "main.default.churn")
    old = ModelName.parse("main.default.churn")
    targets = [ModelName.parse(f"main.default.t{number}") for number in range(4)]
    outcomes = at_once(
        *(lambda new=new: Models(database).change(old, ModelChange(name=new), BEN) for new in targets)  # type: ignore[misc]
    )
    lost = [error for error in outcomes if error is not None]
    assert len(lost) == 3 and all(isinstance(error, errors.ResourceDoesNotExist) for error in lost)
    assert len(Models(database).search(Page(10))) == 1


def test_aliases_set_at_the_same_time_are_all_kept(database: Database) -> None:
    model(database, "main.default.churn")
    name = ModelName.parse("main.default.churn")
    wanted = [f"a{number}" for number in range(8)]
    at_once(*(lambda alias=alias: Models(database).set_alias(name, alias, 1, BEN) for alias in wanted))  # type: ignore[misc]
    assert dict(Models(database).get(name).aliases) == dict.fromkeys(wanted, 1)


def test_a_schema_that_is_deleted_while_a_model_comes_into_it_leaves_no_model_outside_of_a_schema(
    database: Database,
) -> None:
    made(database, "shop")
    for _ in range(8):
        made(database, "shop.buyers")
        outcomes = at_once(
            lambda: Namespaces(database).delete("shop.buyers", force=True),
            lambda: model(database, "shop.buyers.churn"),
        )
        assert outcomes[0] is None and isinstance(outcomes[1], errors.ResourceDoesNotExist | None)
        assert Models(database).search(Page(10), catalog="shop") == []


def test_a_catalog_made_by_several_first_models_at_once_is_made_once(database: Database) -> None:
    def first_model(number: int) -> None:
        name = ModelName.parse(f"new.place.m{number}")
        found = RegisteredModel(uuid.uuid4().hex, name, "7", "ann", 1, 1, "ann")
        Models(database).create(found, [namespace("new"), namespace("new.place")])

    outcomes = at_once(*(lambda number=number: first_model(number) for number in range(6)))  # type: ignore[misc]
    assert outcomes == [None] * 6
    assert [one.full_name for one in Namespaces(database).search(catalog="new", limit=10)] == ["new.place"]
    assert len(Models(database).search(Page(10), catalog="new")) == 6


def test_a_grant_that_outlived_what_it_was_on_is_not_one_on_what_comes_after(database: Database) -> None:
    for kind, name in ((CATALOG, "shop"), (SCHEMA, "shop.buyers"), (MODEL, "shop.buyers.churn")):
        grant(database, kind, name)
    made(database, "shop", "shop.buyers")
    model(database, "shop.buyers.churn")
    for kind, name in ((CATALOG, "shop"), (SCHEMA, "shop.buyers"), (MODEL, "shop.buyers.churn")):
        assert granted(database, kind, name) == {}

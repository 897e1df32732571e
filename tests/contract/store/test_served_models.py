"""What endpoints serve is not deleted, what is deleted is not deployed, and what an alias names; on every database."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable

import pytest

from headgate import errors
from headgate.domain.endpoint import Endpoint, EndpointConfig, Generation, Outcome, ServedEntity
from headgate.domain.registered_model import (
    Author,
    ModelChange,
    ModelName,
    RegisteredModel,
    Stamp,
    VersionOrigin,
    VersionStatus,
)
from headgate.registry.catalogs import new_namespace
from headgate.store import served_models
from headgate.store.database import Database
from headgate.store.endpoints import Endpoints
from headgate.store.model_versions import ModelVersions, NewVersion
from headgate.store.models import Models
from headgate.store.namespaces import Namespaces
from headgate.store.served_models import ALIASES, InUse

ANN = Author("7", "ann")
BEN = Stamp("ben", 6)
NAME = ModelName.parse("main.default.churn")


@pytest.fixture
def endpoints(database: Database) -> Endpoints:
    return Endpoints(database, served_models.hold_within)


def model(database: Database, full_name: str = NAME.full, versions: int = 3) -> ModelName:
    """With READY versions."""
    name = ModelName.parse(full_name)
    Models(database).create(RegisteredModel(uuid.uuid4().hex, name, "7", "ann", 1, 1, "ann"))
    for _ in range(versions):
        made = ModelVersions(database).create(NewVersion(name, ANN, uuid.uuid4().hex, VersionOrigin()), 1)
        ModelVersions(database).settle(made, VersionStatus.READY, "", 2)
    return name


def config(version: str = "1", name: str = "Main.Default.churn", requested: str = "") -> EndpointConfig:
    return EndpointConfig((ServedEntity("churn", name, version, requested or version),))


def create(endpoints: Endpoints, name: str, of: EndpointConfig) -> Endpoint:
    wanted = Generation(1, of, Outcome.PENDING, 1)
    endpoints.create(Endpoint(uuid.uuid4().hex, name, "ann", 1, 1, wanted=wanted))
    return endpoints.get(name)


def delete(database: Database, version: int, name: ModelName = NAME) -> None:
    ModelVersions(database).delete(name, version, BEN)


def test_a_version_that_is_being_deployed_or_serves_is_not_deleted(database: Database, endpoints: Endpoints) -> None:
    model(database)
    found = create(endpoints, "one", config("1"))
    with pytest.raises(InUse, match="version 1 cannot be deleted: it is served by an endpoint") as raised:
        delete(database, 1)
    assert raised.value.endpoints == {found.id: "one"} and "one" not in raised.value.message
    endpoints.activate(found.id, 1, {})
    endpoints.add_generation("one", config("2"), 2)
    for version in (1, 2):
        with pytest.raises(InUse):
            delete(database, version)
    delete(database, 3)
    endpoints.activate(found.id, 2, {})
    delete(database, 1)
    endpoints.stop("one", 3)
    with pytest.raises(InUse):
        delete(database, 2)
    endpoints.delete("one", 4)
    delete(database, 2)


def test_a_version_that_failed_to_deploy_can_be_deleted(database: Database, endpoints: Endpoints) -> None:
    model(database)
    found = create(endpoints, "one", config("1"))
    endpoints.fail(found.id, 1, "it does not load", {})
    delete(database, 1)


def test_a_model_that_is_served_is_neither_deleted_nor_renamed_and_nothing_around_it(
    database: Database, endpoints: Endpoints
) -> None:
    Namespaces(database).create(new_namespace("main.team", ANN, 1))
    name = model(database, "main.team.churn")
    create(endpoints, "one", config("1", "main.team.churn"))
    create(endpoints, "two", config("1", "main.team.churn"))
    with pytest.raises(InUse, match="by 2 endpoints"):
        Models(database).delete(name)
    with pytest.raises(InUse, match="cannot be renamed"):
        Models(database).change(name, ModelChange(name=ModelName.parse("main.team.other")), BEN)
    with pytest.raises(InUse):
        Namespaces(database).delete("main.team", force=True)
    assert Models(database).get(name).name == name
    for endpoint in ("one", "two"):
        endpoints.delete(endpoint, 2)
    Namespaces(database).delete("main.team", force=True)


def test_what_is_deleted_or_not_ready_is_not_deployed(database: Database, endpoints: Endpoints) -> None:
    name = model(database)
    ModelVersions(database).create(NewVersion(name, ANN, uuid.uuid4().hex, VersionOrigin()), 1)
    delete(database, 2)
    for version in ("2", "4", "9"):
        with pytest.raises(errors.ResourceDoesNotExist, match=f"version {version} does not exist any more"):
            create(endpoints, "one", config(version))
    assert endpoints.all() == []
    create(endpoints, "one", config("1"))
    endpoints.activate(endpoints.get("one").id, 1, {})
    with pytest.raises(errors.ResourceDoesNotExist):
        endpoints.add_generation("one", config("2"), 2)


def test_of_a_deployment_and_a_deletion_at_once_exactly_one_is_done(database: Database, endpoints: Endpoints) -> None:
    for round_number in range(6):
        name = model(database, f"main.default.m{round_number}", versions=1)
        outcomes: dict[str, BaseException | None] = {}

        def run(what: str, call: Callable[[], object], into: dict[str, BaseException | None] = outcomes) -> None:
            try:
                call()
                into[what] = None
            except errors.HeadgateError as error:
                into[what] = error

        deploy = lambda name=name, number=round_number: create(endpoints, f"e{number}", config("1", name.full))  # noqa: E731
        remove = lambda name=name: delete(database, 1, name)  # noqa: E731
        rivals = [
            threading.Thread(target=run, args=("deploy", deploy)),
            threading.Thread(target=run, args=("delete", remove)),
        ]
        for rival in rivals:
            rival.start()
        for rival in rivals:
            rival.join(60)
        assert outcomes.keys() == {"deploy", "delete"}
        assert (outcomes["deploy"] is None) != (outcomes["delete"] is None), outcomes


def test_an_alias_names_a_version_that_is_ready(database: Database, endpoints: Endpoints) -> None:
    name = model(database)
    pending = ModelVersions(database).create(NewVersion(name, ANN, uuid.uuid4().hex, VersionOrigin()), 1)
    Models(database).set_alias(name, "Champion", 2, BEN)
    Models(database).set_alias(name, "Challenger", pending.version, BEN)
    wanted = [
        (name.full, "Champion"),
        (name.full, "Challenger"),
        (name.full, "none"),
        ("main.default.none", "Champion"),
    ]
    assert endpoints.targets(wanted) == {(name.full, "Champion"): "2"}
    ModelVersions(database).settle(pending, VersionStatus.READY, "", 2)
    assert endpoints.targets(wanted) == {(name.full, "Champion"): "2", (name.full, "Challenger"): "4"}
    assert endpoints.targets([]) == {}


def test_whatever_changes_what_an_alias_names_is_noticed(database: Database) -> None:
    name = model(database)
    pending = ModelVersions(database).create(NewVersion(name, ANN, uuid.uuid4().hex, VersionOrigin()), 1)
    changes: list[Callable[[], object]] = [
        lambda: Models(database).set_alias(name, "Champion", 2, BEN),
        lambda: Models(database).delete_alias(name, "Champion", BEN),
        lambda: ModelVersions(database).settle(pending, VersionStatus.READY, "", 2),
        lambda: delete(database, 1),
        lambda: Models(database).change(name, ModelChange(name=ModelName.parse("main.default.other")), BEN),
        lambda: Models(database).delete(ModelName.parse("main.default.other")),
    ]
    for change in changes:
        before = database.revision(ALIASES)
        change()
        assert database.revision(ALIASES) > before


def test_a_follower_is_written_once_and_only_on_top_of_what_it_was_planned_on(
    database: Database, endpoints: Endpoints
) -> None:
    model(database)
    found = create(endpoints, "one", config("1", requested="@Champion"))
    second = Generation(2, config("2", requested="@Champion"), Outcome.PENDING, 2)
    assert not endpoints.follow(found.id, second), "the first is being deployed"
    endpoints.activate(found.id, 1, {})
    assert not endpoints.follow("f" * 32, second)
    assert endpoints.follow(found.id, second)
    assert not endpoints.follow(found.id, second)
    wanted = endpoints.get("one").wanted
    assert wanted == second
    endpoints.fail(found.id, 2, "it does not load", {})
    endpoints.stop("one", 3)
    assert not endpoints.follow(found.id, Generation(3, config("3"), Outcome.PENDING, 3))


def test_a_follower_whose_version_is_gone_has_failed_and_says_why(database: Database, endpoints: Endpoints) -> None:
    model(database)
    found = create(endpoints, "one", config("1", requested="@Champion"))
    endpoints.activate(found.id, 1, {})
    delete(database, 2)
    assert endpoints.follow(found.id, Generation(2, config("2"), Outcome.PENDING, 2))
    wanted = endpoints.get("one").wanted
    assert (
        wanted is not None
        and wanted.outcome is Outcome.FAILED
        and "version 2 does not exist any more" in wanted.message
    )


@pytest.mark.parametrize(
    ("names", "hidden", "text"),
    [
        (["b", "a"], 0, "endpoint a and endpoint b"),
        (["a"], 1, "endpoint a and another endpoint"),
        (["a"], 2, "endpoint a and 2 other endpoints"),
        ([], 1, "an endpoint"),
        ([], 3, "3 endpoints"),
        (["a", "b", "c"], 0, "endpoint a, endpoint b and endpoint c"),
    ],
)
def test_only_endpoints_that_may_be_known_are_named(names: list[str], hidden: int, text: str) -> None:
    assert served_models.told("x cannot be deleted", names, hidden).startswith(
        f"x cannot be deleted: it is served by {text}. Serve"
    )

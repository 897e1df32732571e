from __future__ import annotations

import pytest

from headgate.domain.endpoint import Endpoint
from headgate.store.activity import Activity
from headgate.store.database import Database
from headgate.store.endpoints import Endpoints
from headgate.store.tracking_credentials import Deployed, Fresh, TrackingCredentials

DEPLOYED = Deployed("a" * 16, "e" * 32, "7")


@pytest.fixture
def credentials(database: Database) -> TrackingCredentials:
    Endpoints(database).create(Endpoint("e" * 32, "churn", "ada", 1, 1), None)
    return TrackingCredentials(database)


def fresh() -> Fresh:
    return Fresh("hash", "sealed")


def never() -> Fresh:
    raise AssertionError("there is one already")


def test_a_deployment_has_one_credential_however_often_it_is_asked_for(credentials: TrackingCredentials) -> None:
    assert credentials.sealed(DEPLOYED, 1, fresh) == "sealed"
    assert credentials.sealed(DEPLOYED, 2, never) == "sealed"
    assert credentials.holder("hash") == (DEPLOYED, "ada")
    assert credentials.holder("other") is None


def test_an_endpoint_that_is_gone_gets_none_and_what_it_had_is_worth_nothing(
    database: Database, credentials: TrackingCredentials
) -> None:
    credentials.sealed(DEPLOYED, 1, fresh)
    endpoints = Endpoints(database)
    endpoints.delete("churn", 2)
    assert credentials.holder("hash") is None
    assert credentials.sealed(Deployed("b" * 16, "e" * 32, "7"), 3, never) is None
    endpoints.forget("e" * 32)
    assert credentials.sealed(DEPLOYED, 4, never) is None


def test_the_creator_is_who_it_is_now(database: Database, credentials: TrackingCredentials) -> None:
    credentials.sealed(DEPLOYED, 1, fresh)
    Endpoints(database).hand_over("churn", "bob", "2", 2)
    assert credentials.holder("hash") == (DEPLOYED, "bob")


def test_it_goes_with_its_deployment(database: Database, credentials: TrackingCredentials) -> None:
    credentials.sealed(DEPLOYED, 1, fresh)
    Activity(database).prune(frozenset({DEPLOYED.key}), 0)
    assert credentials.holder("hash") is not None
    Activity(database).prune(frozenset({"another"}), 0)
    assert credentials.holder("hash") is None

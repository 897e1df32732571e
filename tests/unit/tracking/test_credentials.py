from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate.clock import SystemClock
from headgate.domain.endpoint import Endpoint
from headgate.store import tables
from headgate.store.database import Database
from headgate.store.endpoints import Endpoints
from headgate.store.tracking_credentials import Deployed, TrackingCredentials
from headgate.tracking import credentials
from headgate.tracking.credentials import Holders, Issuer

WANTED = {"ENABLE_MLFLOW_TRACING": "true", "MLFLOW_EXPERIMENT_ID": "7"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TrackingCredentials]:
    database = Database(f"sqlite:///{tmp_path}/store.db")
    tables.metadata.create_all(database.engine)
    Endpoints(database).create(Endpoint("e" * 32, "churn", "ada", 1, 1), None)
    yield TrackingCredentials(database)
    database.close()


def issuer(store: TrackingCredentials) -> Issuer:
    return Issuer(
        store,
        lambda secret, context: f"{context}|{secret.decode()[::-1]}",
        lambda sealed, context: sealed.removeprefix(f"{context}|")[::-1].encode(),
        SystemClock(),
        "http://127.0.0.1:1",
    )


def test_who_asks_to_be_traced_gets_a_server_and_a_credential(store: TrackingCredentials) -> None:
    added = issuer(store).variables("d" * 16, "e" * 32, WANTED)
    assert added["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:1" and added["MLFLOW_TRACING_DESTINATION"] == "7"
    assert added["MLFLOW_TRACKING_TOKEN"].startswith("hgtrace_")
    # One for all replicas of a deployment, whoever starts them: they share warmed processes.
    assert issuer(store).variables("d" * 16, "e" * 32, WANTED) == added
    assert issuer(store).variables("f" * 16, "e" * 32, WANTED) != added


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"MLFLOW_EXPERIMENT_ID": "7"},
        {"ENABLE_MLFLOW_TRACING": "true"},
        {**WANTED, "ENABLE_MLFLOW_TRACING": "false"},
        {**WANTED, "DATABRICKS_TOKEN": "own"},
        {**WANTED, "MLFLOW_TRACKING_URI": "http://elsewhere"},
        {**WANTED, "MLFLOW_EXPERIMENT_ID": "7" * 65},
    ],
)
def test_who_does_not_or_brings_a_server_or_token_gets_nothing(
    store: TrackingCredentials, variables: dict[str, str]
) -> None:
    assert issuer(store).variables("d" * 16, "e" * 32, variables) == {}


def test_what_the_owner_set_stays(store: TrackingCredentials) -> None:
    added = issuer(store).variables("d" * 16, "e" * 32, {**WANTED, "MLFLOW_HTTP_REQUEST_TIMEOUT": "1"})
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in added and "MLFLOW_TRACKING_TOKEN" in added


def test_a_credential_is_good_as_long_as_its_endpoint_and_its_creator(store: TrackingCredentials) -> None:
    token = issuer(store).variables("d" * 16, "e" * 32, WANTED)["MLFLOW_TRACKING_TOKEN"]
    assert Holders(store, lambda creator: creator == "ada", SystemClock()).of(token) == Deployed(
        "d" * 16, "e" * 32, "7"
    )
    assert Holders(store, lambda _creator: False, SystemClock()).of(token) is None
    assert Holders(store, lambda _creator: True, SystemClock()).of(credentials.PREFIX + "made-up") is None

"""An inference table belongs to the endpoint that claimed it, also when that is gone."""

from __future__ import annotations

from typing import Any

import pytest

from headgate import errors
from headgate.domain.endpoint import Endpoint, EndpointConfig, Generation, Outcome
from headgate.domain.namespace import Namespace, NamespaceChange
from headgate.domain.registered_model import Stamp
from headgate.store.database import Database
from headgate.store.endpoints import Endpoints
from headgate.store.inference_tables import InferenceTables
from headgate.store.namespaces import Namespaces

FIRST, SECOND = "1" * 32, "2" * 32
NAME = "main.default.churn_payload"


def gateway(prefix: str = "Churn", schema: str = "default") -> dict[str, Any]:
    place = {"catalog_name": "Main", "schema_name": schema, "table_name_prefix": prefix, "enabled": True}
    return {"inference_table_config": place}


def create(database: Database, endpoint_id: str, name: str, **more: Any) -> None:
    Endpoints(database).create(Endpoint(endpoint_id, name, "ann", 1000, 1000, **more))


def test_a_table_is_claimed_with_the_endpoint_that_keeps_its_requests_there(database: Database) -> None:
    create(database, FIRST, "churn", ai_gateway=gateway())
    claim = InferenceTables(database).get(NAME)
    assert claim is not None
    assert (claim.endpoint_id, claim.form, claim.alive, claim.in_schema) == (FIRST, "gateway", True, True)
    assert (claim.schema_name, claim.created_at_ms) == ("main.default", 1000)


def test_another_endpoint_cannot_have_it(database: Database) -> None:
    endpoints, tables = Endpoints(database), InferenceTables(database)
    create(database, FIRST, "churn", ai_gateway=gateway())
    with pytest.raises(errors.ResourceAlreadyExists, match=NAME):
        create(database, SECOND, "spy", ai_gateway=gateway())
    create(database, SECOND, "spy")
    with pytest.raises(errors.ResourceAlreadyExists):
        endpoints.change("spy", 2000, ai_gateway=gateway("CHURN"))
    capture = {"catalog_name": "main", "schema_name": "default", "table_name_prefix": "churn"}
    with pytest.raises(errors.ResourceAlreadyExists):
        endpoints.add_generation("spy", EndpointConfig(auto_capture_config=capture), 2000)
    endpoints.change("churn", 2000, ai_gateway=None)
    assert not tables.hand_over(NAME, SECOND)
    with pytest.raises(errors.ResourceAlreadyExists):
        endpoints.change("spy", 2000, ai_gateway=gateway())
    assert endpoints.get("spy").ai_gateway is None
    endpoints.change("churn", 2000, ai_gateway=gateway())


def test_it_stays_the_deleted_endpoints_until_it_is_handed_over(database: Database) -> None:
    endpoints, tables = Endpoints(database), InferenceTables(database)
    create(database, FIRST, "churn", ai_gateway=gateway())
    endpoints.delete("churn", 2000)
    endpoints.forget(FIRST)
    claim = tables.get(NAME)
    assert claim is not None
    assert (claim.endpoint_id, claim.alive) == (FIRST, False)
    create(database, SECOND, "churn")
    with pytest.raises(errors.ResourceAlreadyExists):
        endpoints.change("churn", 3000, ai_gateway=gateway())
    assert tables.hand_over(NAME, SECOND)
    endpoints.change("churn", 3000, ai_gateway=gateway())
    assert not tables.hand_over("main.default.absent_payload", SECOND)


def test_auto_capture_claims_its_table_too(database: Database) -> None:
    capture = {"catalog_name": "main", "schema_name": "default"}
    config = EndpointConfig(auto_capture_config=capture)
    create(database, FIRST, "old", wanted=Generation(1, config, Outcome.PENDING, 1000))
    (claim,) = InferenceTables(database).all()
    assert (claim.full_name, claim.form) == ("main.default.old_payload", "legacy")


def test_a_schema_made_later_under_the_same_name_is_not_the_one_it_was_made_in(database: Database) -> None:
    namespaces, tables = Namespaces(database), InferenceTables(database)
    namespaces.create(Namespace("5" * 32, "main.fraud", "7", "ann", 1, 1, "ann"))
    create(database, FIRST, "churn", ai_gateway=gateway(schema="fraud"))
    assert [claim.in_schema for claim in tables.of_schema("main.fraud")] == [True]
    namespaces.change("main.fraud", NamespaceChange(full_name="main.moved"), Stamp("ann", 2))
    assert [claim.in_schema for claim in tables.of_schema("main.fraud")] == [False]
    namespaces.create(Namespace("6" * 32, "main.fraud", "8", "bob", 1, 1, "bob"))
    assert [claim.in_schema for claim in tables.of_schema("main.fraud")] == [False]

"""Who may read an inference table, and who may have requests kept in one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headgate import errors
from headgate.access.model_rights import ModelRights
from headgate.access.principals import Principal
from headgate.access.rights import Rights
from headgate.access.table_rights import TableRights
from headgate.domain.endpoint import Endpoint
from headgate.domain.grants import CATALOG, SCHEMA, Securable
from headgate.domain.namespace import Namespace
from headgate.domain.request_record import InferenceTable
from headgate.store import schema
from headgate.store.database import Database
from headgate.store.endpoints import Endpoints
from headgate.store.grants import Grants
from headgate.store.inference_tables import InferenceTables
from headgate.store.namespaces import Namespaces

ROOT, ANN, BOB, CLAIRE = (
    Principal(id, id, admin=id == "root", keys=frozenset((id,))) for id in ("root", "ann", "bob", "claire")
)
CHURN, NEXT = "1" * 32, "2" * 32
NAME = "shop.buyers.churn_payload"
TABLE = InferenceTable("shop", "buyers", "churn")


@dataclass
class Place:
    """A catalog and schema of Claire's, and an endpoint of Ann's that keeps its requests there."""

    database: Database

    def __post_init__(self) -> None:
        self.endpoints, self.grants = Endpoints(self.database), Grants(self.database)
        self.namespaces = Namespaces(self.database)
        self.rights = TableRights(InferenceTables(self.database), Rights(self.grants), ModelRights(self.database))
        self.make_schema("a")
        self.create(CHURN, "churn", gateway())

    def make_schema(self, number: str) -> None:
        self.namespaces.create(Namespace(number * 32, "shop", "claire", "claire", 1, 1, "claire"))
        self.namespaces.create(Namespace("5" + number * 31, "shop.buyers", "claire", "claire", 1, 1, "claire"))

    def create(self, endpoint_id: str, name: str, ai_gateway: dict[str, Any] | None = None) -> None:
        endpoint = Endpoint(endpoint_id, name, "ann", 1, 1, ai_gateway=ai_gateway)
        self.endpoints.create(endpoint, manager="ann")

    def grant(self, kind: str, name: str, **privileges: tuple[str, ...]) -> None:
        self.grants.change(Securable(kind, name), privileges, {})

    def readers(self) -> set[str]:
        """Who may, asked in both ways."""
        people = (ROOT, ANN, BOB, CLAIRE)
        found = {who.id for who in people if self.rights.readable(who, NAME)}
        assert found == {who.id for who in people if self.rights.all_readable(who)}
        assert found == {who.id for who in people if self.rights.all_readable(who, "shop.buyers")}
        return found


def gateway() -> dict[str, Any]:
    place = {"catalog_name": "shop", "schema_name": "buyers", "table_name_prefix": "churn", "enabled": True}
    return {"inference_table_config": place}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    database = Database(f"sqlite:///{tmp_path}/store.db")
    schema.metadata.create_all(database.engine)
    yield Place(database)
    database.close()


def test_managers_of_the_endpoint_owners_of_the_schema_and_administrators_read_it(place: Place) -> None:
    assert place.readers() == {"root", "ann", "claire"}
    place.grant("serving-endpoint", CHURN, bob=("CAN_QUERY",))
    assert place.readers() == {"root", "ann", "claire"}
    place.grant("serving-endpoint", CHURN, bob=("CAN_MANAGE",))
    assert place.readers() == {"root", "ann", "bob", "claire"}
    assert place.rights.readable(ROOT, "shop.buyers.absent_payload") is None
    assert [who.id for who in (ROOT, ANN, CLAIRE) if place.rights.reads_system(who)] == ["root"]


def test_select_lets_read_once_one_may_use_what_is_around_it(place: Place) -> None:
    place.grant(SCHEMA, "shop.buyers", bob=("SELECT", "USE_SCHEMA"))
    assert "bob" not in place.readers()
    place.grant(CATALOG, "shop", bob=("USE_CATALOG",))
    assert "bob" in place.readers()


def test_when_the_endpoint_is_gone_its_managers_are_nobody_to_the_table(place: Place) -> None:
    place.endpoints.delete("churn", 2)
    assert place.readers() == {"root", "claire"}
    place.endpoints.forget(CHURN)
    assert place.readers() == {"root", "claire"}


def test_whoever_makes_a_schema_of_the_same_name_later_does_not_read_it(place: Place) -> None:
    place.namespaces.delete("shop", force=True)
    place.endpoints.delete("churn", 2)
    assert place.readers() == {"root"}
    place.make_schema("b")
    assert place.readers() == {"root"}


def test_keeping_requests_takes_create_table_in_a_schema_one_may_use(place: Place) -> None:
    new = InferenceTable("shop", "buyers", "new")
    place.rights.require_to_keep(CLAIRE, NEXT, new)
    with pytest.raises(errors.ResourceDoesNotExist):
        place.rights.require_to_keep(BOB, NEXT, new)
    place.grant(CATALOG, "shop", bob=("USE_CATALOG",))
    with pytest.raises(errors.ResourceDoesNotExist, match=r"shop\.absent"):
        place.rights.require_to_keep(CLAIRE, NEXT, InferenceTable("shop", "absent", "new"))
    place.grant(SCHEMA, "shop.buyers", bob=("USE_SCHEMA",))
    with pytest.raises(errors.PermissionDenied, match="CREATE_TABLE"):
        place.rights.require_to_keep(BOB, NEXT, new)
    place.grant(SCHEMA, "shop.buyers", bob=("CREATE_TABLE",))
    place.rights.require_to_keep(BOB, NEXT, new)
    with pytest.raises(errors.InvalidParameterValue, match="system"):
        place.rights.require_to_keep(ROOT, NEXT, InferenceTable("System", "serving", "new"))


def test_a_table_of_another_endpoint_is_not_to_be_had(place: Place) -> None:
    place.rights.require_to_keep(BOB, CHURN, TABLE)  # it has it already
    for who in (ROOT, CLAIRE):
        with pytest.raises(errors.ResourceAlreadyExists, match=NAME):
            place.rights.require_to_keep(who, NEXT, TABLE)


def test_a_table_of_an_endpoint_that_is_gone_goes_to_who_may_read_it(place: Place) -> None:
    place.endpoints.delete("churn", 2)
    place.grant(CATALOG, "shop", ann=("USE_CATALOG",))
    place.grant(SCHEMA, "shop.buyers", ann=("USE_SCHEMA", "CREATE_TABLE"))
    with pytest.raises(errors.ResourceAlreadyExists):
        place.rights.require_to_keep(ANN, NEXT, TABLE)
    place.rights.require_to_keep(CLAIRE, NEXT, TABLE)
    place.create(NEXT, "churn", gateway())
    assert place.readers() == {"root", "ann", "claire"}

"""Unity Catalog's routes: shapes, who may what, one registry with MLflow's routes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.api.registry_house import MLFLOW, MLMODEL, UC, RegistryHouse

from headgate.api import unity_catalog
from headgate.api.model_registry import mlflow_registry

CHURN = "shop.buyers.churn"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryHouse]:
    made = RegistryHouse(tmp_path_factory.mktemp("registry"))
    made.version(CHURN, made.ann)
    made.done("PUT", f"{UC}/models/{CHURN}/aliases/Champion", {"version_num": 1}, made.ann)
    made.grant("shop", made.rea, "USE_CATALOG", "USE_SCHEMA")
    made.grant(CHURN, made.rea, "EXECUTE")
    yield made
    made.close()


# -- shapes --------------------------------------------------------------------------------------------------------


def test_a_model_is_shown_as_registered_model_info(house: RegistryHouse) -> None:
    shown = house.done("GET", f"{UC}/models/{CHURN.upper()}?include_aliases=true", None, house.ann)
    times = [shown.pop(field) for field in ("created_at", "updated_at")]
    assert times[0] <= times[1] and len(shown.pop("id")) == 32 and len(shown.pop("metastore_id")) == 36
    place = {"catalog_name": "shop", "schema_name": "buyers"}
    alias = {**place, "model_name": "churn", "alias_name": "Champion", "version_num": 1}
    assert shown == {
        **place,
        "name": "churn",
        "full_name": CHURN,
        "owner": "ann@x.com",
        "created_by": "ann@x.com",
        "updated_by": "ann@x.com",
        "storage_location": f"models:/{CHURN}",
        "aliases": [alias],
    }


def test_a_version_is_shown_as_model_version_info(house: RegistryHouse) -> None:
    shown = house.done("GET", f"{UC}/models/{CHURN}/versions/1?include_aliases=true", None, house.rea)
    for field in ("created_at", "updated_at", "id", "metastore_id"):
        assert shown.pop(field)
    [alias] = shown.pop("aliases")
    assert (alias["alias_name"], alias["version_num"]) == ("Champion", 1)
    assert shown == {
        "catalog_name": "shop",
        "schema_name": "buyers",
        "model_name": "churn",
        "version": 1,
        "status": "READY",
        "source": "s",
        "created_by": "ann@x.com",
        "updated_by": "ann@x.com",
        "storage_location": f"models:/{CHURN}/1",
    }


def test_aliases_and_tags_are_not_in_lists(house: RegistryHouse) -> None:
    house.done("PATCH", f"{UC}/securable-tags/FUNCTION/{CHURN}", {"changes": {"add_tags": [{"key": "k"}]}}, house.ann)
    [model] = house.done("GET", f"{UC}/models?catalog_name=shop&schema_name=buyers", None, house.rea)[
        "registered_models"
    ]
    [version] = house.done("GET", f"{UC}/models/{CHURN}/versions", None, house.rea)["model_versions"]
    assert not {"aliases", "tags"} & {*model, *version}
    assert "aliases" not in house.done("GET", f"{UC}/models/{CHURN}", None, house.rea)
    assert house.done("GET", f"{UC}/models/{CHURN}", None, house.rea)["tags"] == [{"key": "k", "value": ""}]


def test_what_a_version_uses_and_where_its_run_was_is_kept(house: RegistryHouse) -> None:
    uses = {"dependencies": [{"function": {"function_full_name": "main.default.f"}}]}
    house.done("POST", f"{UC}/models", {"catalog_name": "shop", "schema_name": "buyers", "name": "uses"}, house.ann)
    sent = {"catalog_name": "shop", "schema_name": "buyers", "model_name": "uses", "run_id": "r", "model_id": "m-1"}
    more = {"model_version_dependencies": uses, "run_tracking_server_id": "123", "tags": [{"key": "a", "value": "b"}]}
    made = house.done("POST", f"{UC}/models/versions", {**sent, **more, "comment": "c"}, house.ann)
    assert made["model_version_dependencies"] == uses and made["status"] == "PENDING_REGISTRATION"
    assert (made["run_workspace_id"], made["model_id"], made["run_id"], made["comment"]) == (123, "m-1", "r", "c")
    assert made["tags"] == [{"key": "a", "value": "b"}]


def test_both_apis_show_one_registry(house: RegistryHouse) -> None:
    house.done(
        "POST", f"{MLFLOW}/registered-models/create", {"name": "shop.buyers.both", "description": "d"}, house.ann
    )
    seen = house.done("GET", f"{UC}/models/shop.buyers.both", None, house.ann)
    assert (seen["owner"], seen["comment"]) == ("ann@x.com", "d")
    house.done("PATCH", f"{UC}/models/shop.buyers.both", {"comment": "e", "new_name": "two"}, house.ann)
    found = house.done("GET", f"{MLFLOW}/registered-models/get?name=shop.buyers.two", None, house.ann)
    assert found["registered_model"]["description"] == "e"
    house.version("shop.buyers.two", house.ann)
    house.done(
        "POST",
        f"{MLFLOW}/registered-models/alias",
        {"name": "shop.buyers.two", "alias": "A", "version": "1"},
        house.ann,
    )
    assert house.done("GET", f"{UC}/models/shop.buyers.two/aliases/A", None, house.ann)["version"] == 1
    house.done("DELETE", f"{UC}/models/shop.buyers.two/versions/1", None, house.ann)
    assert (
        house.ask("GET", f"{MLFLOW}/model-versions/get?name=shop.buyers.two&version=1", None, house.ann).status == 404
    )
    house.done("DELETE", f"{MLFLOW}/registered-models/delete", {"name": "shop.buyers.two"}, house.ann)
    assert house.ask("GET", f"{UC}/models/shop.buyers.two", None, house.ann).status == 404


# -- who may what --------------------------------------------------------------------------------------------------

# What a path and a body stand for in the tests below: a model of Ann's, or one that is not there.
BODIES: dict[str, Any] = {
    "description": "d",
    "comment": "c",
    "key": "k",
    "value": "v",
    "alias": "Champion",
    "version": "1",
    "version_num": 1,
    "changes": {"add_tags": [{"key": "k"}]},
    "entity_type": "functions",
    "tag_key": "k",
    "tag_value": "v",
}
OPERATIONS = [
    *((MLFLOW, operation) for operation in mlflow_registry.OPERATIONS),
    *((UC, operation) for operation in unity_catalog.OPERATIONS),
]
ABOUT_MODELS = [
    (prefix, operation)
    for prefix, operation in OPERATIONS
    if operation.path.startswith(("model", "registered-models/", "securable", "subentity", "entity", "temporary"))
    and not operation.path.endswith(("/search", "registered-models/create", "emit-lineage"))
    and (operation.method, operation.path) not in (("POST", "models"), ("GET", "models"))
]


def ids(case: Any) -> str:
    prefix, operation = case
    return f"{operation.method} {'mlflow' if prefix == MLFLOW else 'uc'} {operation.path}"


def request_about(name: str, case: Any) -> tuple[str, str, Any]:
    """The operation about that model, as clients send it."""
    prefix, operation = case
    catalog, schema, model = name.split(".")
    words = {"full_name": name, "securable_full_name": name, "entity_name": name, "securable_type": "FUNCTION"}
    words |= {"entity_type": "functions", "version": "1", "alias": "Champion", "subentity_name": "1", "tag_key": "k"}
    parts = {"name": name, "catalog_name": catalog, "schema_name": schema, "model_name": model, "entity_name": name}
    body = {**BODIES, **parts}
    path = f"{prefix}/{operation.path.format(**words)}"
    if operation.method == "GET":
        return "GET", f"{path}?name={name}&version=1&alias=Champion", None
    return operation.method, path, body


@pytest.mark.parametrize("case", ABOUT_MODELS, ids=ids)
def test_a_stranger_is_told_nothing_that_tells_a_model_from_none(house: RegistryHouse, case: Any) -> None:
    method, path, body = request_about(CHURN, case)
    hidden = house.ask(method, path, body, house.stan)
    unknown = house.ask(*request_about("shop.buyers.nihil", case), house.stan)
    assert hidden.status == unknown.status == 404
    assert hidden.raw == unknown.raw.replace(b"nihil", b"churn")
    assert hidden.body == {
        "error_code": "RESOURCE_DOES_NOT_EXIST",
        "message": f"Registered model {CHURN} does not exist.",
    }


READING = {"SEEN", "EXECUTE"}
MAY_READ = {
    "registered-models/get",
    "model-versions/get",
    "model-versions/get-download-uri",
    "model-versions/generate-temporary-credentials",
    "temporary-model-version-credentials",
}


@pytest.mark.parametrize("case", ABOUT_MODELS, ids=ids)
def test_a_reader_may_read_and_is_told_what_the_rest_takes(house: RegistryHouse, case: Any) -> None:
    _, operation = case
    answer = house.ask(*request_about(CHURN, case), house.rea)
    if operation.method == "GET" or operation.path in MAY_READ:
        assert answer.status == 200, answer
    else:
        status, code, message = answer.error
        assert (status, code) == (403, "PERMISSION_DENIED")
        assert message.startswith("User does not have ") and f"on Routine or Model '{CHURN}'" in message


def test_each_privilege_opens_what_it_is_for(house: RegistryHouse) -> None:
    house.version("shop.buyers.opened", house.ann)
    parts = {"catalog_name": "shop", "schema_name": "buyers", "model_name": "opened"}
    house.grant("shop.buyers.opened", house.rea, "CREATE_MODEL_VERSION")
    made = house.done("POST", f"{UC}/models/versions", parts, house.rea)
    house.done("PUT", f"/api/2.0/fs/files/Models/shop/buyers/opened/{made['version']}/MLmodel", MLMODEL, house.rea)
    house.done("PATCH", f"{UC}/models/shop.buyers.opened/versions/{made['version']}/finalize", {}, house.rea)
    assert house.ask("DELETE", f"{UC}/models/shop.buyers.opened/versions/1", None, house.rea).status == 403
    assert house.ask("GET", "/api/2.0/fs/files/Models/shop/buyers/opened/1/MLmodel", None, house.rea).status == 403
    house.grant("shop.buyers.opened", house.rea, "APPLY_TAG")
    tags = {"changes": {"add_tags": [{"key": "a", "value": "b"}]}}
    house.done("PATCH", f"{UC}/subentity-tags/FUNCTION/shop.buyers.opened/1", tags, house.rea)
    assert house.ask("POST", f"{UC}/models/versions", parts, house.rea).status == 403
    house.grant("shop.buyers.opened", house.rea, "MANAGE")
    house.done("PATCH", f"{UC}/models/shop.buyers.opened", {"owner": "rea@x.com"}, house.rea)
    assert house.done("GET", f"{UC}/models/shop.buyers.opened", None, house.ann)["owner"] == "rea@x.com"
    house.done("DELETE", f"{UC}/models/shop.buyers.opened", None, house.rea)


def test_who_made_a_version_completes_it_while_they_may_see_the_model(house: RegistryHouse) -> None:
    house.version("shop.buyers.shared", house.ann)
    house.grant("shop.buyers.shared", house.rea, "CREATE_MODEL_VERSION")
    number = house.version("shop.buyers.shared", house.rea, finalized=False)
    house.grant("shop.buyers.shared", house.rea)
    finalize = f"{UC}/models/shop.buyers.shared/versions/{number}/finalize"
    assert house.ask("PATCH", finalize, {}, house.rea).status == 404
    house.grant("shop.buyers.shared", house.rea, "APPLY_TAG")
    assert house.done("PATCH", finalize, {}, house.rea)["status"] == "READY"


def test_the_files_of_a_version_are_for_those_who_may_execute_and_written_by_who_made_it(house: RegistryHouse) -> None:
    number = house.version("shop.buyers.written", house.ann, finalized=False)
    path = f"/Models/shop/buyers/written/{number}/more"
    for method, route, body in (
        ("POST", f"/api/2.0/fs/create-upload-url?path={path}", {}),
        ("PUT", f"/api/2.0/fs/files{path}", b"x"),
        ("DELETE", f"/api/2.0/fs/files{path}", None),
        ("POST", f"/api/2.0/fs/files{path}?action=initiate-upload", None),
    ):
        assert house.ask(method, route, body, house.stan).status == 404
        house.grant("shop.buyers.written", house.rea, "EXECUTE")
        assert house.ask(method, route, body, house.rea).status == 403
    signed = house.done("POST", f"/api/2.0/fs/create-upload-url?path={path}", {}, house.ann)["url"]
    assert "/signed/Models/shop/buyers/written/" in signed
    assert (
        house.ask(
            "POST", "/api/2.0/fs/create-download-url?path=/Models/shop/buyers/churn/1/MLmodel", {}, house.stan
        ).status
        == 404
    )
    reading = house.done(
        "POST", "/api/2.0/fs/create-download-url?path=/Models/shop/buyers/churn/1/MLmodel", {}, house.rea
    )
    assert "/signed/Models/shop/buyers/churn/1/MLmodel?" in reading["url"]


def test_lists_show_what_the_caller_may_see(house: RegistryHouse) -> None:
    def models(caller: Any, query: str = "") -> set[str]:
        answer = house.done("GET", f"{UC}/models{query}", None, caller)
        mlflow = house.done("GET", f"{MLFLOW}/registered-models/search", None, caller)
        found = {model["full_name"] for model in answer["registered_models"]}
        if not query:
            assert found == {model["name"] for model in mlflow["registered_models"]}
        return found

    assert CHURN in models(house.ann) and CHURN in models(None) and models(house.stan) == set()
    assert CHURN in models(house.rea)
    house.grant(CHURN, house.stan, "BROWSE")
    assert models(house.stan) == set() and models(house.stan, "?include_browse=true") == {CHURN}
    [shown] = house.done("GET", f"{UC}/models?include_browse=true", None, house.stan)["registered_models"]
    assert shown["browse_only"] is True
    assert house.ask("GET", f"{UC}/models/{CHURN}", None, house.stan).status == 403
    assert house.done("GET", f"{UC}/models/{CHURN}?include_browse=true", None, house.stan)["browse_only"] is True
    house.grant(CHURN, house.stan)
    assert house.done(
        "GET", f"{MLFLOW}/model-versions/search?filter=name='{CHURN}'".replace("'", "%27"), None, house.stan
    ) == {"model_versions": []}


def test_pages_are_full_although_others_have_models_between(house: RegistryHouse) -> None:
    for number in range(6):
        owner = house.ann if number % 2 else None
        parts = {"catalog_name": "shop", "schema_name": "buyers", "name": f"page{number}"}
        house.done("POST", f"{UC}/models", parts, owner)
    house.grant("shop.buyers.page0", house.rea, "EXECUTE")
    house.grant("shop.buyers.page5", house.rea, "EXECUTE")
    seen, token = [], ""
    for _ in range(10):
        page = house.done("GET", f"{UC}/models?max_results=2&page_token={token}", None, house.rea)
        seen += [model["name"] for model in page["registered_models"]]
        token = page.get("next_page_token", "")
        assert len(page["registered_models"]) == 2 or not token
        if not token:
            break
    assert {"churn", "page0", "page5"} <= set(seen) and "page1" not in seen and len(seen) == len(set(seen))


def test_registering_where_nothing_is_yet_makes_catalog_and_schema_for_those_who_may(house: RegistryHouse) -> None:
    create = f"{MLFLOW}/registered-models/create"
    assert house.ask("POST", create, {"name": "none.at.all"}, house.ann).error == (
        404,
        "RESOURCE_DOES_NOT_EXIST",
        "Catalog none does not exist.",
    )
    assert (
        house.ask("POST", create, {"name": "shop.secret.model"}, house.rea).error[2]
        == "Schema shop.secret does not exist."
    )
    house.done("POST", create, {"name": "shop.secret.model"}, house.ann)
    assert house.done("GET", f"{UC}/schemas/shop.secret", None, house.ann)["owner"] == "ann@x.com"
    assert house.ask("POST", create, {"name": "main.default.everybodys"}, house.stan).status == 200
    assert house.done("GET", f"{UC}/models/main.default.everybodys", None, house.stan)["owner"] == "stan@x.com"
    assert house.ask("POST", create, {"name": "main.default.everybodys"}, house.stan).status == 409
    assert house.ask("POST", create, {"name": "main.stans.own"}, house.stan).status == 200
    house.done("POST", create, {"name": "brand.new.model"})
    assert house.done("GET", f"{UC}/catalogs/brand")["owner"] == "ada"


def test_a_schema_with_a_right_to_create_in_it_is_enough(house: RegistryHouse) -> None:
    sent = {"catalog_name": "shop", "schema_name": "buyers", "name": "reas"}
    assert (
        house.ask("POST", f"{UC}/models", sent, house.rea)
        .error[2]
        .startswith("User does not have CREATE_MODEL on Schema")
    )
    house.grant("shop.buyers", house.rea, "CREATE_MODEL")
    house.done("POST", f"{UC}/models", sent, house.rea)
    house.grant("shop.buyers", house.rea)


def test_somebody_who_may_add_versions_is_told_that_the_model_is_there(house: RegistryHouse) -> None:
    """MLflow creates the model first, whatever, and goes on only when that is refused with this code."""
    answer = house.ask("POST", f"{MLFLOW}/registered-models/create", {"name": CHURN}, house.rea)
    assert answer.error[:2] == (409, "RESOURCE_ALREADY_EXISTS")


def test_an_owner_can_be_a_group_and_must_be_somebody(house: RegistryHouse) -> None:
    house.version("shop.buyers.owned", house.ann)
    group = house.as_admin(
        "POST", "/api/2.0/preview/scim/v2/Groups", {"displayName": "crm", "members": [{"value": house.rea.id}]}
    )
    assert house.ask("PATCH", f"{UC}/models/shop.buyers.owned", {"owner": "nobody"}, house.ann).error[:2] == (
        400,
        "INVALID_PARAMETER_VALUE",
    )
    assert house.done("PATCH", f"{UC}/models/shop.buyers.owned", {"owner": "crm"}, house.ann)["owner"] == "crm"
    assert house.done("PATCH", f"{UC}/models/shop.buyers.owned", {"comment": "ours"}, house.rea)["comment"] == "ours"
    assert group


# -- what else is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "models", {"catalog_name": "shop", "schema_name": "buyers"}, 400, "INVALID_PARAMETER_VALUE"),
        ("POST", "models", {"catalog_name": "a.b", "schema_name": "c", "name": "d"}, 400, "INVALID_PARAMETER_VALUE"),
        (
            "POST",
            "models",
            {"catalog_name": "shop", "schema_name": "buyers", "name": "x", "storage_location": "s3://x"},
            400,
            "INVALID_PARAMETER_VALUE",
        ),
        ("GET", "models?catalog_name=shop", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "models?catalog_name=shop&schema_name=none", None, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", "models?max_results=-1", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "models?page_token=x", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "models/shop.buyers", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", f"models/{CHURN}/versions/one", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", f"models/{CHURN}/versions/99", None, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", f"models/{CHURN}/aliases/Nobody", None, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("PUT", f"models/{CHURN}/aliases/latest", {"version_num": 1}, 400, "INVALID_PARAMETER_VALUE"),
        ("PUT", f"models/{CHURN}/aliases/A", {"version_num": 99}, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("PUT", f"models/{CHURN}/aliases/A", {}, 400, "INVALID_PARAMETER_VALUE"),
        ("PATCH", f"models/{CHURN}", {"new_name": "a b"}, 400, "INVALID_PARAMETER_VALUE"),
        ("PATCH", f"models/{CHURN}", {"new_name": "other.place.x"}, 400, "INVALID_PARAMETER_VALUE"),
        ("POST", "catalogs", {"name": "a.b"}, 400, "INVALID_PARAMETER_VALUE"),
        ("POST", "catalogs", {"name": "x", "connection_name": "mysql"}, 400, "INVALID_PARAMETER_VALUE"),
        ("POST", "catalogs", {"name": "x", "storage_root": "s3://x"}, 400, "INVALID_PARAMETER_VALUE"),
        ("POST", "catalogs", {"name": "shop"}, 409, "RESOURCE_ALREADY_EXISTS"),
        ("POST", "schemas", {"name": "x", "catalog_name": "none"}, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("POST", "schemas", {"name": "buyers", "catalog_name": "shop"}, 409, "RESOURCE_ALREADY_EXISTS"),
        ("GET", "schemas", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "schemas?catalog_name=none", None, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", "schemas/shop", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "catalogs/shop.buyers", None, 400, "INVALID_PARAMETER_VALUE"),
        ("DELETE", "schemas/shop.buyers", None, 400, "INVALID_STATE"),
        ("DELETE", "catalogs/shop?force=false", None, 400, "INVALID_STATE"),
        ("PATCH", f"securable-tags/TABLE/{CHURN}", {"changes": {}}, 400, "INVALID_PARAMETER_VALUE"),
        ("PATCH", "subentity-tags/SCHEMA/shop.buyers/1", {"changes": {}}, 400, "INVALID_PARAMETER_VALUE"),
        (
            "PATCH",
            f"securable-tags/FUNCTION/{CHURN}",
            {"changes": {"add_tags": [{"key": ""}]}},
            400,
            "INVALID_PARAMETER_VALUE",
        ),
        ("GET", f"entity-tag-assignments/functions/{CHURN}/tags/none", None, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("PATCH", "entity-tag-assignments/catalogs/shop/tags/none", {"tag_value": "x"}, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("DELETE", "entity-tag-assignments/catalogs/shop/tags/none", None, 404, "RESOURCE_DOES_NOT_EXIST"),
    ],
)
def test_what_cannot_be_is_refused_with_a_code_that_clients_know(
    house: RegistryHouse, method: str, path: str, body: Any, status: int, code: str
) -> None:
    answer = house.ask(method, f"{UC}/{path}", body)
    assert answer.error[:2] == (status, code), answer


def test_nothing_of_a_change_is_kept_when_part_of_it_is_refused(house: RegistryHouse) -> None:
    house.version("shop.buyers.whole", house.ann)
    answer = house.ask("PATCH", f"{UC}/models/shop.buyers.whole", {"comment": "new", "new_name": "churn"}, house.ann)
    assert answer.error[:2] == (409, "RESOURCE_ALREADY_EXISTS")
    assert "comment" not in house.done("GET", f"{UC}/models/shop.buyers.whole", None, house.ann)


def test_creating_an_endpoint_takes_execute_on_every_model(house: RegistryHouse) -> None:
    def create(name: str, caller: Any, model: str = CHURN) -> Any:
        entity = {"entity_name": model, "entity_version": "1", "workload_size": "Small", "scale_to_zero_enabled": True}
        return house.ask(
            "POST", "/api/2.0/serving-endpoints", {"name": name, "config": {"served_entities": [entity]}}, caller
        )

    hidden = create("stans", house.stan)
    unknown = create("stans", house.stan, "shop.buyers.nihil")
    assert hidden.status == unknown.status == 404
    assert hidden.raw == unknown.raw.replace(b"nihil", b"churn")
    house.version("shop.buyers.tagged", house.ann)
    house.grant("shop.buyers.tagged", house.rea, "APPLY_TAG")
    refused = create("reas", house.rea, "shop.buyers.tagged")
    assert refused.error[:2] == (403, "PERMISSION_DENIED") and "EXECUTE" in refused.error[2]


def test_a_token_page_and_a_body_may_come_from_any_part_of_a_request(house: RegistryHouse) -> None:
    assert json.loads(house.ask("GET", f"{UC}/metastore_summary").raw)["name"] == "headgate"
    assert house.done("GET", f"{UC}/current-metastore-assignment")["workspace_id"] == 1234567890123456

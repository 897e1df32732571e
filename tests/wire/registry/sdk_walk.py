"""Run by the tests inside an environment with databricks-sdk: what an owner, a reader and a stranger do with the registry's own API.

Reads TOKENS, JSON of caller -> token. Prints one line of JSON with what each saw.
"""

import io
import json
import os

from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import DatabricksError
from databricks.sdk.version import __version__

HOST, TOKENS = os.environ["DATABRICKS_HOST"], json.loads(os.environ["TOKENS"])
UC = "/api/2.1/unity-catalog"
MLMODEL = b"flavors: {python_function: {loader_module: x}}\nsignature: {inputs: '[]', outputs: '[]'}\n"
as_admin, as_ann, as_rea, as_stan = (
    WorkspaceClient(config=Config(host=HOST, token=TOKENS[who], auth_type="pat"))
    for who in ("admin", "ann", "rea", "stan")
)
seen = {"sdk": __version__}


def refused(call, *arguments, **keywords):
    try:
        call(*arguments, **keywords)
    except DatabricksError as error:
        return [type(error).__name__, str(error)]
    raise AssertionError(f"{call} should have been refused")


def names(found):
    return sorted(one.full_name for one in found)


def grant(kind, name, principal, *privileges):
    changes = {"changes": [{"principal": principal, "add": list(privileges)}]}
    as_admin.api_client.do("PATCH", f"{UC}/permissions/{kind}/{name}", body=changes)


summary, assignment = as_rea.metastores.summary(), as_rea.metastores.current()
seen["metastore"] = [summary.metastore_id == assignment.metastore_id, assignment.default_catalog_name]

# -- catalogs and schemas
made = as_admin.catalogs.create("Shop", comment="What we sell", properties={"a": "b"})
seen["catalog"] = [made.name, made.owner, made.comment, made.properties, made.created_by, bool(made.created_at)]
grant("catalog", "shop", "ann@example.com", "USE_CATALOG", "CREATE_SCHEMA")
schema = as_ann.schemas.create("Customers", "shop", comment="Who buys")
seen["schema"] = [schema.full_name, schema.catalog_name, schema.name, schema.owner, schema.comment]
seen["catalogs"] = {who: names(w.catalogs.list()) for who, w in (("ann", as_ann), ("rea", as_rea))}
seen["schemas"] = {"ann": names(as_ann.schemas.list("shop")), "rea": refused(as_rea.schemas.list("shop").__next__)}
seen["catalog pages"] = names(as_admin.catalogs.list(max_results=1))
refusals = {
    "catalog twice": refused(as_admin.catalogs.create, "shop"),
    "catalog without right": refused(as_ann.catalogs.create, "mine"),
    "schema without right": refused(as_rea.schemas.create, "mine", "shop"),
    "hidden catalog": refused(as_rea.catalogs.get, "shop"),
    "unknown catalog": refused(as_rea.catalogs.get, "none"),
    "catalog of others": refused(as_ann.catalogs.update, "shop", comment="mine"),
    "catalog that is full": refused(as_admin.catalogs.delete, "shop"),
}
changed = as_ann.schemas.update("shop.customers", comment="Buyers", properties={"c": "d"})
seen["changed schema"] = [changed.comment, changed.properties, changed.updated_by]

# -- models
model = as_ann.registered_models.create(
    catalog_name="shop", schema_name="customers", name="Churn", comment="Who leaves"
)
seen["model"] = [model.full_name, model.name, model.catalog_name, model.schema_name, model.owner, model.comment]
parts = {"catalog_name": "shop", "schema_name": "customers", "model_name": "churn"}
for number in ("1", "2"):
    version = as_ann.api_client.do("POST", f"{UC}/models/versions", body={**parts, "source": "s", "run_id": "r"})
    assert version["version"] == int(number), version
    as_ann.files.upload(f"/Models/shop/customers/churn/{number}/MLmodel", io.BytesIO(MLMODEL))
    as_ann.api_client.do("PATCH", f"{UC}/models/shop.customers.churn/versions/{number}/finalize")
alias = as_ann.registered_models.set_alias("shop.customers.churn", "Champion", 2)
seen["alias"] = [alias.alias_name, alias.version_num]
by_alias = as_ann.model_versions.get_by_alias("shop.customers.churn", "Champion", include_aliases=True)
seen["by alias"] = [by_alias.version, by_alias.status.value, [a.alias_name for a in by_alias.aliases or []]]
one = as_ann.model_versions.get("shop.customers.churn", 1)
seen["version"] = [one.version, one.model_name, one.run_id, one.source, one.created_by, one.aliases or [], bool(one.id)]
seen["versions"] = [found.version for found in as_ann.model_versions.list("shop.customers.churn", max_results=1)]
seen["commented"] = as_ann.model_versions.update("shop.customers.churn", 1, comment="First").comment
with_aliases = as_ann.registered_models.get("shop.customers.churn", include_aliases=True)
seen["aliases"] = [[a.alias_name, a.version_num] for a in with_aliases.aliases]

# -- a reader and a stranger
NAME = "shop.customers.churn"
seen["before"] = [refused(w.registered_models.get, NAME) for w in (as_rea, as_stan)]
seen["unknown"] = refused(as_stan.registered_models.get, "shop.customers.none")
grant("function", NAME, "rea@example.com", "EXECUTE")
seen["no catalog"] = refused(as_rea.registered_models.get, NAME)
grant("catalog", "shop", "rea@example.com", "USE_CATALOG")
seen["no schema"] = refused(as_rea.registered_models.get, NAME)
grant("schema", "shop.customers", "rea@example.com", "USE_SCHEMA")
seen["reader"] = [
    as_rea.registered_models.get(NAME).owner,
    as_rea.model_versions.get(NAME, 2).version,
    as_rea.files.download("/Models/shop/customers/churn/2/MLmodel").contents.read() == MLMODEL,
    names(as_rea.registered_models.list()),
    names(as_rea.registered_models.list(catalog_name="shop", schema_name="customers")),
]
refusals |= {
    "reader comments": refused(as_rea.registered_models.update, NAME, comment="x"),
    "reader deletes": refused(as_rea.model_versions.delete, NAME, 1),
    "reader sets alias": refused(as_rea.registered_models.set_alias, NAME, "Champion", 1),
    "reader uploads": refused(as_rea.files.upload, "/Models/shop/customers/churn/2/more", io.BytesIO(b"x")),
    "stranger downloads": refused(as_stan.files.download, "/Models/shop/customers/churn/2/MLmodel"),
    "stranger finds nothing": refused(as_stan.files.download, "/Models/shop/customers/none/2/MLmodel"),
}
seen["stranger lists"] = names(as_stan.registered_models.list())

# -- tags
if hasattr(as_ann, "entity_tag_assignments"):
    from databricks.sdk.service.catalog import EntityTagAssignment

    tags = as_ann.entity_tag_assignments
    tags.create(EntityTagAssignment(entity_type="functions", entity_name=NAME, tag_key="team", tag_value="growth"))
    tags.update("functions", NAME, "team", EntityTagAssignment("", "", "", tag_value="crm"), "tag_value")
    tags.create(EntityTagAssignment(entity_type="schemas", entity_name="shop.customers", tag_key="pii"))
    seen["tags"] = [[tag.tag_key, tag.tag_value] for tag in as_rea.entity_tag_assignments.list("functions", NAME)]
    seen["tag"] = tags.get("schemas", "shop.customers", "pii").tag_key
    refusals["reader tags"] = refused(as_rea.entity_tag_assignments.delete, "functions", NAME, "team")
    refusals["no such tag"] = refused(tags.get, "functions", NAME, "none")
    tags.delete("functions", NAME, "team")
    seen["tags left"] = len(list(tags.list("functions", NAME)))

# -- names and owners
renamed = as_ann.registered_models.update(NAME, new_name="leavers", comment="Leavers")
seen["renamed"] = [renamed.full_name, renamed.comment, as_rea.registered_models.get("shop.customers.leavers").name]
refusals["old name"] = refused(as_rea.registered_models.get, NAME)
as_ann.schemas.update("shop.customers", new_name="people")
as_admin.catalogs.update("shop", new_name="store")
seen["moved"] = as_rea.files.download("/Models/store/people/leavers/2/MLmodel").contents.read() == MLMODEL
handed = as_ann.registered_models.update("store.people.leavers", owner="rea@example.com")
seen["handed over"] = [handed.owner, as_rea.registered_models.update("store.people.leavers", comment="Mine").comment]
refusals["unknown owner"] = refused(as_rea.registered_models.update, "store.people.leavers", owner="nobody")

# -- deletion
as_rea.registered_models.delete_alias("store.people.leavers", "Champion")
as_rea.model_versions.delete("store.people.leavers", 1)
seen["left"] = [found.version for found in as_rea.model_versions.list("store.people.leavers")]
refusals["schema that is full"] = refused(as_ann.schemas.delete, "store.people")
as_rea.registered_models.delete("store.people.leavers")
as_ann.schemas.delete("store.people")
as_ann.schemas.create("people", "store")
as_ann.registered_models.create(catalog_name="store", schema_name="people", name="leavers")
seen["grants are gone"] = refused(as_rea.registered_models.get, "store.people.leavers")[0]
as_admin.catalogs.delete("store", force=True)
seen["catalogs left"] = names(as_admin.catalogs.list())
seen["refusals"] = refusals
print(json.dumps(seen))

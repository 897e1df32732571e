"""Catalogs, schemas, registered models, tags and grants through Unity Catalog's routes."""

from __future__ import annotations

from tests.wire.access.table.rows import ANYBODY, FORBIDDEN, OK, TO_MANAGE, TO_QUERY, TO_VIEW, Row, Rule, Section

UC = "/api/2.1/unity-catalog"
FULL = "{full_name}"
BROWSE = "?include_browse=true"
COMMENT = {"comment": "c"}
PARTS = {"catalog_name": "main", "schema_name": "default", "model_name": "{model_leaf}"}

NAMESPACES = Section(
    "Catalogs and schemas",
    "*manager* owns both and has CREATE_CATALOG on the metastore; on the catalog, *querier* has USE_CATALOG and USE_SCHEMA, *viewer* BROWSE.",
    (
        Row("GET", UC + "/metastore_summary", ANYBODY),
        Row("GET", UC + "/current-metastore-assignment", ANYBODY),
        Row("POST", UC + "/catalogs", Rule(OK, FORBIDDEN, FORBIDDEN, FORBIDDEN), body={"name": "{new_name}"}),
        Row("GET", UC + "/catalogs", ANYBODY),
        Row("GET", UC + "/catalogs/" + FULL, TO_VIEW, UC + "/catalogs/{catalog}" + BROWSE),
        Row("PATCH", UC + "/catalogs/" + FULL, TO_MANAGE, UC + "/catalogs/{catalog}", COMMENT),
        Row("DELETE", UC + "/catalogs/" + FULL, TO_MANAGE, UC + "/catalogs/{new_catalog}?force=true"),
        Row("POST", UC + "/schemas", TO_MANAGE, body={"name": "{new_name}", "catalog_name": "{catalog}"}),
        Row("GET", UC + "/schemas", TO_VIEW, UC + "/schemas" + BROWSE + "&catalog_name={catalog}"),
        Row("GET", UC + "/schemas/" + FULL, TO_VIEW, UC + "/schemas/{schema}" + BROWSE),
        Row("PATCH", UC + "/schemas/" + FULL, TO_MANAGE, UC + "/schemas/{schema}", COMMENT),
        Row("DELETE", UC + "/schemas/" + FULL, TO_MANAGE, UC + "/schemas/{new_schema}"),
    ),
)

ONE = UC + "/models/" + FULL
VERSION = ONE + "/versions/{version}"
ALIAS = ONE + "/aliases/{alias}"
TAGS = UC + "/entity-tag-assignments"
OF_ENTITY = TAGS + "/{entity_type}/{entity_name}/tags"
SUBJECT = "/{securable_type}/" + FULL
MODEL = UC + "/models/{model}"

MODELS = Section(
    "Registered models",
    "Of the model, *manager* is the owner, *querier* has EXECUTE, *viewer* BROWSE (asking with `include_browse`); all of them, *stranger* "
    "too, may use `main.default` and create models there.",
    (
        Row("POST", UC + "/models", ANYBODY, body=PARTS | {"name": "{new_name}"}),
        Row("GET", UC + "/models", ANYBODY),
        Row("GET", ONE, TO_VIEW, MODEL + BROWSE),
        Row("PATCH", ONE, TO_MANAGE, MODEL, COMMENT),
        Row("DELETE", ONE, TO_MANAGE, UC + "/models/{new_model}"),
        Row("GET", ALIAS, TO_QUERY, MODEL + "/aliases/Champion"),
        Row("PUT", ALIAS, TO_MANAGE, MODEL + "/aliases/Another", {"version_num": 1}),
        Row("DELETE", ALIAS, TO_MANAGE, UC + "/models/{new_model}/aliases/Champion"),
        Row("GET", ONE + "/versions", TO_VIEW, MODEL + "/versions" + BROWSE),
        Row("GET", VERSION, TO_VIEW, MODEL + "/versions/1" + BROWSE),
        Row("PATCH", VERSION, TO_MANAGE, MODEL + "/versions/1", COMMENT),
        Row("DELETE", VERSION, TO_MANAGE, UC + "/models/{new_pending}/versions/1"),
        Row("POST", UC + "/models/versions", TO_MANAGE, body=PARTS),
        Row("PATCH", VERSION + "/finalize", TO_MANAGE, UC + "/models/{new_pending}/versions/1/finalize"),
        Row("POST", UC + "/temporary-model-version-credentials", TO_QUERY, body=PARTS | {"version": 1}),
    ),
)

ON_MODEL = "/function/{model}"
TAG = {"tag_key": "{new_name}", "tag_value": "v"}
CHANGES = {"changes": {"add_tags": [{"key": "b", "value": "w"}]}}
GRANT = {"changes": [{"principal": "{viewer_name}", "add": ["BROWSE"]}]}

TAGS_AND_GRANTS = Section(
    "Tags and grants",
    "On a model, as above. Who owns or may manage something sees all grants on it, others their own.",
    (
        Row(
            "PATCH",
            UC + "/securable-tags/{securable_type}/{securable_full_name}",
            TO_MANAGE,
            UC + "/securable-tags" + ON_MODEL,
            CHANGES,
        ),
        Row(
            "PATCH",
            UC + "/subentity-tags/{securable_type}/{securable_full_name}/{subentity_name}",
            TO_MANAGE,
            UC + "/subentity-tags" + ON_MODEL + "/1",
            CHANGES,
        ),
        Row("POST", TAGS, TO_MANAGE, body={"entity_type": "functions", "entity_name": "{model}"} | TAG),
        Row("GET", OF_ENTITY, TO_QUERY, TAGS + "/functions/{model}/tags"),
        Row("GET", OF_ENTITY + "/{tag_key}", TO_QUERY, TAGS + "/functions/{model}/tags/team"),
        Row("PATCH", OF_ENTITY + "/{tag_key}", TO_MANAGE, TAGS + "/functions/{model}/tags/team", TAG),
        Row("DELETE", OF_ENTITY + "/{tag_key}", TO_MANAGE, TAGS + "/functions/{new_model}/tags/team"),
        Row("GET", UC + "/permissions" + SUBJECT, TO_VIEW, UC + "/permissions" + ON_MODEL),
        Row("PATCH", UC + "/permissions" + SUBJECT, TO_MANAGE, UC + "/permissions" + ON_MODEL, GRANT),
        *(
            Row("GET", f"{UC}/{kind}{SUBJECT}", TO_VIEW, f"{UC}/{kind}{ON_MODEL}")
            for kind in ("effective-permissions", "privilege-assignments", "effective-privilege-assignments")
        ),
    ),
)

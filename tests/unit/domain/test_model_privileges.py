"""How privileges on catalogs, schemas and models are inherited, and what a caller is answered."""

from __future__ import annotations

import pytest

from headgate import errors
from headgate.domain.grants import CATALOG, METASTORE, MODEL, SCHEMA, Securable
from headgate.domain.model_privileges import (
    ALL_PRIVILEGES,
    APPLY_TAG,
    BROWSE,
    CREATE_MODEL,
    CREATE_MODEL_VERSION,
    EXECUTE,
    GRANTABLE,
    MANAGE,
    USE_CATALOG,
    USE_SCHEMA,
    Level,
    Standing,
    everything,
    path_to,
    standing,
)

ANN = frozenset({"7", "3"})
PATH = path_to(Securable(MODEL, "main.default.churn"))
USES = {CATALOG: {USE_CATALOG}, SCHEMA: {USE_SCHEMA}}


def towards_model(*, owners: dict[str, str] | None = None, **granted: set[str]) -> Standing:
    """Of Ann, who may use catalog and schema; `granted` is by kind."""
    levels = [
        Level(
            one, (owners or {}).get(one.kind, "1"), frozenset(granted.get(one.kind, set()) | USES.get(one.kind, set()))
        )
        for one in PATH
    ]
    return standing(levels, ANN)


def test_a_path_leads_from_the_catalog_to_the_model() -> None:
    assert [(one.kind, one.id) for one in PATH] == [
        (CATALOG, "main"),
        (SCHEMA, "main.default"),
        (MODEL, "main.default.churn"),
    ]
    assert path_to(Securable(SCHEMA, "main.default")) == PATH[:2]
    assert path_to(Securable(METASTORE, "")) == [Securable(METASTORE, "")]


@pytest.mark.parametrize("kind", [CATALOG, SCHEMA, MODEL])
def test_what_is_granted_above_holds_below(kind: str) -> None:
    assert towards_model(**{kind: {EXECUTE}}).privileges == {EXECUTE}


@pytest.mark.parametrize("kind", [CATALOG, SCHEMA, MODEL])
def test_all_privileges_are_all_but_manage(kind: str) -> None:
    assert towards_model(**{kind: {ALL_PRIVILEGES}}).privileges == GRANTABLE[MODEL] - {MANAGE}
    assert towards_model(**{kind: {ALL_PRIVILEGES, MANAGE}}).privileges == GRANTABLE[MODEL]


@pytest.mark.parametrize("kind", [CATALOG, SCHEMA, MODEL])
@pytest.mark.parametrize("owner", ["7", "3"])
def test_an_owner_and_the_members_of_an_owning_group_have_everything_below(kind: str, owner: str) -> None:
    assert towards_model(owners={kind: owner}).privileges == GRANTABLE[MODEL]


def test_what_is_only_good_around_models_does_not_show_a_model() -> None:
    found = towards_model(schema={CREATE_MODEL})
    assert found.privileges == frozenset() and not found.sees(browsing=True)
    with pytest.raises(errors.ResourceDoesNotExist, match=r"^Registered model main\.default\.churn does not exist\.$"):
        found.require(EXECUTE)


def test_what_is_missing_is_named_with_where() -> None:
    with pytest.raises(
        errors.PermissionDenied, match=r"User does not have MANAGE on Routine or Model 'main\.default\.churn'"
    ):
        towards_model(function={EXECUTE}).require(MANAGE)
    levels = [Level(one, "1", frozenset({EXECUTE} if one.kind == MODEL else ())) for one in PATH]
    with pytest.raises(errors.PermissionDenied, match="User does not have USE_CATALOG on Catalog 'main'"):
        standing(levels, ANN).require(EXECUTE)
    levels[0] = Level(PATH[0], "1", frozenset({USE_CATALOG}))
    with pytest.raises(errors.PermissionDenied, match=r"User does not have USE_SCHEMA on Schema 'main\.default'"):
        standing(levels, ANN).require(EXECUTE)


def test_who_may_use_a_catalog_with_all_its_schemas_needs_no_more() -> None:
    levels = [Level(PATH[0], "1", frozenset({USE_CATALOG, USE_SCHEMA})), Level(PATH[1], "1"), Level(PATH[2], "7")]
    assert standing(levels, ANN).barred is None


def test_browsing_shows_that_it_is_there_to_those_who_ask_for_it() -> None:
    found = towards_model(catalog={BROWSE})
    assert found.browse_only and found.sees(browsing=True) and not found.sees(browsing=False)
    found.require_seen(browsing=True)
    with pytest.raises(errors.PermissionDenied, match="EXECUTE"):
        found.require_seen()


@pytest.mark.parametrize("privilege", [EXECUTE, MANAGE, APPLY_TAG, CREATE_MODEL_VERSION])
def test_whoever_may_do_something_with_a_model_sees_it(privilege: str) -> None:
    found = towards_model(function={privilege})
    found.require_seen()
    assert found.sees(browsing=False) and not found.browse_only


def test_a_model_that_is_not_there_is_hidden_like_one_that_is() -> None:
    absent = standing([Level(PATH[0], "1", frozenset({USE_CATALOG})), Level(PATH[1], None), Level(PATH[2], None)], ANN)
    hidden = standing([Level(PATH[0], "1", frozenset({USE_CATALOG})), Level(PATH[1], "1"), Level(PATH[2], "1")], ANN)
    messages = []
    for found in (absent, hidden):
        with pytest.raises(errors.ResourceDoesNotExist) as caught:
            found.require_seen()
        messages.append(caught.value.message)
    assert messages[0] == messages[1]


def test_an_administrator_may_everything() -> None:
    for securable in (*PATH, Securable(METASTORE, "")):
        for privilege in GRANTABLE[securable.kind]:
            everything(securable).require(privilege)

"""Searches of the model registry: filters, and the two operations that use them. Listed in `mlflow_registry`."""

from __future__ import annotations

import functools
import re
from typing import Any

from pydantic import Field

from headgate import errors
from headgate.api.model_registry.arguments import Arguments
from headgate.api.model_registry.asking import Asking
from headgate.api.model_registry.pages import Search, model_key, shown, version_key
from headgate.api.model_registry.registry_shapes import model_json, version_json
from headgate.domain.registered_model import ModelName
from headgate.store.model_versions import VersionFilter

# Clients that do not page ask for 10,000 versions at once and never look at the token.
_MOST = 10_000
_DEFAULT = 100
_CONDITION = re.compile(r"""\s*(\w+)\s*=\s*(?:'([^']*)'|"([^"]*)")\s*(?:\bAND\b|$)""", re.IGNORECASE | re.ASCII)
_FILTERS = ("name", "run_id", "catalog_name", "schema_name")


class Searching(Arguments):
    max_results: int | None = Field(None, ge=0)
    page_token: str | None = None
    catalog_name: str = ""
    schema_name: str = ""


class SearchModels(Searching):
    pass


class SearchVersions(Searching):
    filter: str | None = None


def models(asking: Asking, sent: SearchModels) -> dict[str, Any]:
    """`registered-models/search`."""
    viewer = asking.rights.viewer(asking.caller)
    search = Search(
        lambda page: asking.registry.search_models(page, catalog=sent.catalog_name, schema=sent.schema_name),
        lambda model: viewer.standing(model.name.securable, model.owner_id).sees(browsing=False),
        model_key,
    )
    page = shown(search, _limit(sent, _DEFAULT), sent.page_token)
    return _answer("registered_models", [model_json(model) for model in page.found], page.next_token)


def versions(asking: Asking, sent: SearchVersions) -> dict[str, Any]:
    """`model-versions/search`."""
    wanted = _filter(sent)
    sees = functools.cache(lambda securable: asking.standing(securable).sees(browsing=False))
    search = Search(
        lambda page: asking.registry.search_versions(wanted, page),
        lambda version: sees(version.name.securable),
        version_key,
    )
    page = shown(search, _limit(sent, _MOST), sent.page_token)
    return _answer("model_versions", [version_json(version) for version in page.found], page.next_token)


def _answer(name: str, found: list[dict[str, Any]], next_token: str | None) -> dict[str, Any]:
    answer: dict[str, Any] = {name: found}
    if next_token is not None:
        answer["next_page_token"] = next_token
    return answer


def _filter(sent: SearchVersions) -> VersionFilter:
    wanted = {"catalog_name": sent.catalog_name, "schema_name": sent.schema_name, **_conditions(sent.filter or "")}
    name = wanted.get("name", "")
    return VersionFilter(
        name=ModelName.parse(name) if name else None,
        catalog=wanted["catalog_name"].lower(),
        schema=wanted["schema_name"].lower(),
        run_id=wanted.get("run_id", ""),
    )


def _conditions(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(text.rstrip()):
        condition = _CONDITION.match(text, at)
        if condition is None or condition[1] not in _FILTERS:
            raise errors.InvalidParameterValue(
                f"Invalid filter {text!r}: use `name = 'catalog.schema.model'`; also known are "
                f"{', '.join(_FILTERS[1:])}, joined by AND."
            )
        found[condition[1]] = condition[2] if condition[2] is not None else condition[3]
        at = condition.end()
    return found


def _limit(sent: Searching, default: int) -> int:
    return min(sent.max_results or default, _MOST)

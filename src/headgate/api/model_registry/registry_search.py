"""Searches of the model registry: filters, page tokens, and the two operations that use them. Listed in `mlflow_registry`."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from pydantic import Field

from headgate import errors
from headgate.api.model_registry.arguments import Arguments
from headgate.api.model_registry.registry_shapes import model_json, version_json
from headgate.domain.registered_model import ModelName
from headgate.registry.models import Registry
from headgate.store.model_versions import VersionFilter
from headgate.store.models import Page

# Clients that do not page ask for 10,000 versions at once and never look at the token.
_MOST = 10_000
_DEFAULT = 100
_CONDITION = re.compile(r"""\s*(\w+)\s*=\s*(?:'([^']*)'|"([^"]*)")\s*(?:\bAND\b|$)""", re.IGNORECASE | re.ASCII)
_FILTERS = ("name", "run_id", "catalog_name", "schema_name")


class Search(Arguments):
    max_results: int | None = Field(None, ge=0)
    page_token: str | None = None
    catalog_name: str = ""
    schema_name: str = ""


class SearchModels(Search):
    pass


class SearchVersions(Search):
    filter: str | None = None


def models(registry: Registry, sent: SearchModels, _author: str) -> dict[str, Any]:
    """`registered-models/search`."""
    limit = _limit(sent, _DEFAULT)
    page = Page(limit + 1, _read_token(sent.page_token))
    found = registry.search_models(page, catalog=sent.catalog_name, schema=sent.schema_name)
    answer: dict[str, Any] = {"registered_models": [model_json(model) for model in found[:limit]]}
    if len(found) > limit:
        answer["next_page_token"] = _token(found[limit - 1].name.full, 0)
    return answer


def versions(registry: Registry, sent: SearchVersions, _author: str) -> dict[str, Any]:
    """`model-versions/search`."""
    limit = _limit(sent, _MOST)
    found = registry.search_versions(_filter(sent), Page(limit + 1, _read_token(sent.page_token)))
    answer: dict[str, Any] = {"model_versions": [version_json(version) for version in found[:limit]]}
    if len(found) > limit:
        answer["next_page_token"] = _token(found[limit - 1].name.full, found[limit - 1].version)
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


def _limit(sent: Search, default: int) -> int:
    return min(sent.max_results or default, _MOST)


def _token(name: str, version: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([name, version]).encode()).decode()


def _read_token(token: str | None) -> tuple[str, int] | None:
    if not token:
        return None
    try:
        name, version = json.loads(base64.urlsafe_b64decode(token))
        if not isinstance(name, str) or not isinstance(version, int) or abs(version) > 2**31 - 1:
            raise ValueError
        name.encode()
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise errors.InvalidParameterValue(
            "Invalid page_token: send the one of the previous page, unchanged."
        ) from error
    return name, version

"""SCIM PatchOp: operations applied to a resource in its wire form. Pure; what the result means is decided where it is read back."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from headgate import errors
from headgate.api.identity import filters

MAX_OPERATIONS = 1000

_PATH = re.compile(r"^(?P<name>[A-Za-z$][\w$-]*)(?:\[(?P<filter>.*)\])?(?:\.(?P<sub>[A-Za-z$][\w$-]*))?$", re.DOTALL)

Resource = dict[str, Any]


def apply(resource: Mapping[str, Any], operations: Sequence[Any], listed: frozenset[str]) -> Resource:
    """The resource after them, in their order. `listed` are the attributes that are lists. Raises InvalidParameterValue."""
    if len(operations) > MAX_OPERATIONS:
        raise errors.InvalidParameterValue(f"At most {MAX_OPERATIONS} operations can be sent at once.")
    changed = copy.deepcopy(dict(resource))
    for operation in operations:
        if not isinstance(operation, Mapping):
            raise errors.InvalidParameterValue("Operations: each must be an object with op, and path or value.")
        _apply(changed, {str(key).lower(): value for key, value in operation.items()}, listed)
    return changed


def _apply(resource: Resource, operation: Mapping[str, Any], listed: frozenset[str]) -> None:
    op, path, value = str(operation.get("op", "")).lower(), operation.get("path"), operation.get("value")
    if op not in ("add", "remove", "replace"):
        raise errors.InvalidParameterValue(f"Operations: op must be add, remove or replace, not {op!r}.")
    if op != "remove" and value is None:
        # The SDK leaves out a value that is false or empty.
        where = f" of {path}" if path else ""
        raise errors.InvalidParameterValue(f'Operations: {op}{where} needs a value; send false as "false".')
    if not path:
        _apply_to_several(resource, op, value, listed)
        return
    _One(resource, str(path), listed).apply(op, value)


def _apply_to_several(resource: Resource, op: str, value: Any, listed: frozenset[str]) -> None:
    """Without a path the value is an object (or a list of such) whose keys are paths."""
    for part in value if isinstance(value, list) else [value]:
        if op == "remove" or not isinstance(part, Mapping):
            raise errors.InvalidParameterValue(f"Operations: {op} without a path needs an object as its value.")
        for name, inner in part.items():
            _One(resource, str(name), listed).apply(op, inner)


class _One:
    """One attribute that an operation is for."""

    def __init__(self, resource: Resource, path: str, listed: frozenset[str]) -> None:
        # Names may be qualified by the schema they are of.
        bare = path.rsplit(":", 1)[-1] if path.lower().startswith("urn:") else path
        found = _PATH.match(bare)
        if found is None:
            raise errors.InvalidParameterValue(f"Operations: {path!r} is no path of an attribute.")
        name = found["name"]
        known = {key.lower(): key for key in (*listed, *resource)}
        self._resource = resource
        self._name = known.get(name.lower(), name)
        self._sub = found["sub"]
        self._matches = None if found["filter"] is None else filters.parse(found["filter"])
        self._listed = self._name in listed

    def apply(self, op: str, value: Any) -> None:
        if self._listed:
            self._apply_to_list(op, value)
        elif self._sub:
            inner = self._resource.setdefault(self._name, {})
            if isinstance(inner, dict):
                _set(inner, self._sub, op, value)
        elif op == "add" and isinstance(value, Mapping) and isinstance(self._resource.get(self._name), dict):
            self._resource[self._name] |= value
        else:
            _set(self._resource, self._name, op, value)

    def _apply_to_list(self, op: str, value: Any) -> None:
        have: list[Any] = self._resource.get(self._name) or []
        given = [] if value is None else value if isinstance(value, list) else [value]
        given = [one if isinstance(one, Mapping) else {"value": one} for one in given]
        named = {str(one.get("value")) for one in given}
        goes = self._matches or (lambda one: not given or str(one.get("value")) in named)
        if op == "remove":
            kept = [one for one in have if not goes(one)]
        elif op == "add":
            there = {str(one.get("value")) for one in have}
            kept = [*have, *(one for one in given if str(one.get("value")) not in there)]
        else:
            kept = [*(one for one in have if self._matches and not goes(one)), *given]
        self._resource[self._name] = kept


def _set(target: Resource, name: str, op: str, value: Any) -> None:
    key = next((key for key in target if key.lower() == name.lower()), name)
    if op == "remove":
        target.pop(key, None)
    else:
        target[key] = value

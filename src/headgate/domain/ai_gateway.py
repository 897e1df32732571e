"""`ai_gateway` of an endpoint: its shape, what must hold, and how it is shown. Pure.

The API parses (`parse`), checks against the kind of endpoint (`check`) and against what was before (`check_change`), keeps `to_json` and
shows the same: what the client left out is not made up. Unknown fields are ignored, as everywhere in this API.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from headgate.domain import rate_limits
from headgate.domain.rate_limits import TOKENS, RateLimit
from headgate.domain.request_record import InferenceTable
from headgate.errors import InvalidParameterValue

T = TypeVar("T")

EXTERNAL_MODEL = "EXTERNAL_MODEL"
FOUNDATION_MODEL = "FOUNDATION_MODEL"
CUSTOM_MODEL = "CUSTOM_MODEL"
AGENT = "AGENT"
FEATURE_SPEC = "FEATURE_SPEC"

USAGE = "usage_tracking_config"
TABLE = "inference_table_config"
LIMITS = "rate_limits"
GUARDRAILS = "guardrails"
FALLBACK = "fallback_config"
SAFETY = "guardrails.safety"
TOPICS = "guardrails.valid_topics"

_EVERYTHING = frozenset({USAGE, TABLE, LIMITS, GUARDRAILS, FALLBACK})
SUPPORTED: Mapping[str, frozenset[str]] = {
    EXTERNAL_MODEL: _EVERYTHING,
    FOUNDATION_MODEL: _EVERYTHING - {FALLBACK},
    CUSTOM_MODEL: frozenset({USAGE, TABLE, LIMITS}),
    AGENT: frozenset({TABLE}),
    FEATURE_SPEC: frozenset(),
}
"""What each kind of endpoint can have."""
_KIND_NAMES = {
    EXTERNAL_MODEL: "external models",
    FOUNDATION_MODEL: "foundation models",
    CUSTOM_MODEL: "custom models",
    AGENT: "agents",
    FEATURE_SPEC: "feature specs",
}

NONE, BLOCK, MASK = "NONE", "BLOCK", "MASK"
BEHAVIORS = (NONE, BLOCK, MASK)
MOST_WORDS = 1000
MOST_WORD_CHARACTERS = 256
EMBEDDINGS = "llm/v1/embeddings"

_PREFIX = re.compile(r"[A-Za-z0-9_-]{1,200}")
_NAME = re.compile(r"[^\x00-\x20./`\x7f]{1,255}")


@dataclass(frozen=True, slots=True)
class TableConfig:
    """`inference_table_config`."""

    enabled: bool | None = None
    catalog_name: str | None = None
    schema_name: str | None = None
    table_name_prefix: str | None = None

    def table(self, endpoint_name: str) -> InferenceTable | None:
        """Where requests are kept; None: nowhere. The prefix is the endpoint's name when none was given."""
        if not self.enabled or not self.catalog_name or not self.schema_name:
            return None
        return InferenceTable(self.catalog_name, self.schema_name, self.table_name_prefix or endpoint_name)


@dataclass(frozen=True, slots=True)
class Guards:
    """Guardrails of one side."""

    pii: str | None = None
    """One of BEHAVIORS; None: not given, as NONE."""
    safety: bool | None = None
    invalid_keywords: tuple[str, ...] | None = None
    valid_topics: tuple[str, ...] | None = None

    def __bool__(self) -> bool:
        """Whether anything is looked at."""
        return bool(self.pii not in (None, NONE) or self.safety or self.invalid_keywords or self.valid_topics)

    def to_json(self) -> dict[str, Any]:
        """As written."""
        return _written(
            pii=None if self.pii is None else {"behavior": self.pii},
            safety=self.safety,
            invalid_keywords=None if self.invalid_keywords is None else list(self.invalid_keywords),
            valid_topics=None if self.valid_topics is None else list(self.valid_topics),
        )


@dataclass(frozen=True, slots=True)
class Guardrails:
    """Guardrails of both sides; None: not written."""

    input: Guards | None = None
    output: Guards | None = None

    def __bool__(self) -> bool:
        """Whether anything is looked at."""
        return bool(self.input or self.output)

    def to_json(self) -> dict[str, Any]:
        """As written."""
        return _written(
            input=None if self.input is None else self.input.to_json(),
            output=None if self.output is None else self.output.to_json(),
        )


@dataclass(frozen=True, slots=True)
class AiGatewayConfig:
    """The whole of it; what is None was not written."""

    usage_tracking: bool | None = None
    inference_table: TableConfig | None = None
    rate_limits: tuple[RateLimit, ...] | None = None
    guardrails: Guardrails | None = None
    fallback: bool | None = None
    present: frozenset[str] = field(default=frozenset(), compare=False)
    """Sections that were written, also empty ones."""

    def __bool__(self) -> bool:
        """Whether there is anything to show; the empty config is how a client clears it."""
        return bool(self.to_json())

    def used(self) -> frozenset[str]:
        """Sections that switch something on."""
        on = {
            USAGE: self.usage_tracking,
            TABLE: self.inference_table is not None and self.inference_table.enabled,
            LIMITS: self.rate_limits,
            GUARDRAILS: self.guardrails,
            FALLBACK: self.fallback,
        }
        return frozenset(name for name, value in on.items() if value)

    def to_json(self) -> dict[str, Any]:
        """As it is kept and shown: what the client wrote, without what it left out."""
        table, guards = self.inference_table, self.guardrails
        return _written(
            usage_tracking_config=_section(USAGE, self.present, self.usage_tracking),
            inference_table_config=None
            if table is None
            else _written(
                catalog_name=table.catalog_name,
                schema_name=table.schema_name,
                table_name_prefix=table.table_name_prefix,
                enabled=table.enabled,
            ),
            rate_limits=None if self.rate_limits is None else [limit.to_json() for limit in self.rate_limits],
            guardrails=None if guards is None else guards.to_json(),
            fallback_config=_section(FALLBACK, self.present, self.fallback),
        )


def parse(body: Any, where: str = "ai_gateway") -> AiGatewayConfig:
    """The config a client wrote; None and {} are the empty one. Raises InvalidParameterValue naming the field."""
    given = _object(body, where) or {}
    table = _object(given.get(TABLE), f"{where}.{TABLE}")
    guards = _object(given.get(GUARDRAILS), f"{where}.{GUARDRAILS}")
    limits = given.get(LIMITS)
    return AiGatewayConfig(
        usage_tracking=_enabled(given.get(USAGE), f"{where}.{USAGE}"),
        inference_table=None if table is None else _table(table, f"{where}.{TABLE}"),
        rate_limits=None if limits is None else rate_limits.parse(limits, f"{where}.{LIMITS}"),
        guardrails=None if guards is None else _guardrails(guards, f"{where}.{GUARDRAILS}"),
        fallback=_fallback(given.get(FALLBACK), f"{where}.{FALLBACK}"),
        present=frozenset(name for name in _EVERYTHING if given.get(name) is not None),
    )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an endpoint is and what this server has."""

    kind: str
    """One of SUPPORTED."""
    task: str | None = None
    """`llm/v1/chat` …; None: not a language model."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Section, SAFETY or TOPICS -> why this server cannot do it, and what to do about that."""


def check(config: AiGatewayConfig, surroundings: Surroundings) -> None:
    """Whether that endpoint can have it. Raises InvalidParameterValue."""
    kind = surroundings.kind
    for section in sorted(config.used() - SUPPORTED[kind]):
        able = sorted(SUPPORTED[kind])
        raise InvalidParameterValue(
            f"ai_gateway.{section} is not supported for endpoints that serve {_KIND_NAMES[kind]}. "
            + (f"Such endpoints can have: {', '.join(able)}." if able else "Leave ai_gateway out.")
        )
    for section in sorted(config.used() & surroundings.missing.keys()):
        raise InvalidParameterValue(f"ai_gateway.{section} cannot be switched on: {surroundings.missing[section]}")
    if surroundings.task is None and any(limit.unit == TOKENS for limit in config.rate_limits or ()):
        raise InvalidParameterValue(
            "ai_gateway.rate_limits: tokens can be limited where a language model is served; limit calls here."
        )
    _check_guardrails(config.guardrails or Guardrails(), surroundings)


def _check_guardrails(guardrails: Guardrails, surroundings: Surroundings) -> None:
    for side, guards in (("input", guardrails.input), ("output", guardrails.output)):
        if not guards:
            continue
        if side == "output" and surroundings.task == EMBEDDINGS:
            raise InvalidParameterValue(
                "ai_gateway.guardrails.output is not supported for embeddings: their output is numbers. Use guardrails.input."
            )
        for what, field_name, wanted in (
            (SAFETY, "safety", guards.safety),
            (TOPICS, "valid_topics", guards.valid_topics),
        ):
            if wanted and what in surroundings.missing:
                raise InvalidParameterValue(
                    f"ai_gateway.guardrails.{side}.{field_name} cannot be switched on: {surroundings.missing[what]}"
                )


def check_change(before: AiGatewayConfig, after: AiGatewayConfig) -> None:
    """Whether one may follow the other. Raises InvalidParameterValue: a table that is in use cannot be exchanged."""
    old, new = before.inference_table, after.inference_table
    if old is None or new is None or not old.enabled or not new.enabled:
        return
    for name in ("catalog_name", "schema_name", "table_name_prefix"):
        if getattr(old, name) != getattr(new, name):
            raise InvalidParameterValue(
                f"Inference tables is already enabled, with {name} {getattr(old, name)!r}. To change {name}, first set "
                "inference_table_config.enabled to false."
            )


def limits_in_force(config: AiGatewayConfig | None, legacy: tuple[RateLimit, ...]) -> tuple[RateLimit, ...]:
    """The gateway's limits, or else those set through the deprecated API."""
    if config is not None and config.rate_limits is not None:
        return config.rate_limits
    return legacy


def check_legacy(config: AiGatewayConfig | None, legacy: tuple[RateLimit, ...]) -> None:
    """Raises InvalidParameterValue when limits of the deprecated API would be without effect."""
    if legacy and config is not None and config.rate_limits is not None:
        raise InvalidParameterValue(
            "This endpoint's rate limits are set in its ai_gateway: change them with PUT …/ai-gateway. "
            "The deprecated rate-limits API would have no effect."
        )


def captured(auto_capture_config: Mapping[str, Any] | None) -> TableConfig | None:
    """The legacy `auto_capture_config`, where a table is on unless it is switched off. Raises InvalidParameterValue."""
    if auto_capture_config is None:
        return None
    given = {**auto_capture_config, "enabled": auto_capture_config.get("enabled") is not False}
    return _table(given, "auto_capture_config")


def _table(given: Mapping[str, Any], where: str) -> TableConfig:
    enabled = _typed(given.get("enabled"), bool, f"{where}.enabled", "true or false")
    catalog = _name(given.get("catalog_name"), f"{where}.catalog_name")
    schema = _name(given.get("schema_name"), f"{where}.schema_name")
    prefix = _typed(given.get("table_name_prefix"), str, f"{where}.table_name_prefix", "text") or None
    if prefix is not None and not _PREFIX.fullmatch(prefix):
        raise InvalidParameterValue(
            f"{where}.table_name_prefix must be 1 to 200 letters, digits, dashes and underscores; '_payload' is added to it."
        )
    if enabled and not (catalog and schema):
        lacking = "catalog_name" if not catalog else "schema_name"
        raise InvalidParameterValue(f"{where}.{lacking} is needed when the inference table is enabled.")
    return TableConfig(enabled, catalog, schema, prefix)


def _name(given: Any, where: str) -> str | None:
    name = _typed(given, str, where, "text") or None
    if name is not None and not _NAME.fullmatch(name):
        raise InvalidParameterValue(f"{where} must be the name of one, without dots, slashes and spaces, not {name!r}.")
    return name


def _guardrails(given: Mapping[str, Any], where: str) -> Guardrails:
    sides = {side: _object(given.get(side), f"{where}.{side}") for side in ("input", "output")}
    return Guardrails(*(None if one is None else _guards(one, f"{where}.{side}") for side, one in sides.items()))


def _guards(given: Mapping[str, Any], where: str) -> Guards:
    pii = _object(given.get("pii"), f"{where}.pii")
    behavior = None if pii is None else pii.get("behavior") or NONE
    if behavior is not None and behavior not in BEHAVIORS:
        raise InvalidParameterValue(f"{where}.pii.behavior must be one of {', '.join(BEHAVIORS)}, not {behavior!r}.")
    return Guards(
        behavior,
        _typed(given.get("safety"), bool, f"{where}.safety", "true or false"),
        _words(given.get("invalid_keywords"), f"{where}.invalid_keywords"),
        _words(given.get("valid_topics"), f"{where}.valid_topics"),
    )


def _words(given: Any, where: str) -> tuple[str, ...] | None:
    words: list[Any] | None = _typed(given, list, where, "a list of texts")
    if words is None:
        return None
    if len(words) > MOST_WORDS:
        raise InvalidParameterValue(f"{where} has {len(words)} entries, at most {MOST_WORDS}.")
    for number, word in enumerate(words):
        if not isinstance(word, str) or not word.strip() or len(word) > MOST_WORD_CHARACTERS:
            raise InvalidParameterValue(
                f"{where}[{number}] must be text of 1 to {MOST_WORD_CHARACTERS} characters that is not blank."
            )
    return tuple(words)


def _enabled(given: Any, where: str) -> bool | None:
    section = _object(given, where)
    return None if section is None else _typed(section.get("enabled"), bool, f"{where}.enabled", "true or false")


def _fallback(given: Any, where: str) -> bool | None:
    enabled = _enabled(given, where)
    if given is not None and enabled is None:
        raise InvalidParameterValue(f"{where}.enabled is needed: true or false.")
    return enabled


def _object(given: Any, where: str) -> Mapping[str, Any] | None:
    return _typed(given, dict, where, "an object")


def _typed(given: Any, kind: type[T], where: str, called: str) -> T | None:
    if given is None:
        return None
    if not isinstance(given, kind):
        raise InvalidParameterValue(f"{where} must be {called}.")
    return given


def _section(name: str, present: frozenset[str], enabled: bool | None) -> dict[str, Any] | None:
    if enabled is None:
        return {} if name in present else None
    return {"enabled": enabled}


def _written(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}

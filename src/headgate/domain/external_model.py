"""`external_model` of a served entity: what each provider's config must hold, what of it is secret, what an answer shows. Pure.

Asked by the API when a config is written and shown, and by whoever resolves it into the plain values a provider's adapter gets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from headgate.domain import external_providers, outbound, secret_references
from headgate.domain.external_providers import PROVIDERS, Rules
from headgate.domain.secret_references import SecretReference
from headgate.errors import InvalidParameterValue

TASKS = ("llm/v1/chat", "llm/v1/completions", "llm/v1/embeddings")
LONGEST_VALUE = 128 * 1024
LONGEST_NAME = 255
LONGEST_TIMEOUT_S = 3600.0

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_EXCLUDED = (
    "entity_name", "entity_version", "workload_size", "workload_type", "scale_to_zero_enabled", "min_provisioned_concurrency",
    "max_provisioned_concurrency", "environment_vars", "instance_profile_arn",
)  # fmt: skip
_THROUGHPUT = ("min_provisioned_throughput", "max_provisioned_throughput", "provisioned_model_units")


@dataclass(frozen=True, slots=True)
class ExternalModel:
    """One external model, checked. Names of fields are flat: `openai_api_key`, `bearer_token_auth.token`."""

    name: str
    """What the vendor calls the model."""
    provider: str
    task: str
    fields: Mapping[str, str]
    """What is not secret, as it was written."""
    references: Mapping[str, str] = field(default_factory=dict)
    """Secrets by reference, `{{secrets/<scope>/<key>}}`."""
    sealed: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Secrets that came in plain text, sealed by the caller of `read`: never shown."""
    first_byte_s: float | None = None
    """How long the vendor may take until its answer begins; None: the setting."""
    total_s: float | None = None
    """And until it is over."""
    place: str = ""
    """What `sealed` was sealed for, without `:<field>`; empty in the store, `ServedEntity.external` says it."""
    checked: tuple[str, ...] = ()
    """Secrets that `references` meant when it was written, `<scope id>/<key>`; empty in the store, like `place`."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a client wrote: the model without its `sealed`, and the secrets it gave in plain text, which the caller seals."""

    model: ExternalModel
    plaintext: Mapping[str, str] = field(default_factory=dict, repr=False)


def read(said: Mapping[str, Any], before: ExternalModel | None = None) -> Written:
    """An `external_model` as a client wrote it. Raises InvalidParameterValue, which quotes no value that may be a secret.

    `before`: what this entity was until now. Answers show no secret, so one that is sent back lacks them: they are kept from there, but only
    while nothing else in the config has changed. (Whoever could change the address and keep the key could have it sent to himself.)
    """
    name, provider, task = (_text(said, key, "external_model") for key in ("name", "provider", "task"))
    if len(name) > LONGEST_NAME:
        raise InvalidParameterValue(f"external_model.name has more than {LONGEST_NAME} characters.")
    if not name or not provider or not task:
        missing = next(key for key in ("name", "provider", "task") if not said.get(key))
        raise InvalidParameterValue(f"external_model.{missing} is missing.")
    if task not in TASKS:
        raise InvalidParameterValue(f"external_model.task {task!r} is unknown; use one of {', '.join(TASKS)}.")
    rules = external_providers.rules(provider)
    config = _config(said, provider, rules)
    fields = {key: text for key in rules.plain if (text := _at(config, key, rules.config))}
    references, plaintext = _secrets(config, rules)
    first_byte_s, total_s = _timeouts(said.get("timeouts"))
    sealed = _kept(fields, references, plaintext, before if before and before.provider == provider else None)
    rules.check(fields, frozenset({*references, *plaintext, *sealed}))
    for key in rules.urls:
        if key in fields:
            outbound.check_url(fields[key], f"{rules.config}.{key}")
    return Written(ExternalModel(name, provider, task, fields, references, sealed, first_byte_s, total_s), plaintext)


def shown(model: ExternalModel) -> dict[str, Any]:
    """As answers show it: what was written, without secrets that came in plain text."""
    config: dict[str, Any] = {}
    for key, value in {**model.fields, **model.references}.items():
        _put(config, key, value)
    for key in model.sealed:
        if "." in key:
            config.setdefault(key.partition(".")[0], {})
    timeouts = {"first_byte_s": model.first_byte_s, "total_s": model.total_s}
    written = {name: seconds for name, seconds in timeouts.items() if seconds is not None}
    return {
        "name": model.name,
        "provider": model.provider,
        "task": model.task,
        PROVIDERS[model.provider].config: config,
        **({"timeouts": written} if written else {}),
    }


def plain(
    model: ExternalModel, open_reference: Callable[[SecretReference], str], unseal: Callable[[str, str], str]
) -> dict[str, str]:
    """The flat config an adapter gets, secrets opened: `unseal(field, sealed)`. Raises InvalidParameterValue for a secret no vendor takes."""
    opened = {key: secret_references.resolved(value, open_reference) for key, value in model.references.items()}
    opened |= {key: unseal(key, sealed) for key, sealed in model.sealed.items()}
    return {**model.fields, **{key: _usable(key, value) for key, value in opened.items()}}


def references(model: ExternalModel) -> list[SecretReference]:
    """The secrets it refers to, for the rights of who writes it, and to notice when one changes."""
    return secret_references.within(dict(model.references))


def urls(model: ExternalModel) -> dict[str, str]:
    """Addresses its owner chose, by field: each is to be judged by `outbound` when written and on every connection."""
    return {key: model.fields[key] for key in PROVIDERS[model.provider].urls if key in model.fields}


def default_name(model_name: str) -> str:
    """A served entity's name: `.` and `:` (and what else no entity may be called) are dashes. `gpt-4.1` -> `gpt-4-1`."""
    return _NOT_IN_NAMES.sub("-", model_name)[:63]


def check_alone(entity: Mapping[str, Any]) -> None:
    """Raises InvalidParameterValue when an entity with an external model has what only models of our own have."""
    for name in _THROUGHPUT:
        if entity.get(name) is not None:
            raise InvalidParameterValue(f"{name}: provisioned throughput is not supported for external models.")
    for name in _EXCLUDED:
        if entity.get(name):
            raise InvalidParameterValue(f"external_model cannot be combined with {name}: the vendor runs the model.")


def check_together(models: Iterable[ExternalModel | None]) -> None:
    """The entities of one endpoint, None for one that is not external. Raises InvalidParameterValue unless they are of one kind and task."""
    found = list(models)
    external = [model for model in found if model is not None]
    if external and len(external) < len(found):
        raise InvalidParameterValue("An endpoint serves either external models or models of its own, not both.")
    tasks = sorted({model.task for model in external})
    if len(tasks) > 1:
        raise InvalidParameterValue(
            f"All external models of an endpoint need the same task; these have {', '.join(tasks)}."
        )


def check_same_kind(is_external: bool, was_external: bool) -> None:
    """Raises InvalidParameterValue when an update would turn an endpoint of external models into another kind, or back."""
    if is_external != was_external:
        raise InvalidParameterValue(
            "An endpoint cannot change between external models and models of its own: create another endpoint."
        )


def _timeouts(said: Any) -> tuple[float | None, float | None]:
    """`timeouts` is ours, not in Databricks' API."""
    if said is None:
        return None, None
    if not isinstance(said, Mapping):
        raise InvalidParameterValue("external_model.timeouts must be an object with first_byte_s and total_s.")
    found = []
    for name in ("first_byte_s", "total_s"):
        seconds = said.get(name)
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if seconds is not None and not (is_number and 0 < seconds <= LONGEST_TIMEOUT_S):
            raise InvalidParameterValue(
                f"external_model.timeouts.{name} must be a number of seconds above 0, at most {LONGEST_TIMEOUT_S:g}."
            )
        found.append(None if seconds is None else float(seconds))
    return found[0], found[1]


def _config(said: Mapping[str, Any], provider: str, rules: Rules) -> Mapping[str, Any]:
    for other in {one.config for one in PROVIDERS.values()} - {rules.config}:
        if said.get(other):
            raise InvalidParameterValue(f"The provider {provider} takes {rules.config}, not {other}.")
    config = said.get(rules.config)
    if not isinstance(config, Mapping):
        raise InvalidParameterValue(f"external_model.{rules.config} is missing: the provider {provider} needs it.")
    return config


def _secrets(config: Mapping[str, Any], rules: Rules) -> tuple[dict[str, str], dict[str, str]]:
    """References and plain texts of the secrets that were given."""
    references: dict[str, str] = {}
    plaintext: dict[str, str] = {}
    for key in rules.secrets:
        reference, plain_text = _at(config, key, rules.config), _at(config, f"{key}_plaintext", rules.config)
        if reference and plain_text:
            raise InvalidParameterValue(f"{rules.config}: give either {key} or {key}_plaintext, not both.")
        if plain_text:
            plaintext[key] = _usable(key, plain_text)
        elif reference:
            references[key] = _reference(reference, f"{rules.config}.{key}")
    return references, plaintext


def _reference(text: str, where: str) -> str:
    advice = f"{where} must be a reference to a secret, {secret_references.SYNTAX}; the secret itself goes into {where}_plaintext."
    try:
        found = secret_references.within(text)
    except InvalidParameterValue:
        raise InvalidParameterValue(advice) from None
    if len(found) != 1 or not re.fullmatch(r"\{\{[^{}]*\}\}", text.strip()):
        raise InvalidParameterValue(advice)
    return text.strip()


def _kept(
    fields: Mapping[str, str],
    references: Mapping[str, str],
    plaintext: Mapping[str, str],
    before: ExternalModel | None,
) -> dict[str, str]:
    """Sealed secrets of before that nothing has taken the place of."""
    if (
        before is None
        or plaintext
        or dict(before.fields) != dict(fields)
        or dict(before.references) != dict(references)
    ):
        return {}
    return dict(before.sealed)


def _at(config: Mapping[str, Any], key: str, where: str) -> str:
    """A field by its flat name; empty when it is absent, null or empty, which is the same."""
    outer, dot, inner = key.partition(".")
    if not dot:
        return _text(config, key, where)
    nested = config.get(outer)
    if nested is None:
        return ""
    if not isinstance(nested, Mapping):
        raise InvalidParameterValue(f"{where}.{outer} must be an object.")
    return _text(nested, inner, f"{where}.{outer}")


def _text(said: Mapping[str, Any], key: str, where: str) -> str:
    value = said.get(key)
    if value is None:
        return ""
    if (
        not isinstance(value, str)
        or len(value) > LONGEST_VALUE
        or (not value.isprintable() and not key.startswith("private_key"))
    ):
        raise InvalidParameterValue(f"{where}.{key} must be a text without control characters.")
    return value.strip()


def _put(config: dict[str, Any], key: str, value: str) -> None:
    outer, dot, inner = key.partition(".")
    if dot:
        config.setdefault(outer, {})[inner] = value
    else:
        config[key] = value


def _usable(key: str, secret: str) -> str:
    """Without the line feed that `echo` puts behind a key. A key travels in a header: nothing else may be in it."""
    secret = secret.strip()
    if not secret or (key != "private_key" and (_CONTROL.search(secret) or not secret.isascii())):
        raise InvalidParameterValue(f"The secret for {key} is empty or has characters that no header can carry.")
    return secret

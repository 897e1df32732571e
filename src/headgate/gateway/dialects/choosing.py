"""Which task a client's API means on an endpoint of external models, and in which dialect the call is. Pure; asked by `stages.parse`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headgate.errors import BadRequest
from headgate.gateway import call as apis
from headgate.gateway.call import Call
from headgate.gateway.dialects.identity import IDENTITY
from headgate.gateway.dialects.port import Dialect
from headgate.providers import catalogue
from headgate.providers.port import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, Provider
from headgate.wire.chat import Head

_FITS: Mapping[str, Mapping[str, str]] = {
    CHAT: {apis.CHAT_COMPLETIONS: CHAT, apis.RESPONSES: RESPONSES, apis.MESSAGES: CHAT},
    COMPLETIONS: {apis.COMPLETIONS: COMPLETIONS},
    EMBEDDINGS: {apis.EMBEDDINGS: EMBEDDINGS},
}
"""Task of the endpoint -> API -> task of the request."""
_FORMS: Mapping[str, Mapping[str, str]] = {
    CHAT: {"messages": CHAT, "input": RESPONSES},
    COMPLETIONS: {"prompt": COMPLETIONS},
    EMBEDDINGS: {"input": EMBEDDINGS},
}
"""On `invocations` a field of the body stands for the API."""
_ADVICE = {
    CHAT: "POST /serving-endpoints/chat/completions with 'messages', /responses with 'input' or /anthropic/v1/messages",
    COMPLETIONS: "POST /serving-endpoints/completions with 'prompt'",
    EMBEDDINGS: "POST /serving-endpoints/embeddings with 'input'",
}


def of(call: Call) -> Dialect:
    """How its client speaks, set by `stages.parse`."""
    return call.dialect or IDENTITY


def task(call: Call, asked: Head, served: str) -> str:
    """What is asked for, of `providers.port`'s tasks, where `served` is. Raises BadRequest when the endpoint does something else."""
    api = call.head.api
    if api == apis.INVOCATIONS:
        fitting = (task for form, task in _FORMS.get(served, {}).items() if getattr(asked, form))
        found = next(fitting, None)
    else:
        found = _FITS.get(served, {}).get(api)
    if found is None:
        wanted = _ADVICE.get(served)
        advice = f": send it {wanted}." if wanted else "."
        if api == apis.INVOCATIONS and wanted:
            fields = " or ".join(f"'{form}'" for form in _FORMS[served])
            advice = f": send {fields} in the body, here or at {wanted.partition(' with ')[0]}."
        raise BadRequest(f"Endpoint {call.endpoint.name} serves {served}{advice}")
    return found


def vendors(call: Call) -> Sequence[Provider]:
    """The adapters of the endpoint's entities. Raises InvalidParameterValue."""
    models = [entity.external for entity in call.endpoint.entities]
    return [catalogue.provider(model.provider, model.fields) for model in models if model is not None]


def all_have_responses(call: Call) -> bool:
    """Whether each entity can be asked by the Responses API itself.

    Of a server whose address its owner chose nobody knows, unless the address says so: what it must speak is chat.
    """
    for entity, vendor in zip(call.endpoint.entities, vendors(call), strict=True):
        if RESPONSES not in vendor.capabilities.tasks:
            return False
        address = "" if entity.external is None else entity.external.fields.get("custom_provider_url", "/responses")
        if not address.partition("?")[0].rstrip("/").endswith("/responses"):
            return False
    return True

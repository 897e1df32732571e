"""What a client is told: the refusals and additions of the API's guardrails, and the shapes a guardrail endpoint of one's own speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from headgate.errors import BadRequest, HeadgateError, TemporarilyUnavailable
from headgate.wire import json_members

MASKED = [{"pii_detection": True, "flagged": False}]
"""`output_guardrail` of an answer in which something was masked."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why one side of a request is refused. `anonymized`: the messages with personal data replaced."""

    phase: str
    pii: bool = False
    anonymized: Sequence[Mapping[str, Any]] | None = None
    categories: Mapping[str, bool] | None = None
    """Of the judge, where it flagged something."""
    keyword: bool = False
    off_topic: bool = False

    def result(self) -> dict[str, Any]:
        """The one element of `input_guardrail` or `output_guardrail`."""
        result: dict[str, Any] = {
            "flagged": self.categories is not None,
            "categories": dict(self.categories) if self.categories is not None else None,
            "category_scores": None,
            "pii_detection": self.pii,
        }
        if self.anonymized is not None:
            result["anonymized_input"] = list(self.anonymized)
        if self.keyword:
            result["invalid_keywords"] = True
        if self.off_topic:
            result["valid_topics"] = False
        return result


def refusal(blocked: Blocked) -> BadRequest:
    """400 BAD_REQUEST; the message is JSON in a string."""
    said = {
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
        f"{blocked.phase}_guardrail": [blocked.result()],
        "finishReason": f"{blocked.phase}_guardrail_triggered",
    }
    return BadRequest(orjson.dumps(said).decode())


def failed(guardrail: str, phase: str) -> HeadgateError:
    """503: the guardrail itself failed, and the endpoint's requests may not pass without it."""
    return TemporarilyUnavailable(
        f"The {phase} guardrail '{guardrail}' could not check this request, and requests may not pass unchecked. Try again later."
    )


def with_note(body: bytes) -> bytes:
    """An answer in which something was masked says so."""
    return json_members.edited(body, {"output_guardrail": orjson.dumps(MASKED)})


def without_tokens(body: bytes) -> bytes:
    """The same without `logprobs`, whose tokens spell out what was masked."""
    if b'"logprobs"' not in body:
        return body
    tree = orjson.loads(body)
    for choice in tree.get("choices") or ():
        if isinstance(choice, dict) and choice.get("logprobs"):
            choice["logprobs"] = None
    return orjson.dumps(tree)


def prediction(tree: Any) -> Any:
    """What a model of our own says: its answer itself, or what stands under `predictions`, perhaps as the only one."""
    if isinstance(tree, dict) and "predictions" in tree:
        tree = tree["predictions"]
        if isinstance(tree, list) and len(tree) == 1 and isinstance(tree[0], (dict, str)):
            tree = tree[0]
    return tree


@dataclass(frozen=True, slots=True)
class Decision:
    """What a guardrail endpoint of one's own decided. `message`: of a rejection. `response`: what to add to the answer."""

    rejected: bool
    message: str = ""
    response: Any = None
    finish_reason: str | None = None


def custom_request(messages: Sequence[Mapping[str, Any]], phase: str, stream_mode: str | None = None) -> bytes:
    """What such an endpoint is asked."""
    return orjson.dumps({"messages": list(messages), "mode": {"phase": phase, "stream_mode": stream_mode}})


def custom_decision(body: bytes) -> Decision:
    """What it answered, bare or as the prediction of a pyfunc model. Raises ValueError when it is nothing of the kind."""
    try:
        answer = prediction(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise ValueError("The guardrail endpoint answered no JSON.") from error
    if not isinstance(answer, dict) or answer.get("decision") not in ("proceed", "reject"):
        raise ValueError("The guardrail endpoint answered no decision: 'proceed' or 'reject'.")
    more = answer.get("guardrail_response")
    more = more if isinstance(more, dict) else {}
    return Decision(
        rejected=answer["decision"] == "reject",
        message=str(answer.get("reject_message") or ""),
        response=more.get("response") if more.get("include_in_response") else None,
        finish_reason=more.get("finishReason"),
    )

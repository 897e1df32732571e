"""Gemini's candidates in the middle language: whole answers, and what a stream's reader needs of them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from headgate.domain.usage import Usage
from headgate.providers.port import Answer, BadAnswer
from headgate.providers.translation import middle
from headgate.providers.vertex.refusing import VENDOR

FILTERED = frozenset(
    {
        "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION", "MODEL_ARMOR", "ESCALATION", "PUP_LIMITED_DISABLED",
    }
)  # fmt: skip
BROKEN = frozenset(
    {
        "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE",
        "NO_IMAGE", "IMAGE_OTHER",
    }
)  # fmt: skip
"""The model failed at what it was to say: no finish of the middle language means that."""


def finish(reason: str, called: bool) -> str:
    """Gemini's reason in the middle language. It says STOP for calls, too."""
    if reason == "MAX_TOKENS":
        return "length"
    if reason in FILTERED:
        return "content_filter"
    return "tool_calls" if called else "stop"


def broken(candidate: Mapping[str, Any]) -> str:
    """What the model failed at, empty when it did not."""
    reason = str(candidate.get("finishReason") or "")
    if reason not in BROKEN:
        return ""
    said = str(candidate.get("finishMessage") or "")
    return f"the model's answer was unusable ({reason}){': ' + said if said else ''}"


def blocked(said: Mapping[str, Any]) -> str | None:
    """Why the prompt was not answered at all, None when it was. Never empty."""
    feedback = said.get("promptFeedback") or {}
    reason = feedback.get("blockReason")
    if not reason:
        return None
    return str(feedback.get("blockReasonMessage") or f"The prompt was blocked by {VENDOR}: {reason}.")


def completion(model: str, said: Mapping[str, Any], created_s: int) -> Answer:
    """A `GenerateContentResponse` as a chat completion. Raises BadAnswer."""
    candidates = said.get("candidates") or []
    try:
        used = usage(said["usageMetadata"]) if said.get("usageMetadata") else None
        head = head_of(said, model, created_s)
        choices = [_choice(candidate, at, head.answer_id) for at, candidate in enumerate(candidates)]
        refused = blocked(said)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise BadAnswer(f"{VENDOR} answered with candidates that cannot be read.") from error
    if not choices:
        if refused is None:
            raise BadAnswer(f"{VENDOR} answered without candidates.")
        message = {"role": "assistant", "content": "", "refusal": refused}
        choices = [{"message": message, "finish_reason": "content_filter"}]
    return Answer(head.complete_all(choices, used), used)


def head_of(said: Mapping[str, Any], model: str, created_s: int) -> middle.Head:
    return middle.Head(
        str(said.get("responseId") or uuid.uuid4().hex), str(said.get("modelVersion") or model), created_s
    )


def _choice(candidate: Mapping[str, Any], at: int, answer_id: str) -> dict[str, Any]:
    wrong = broken(candidate)
    if wrong:
        raise BadAnswer(f"{VENDOR}: {wrong}.")
    index = int(candidate.get("index") or at)
    teller = Teller(index, answer_id)
    items: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for part in parts_of(candidate):
        items += teller.items(part)
        if part.get("functionCall"):
            calls.append(teller.call(part))
    choice = {
        "index": index,
        "message": middle.message(_joined(items), calls),
        "finish_reason": finish(str(candidate.get("finishReason") or ""), bool(calls)),
    }
    probabilities = logprobs(candidate)
    return {**choice, "logprobs": probabilities} if probabilities is not None else choice


def parts_of(candidate: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (candidate.get("content") or {}).get("parts") or ()


class Teller:
    """The parts of one candidate, in turn, as content items and calls."""

    __slots__ = ("_answer_id", "_index", "calls", "thought")

    def __init__(self, index: int, answer_id: str) -> None:
        self._index = index
        self._answer_id = answer_id
        self.calls = 0
        self.thought = False
        """Whether there has been reasoning: then the client reads lists of items, and a signature can be shown."""

    def items(self, part: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The content items in a part. A text's signature follows as reasoning without words."""
        text, signature = part.get("text"), part.get("thoughtSignature")
        if part.get("thought"):
            self.thought = True
            return [middle.reasoning_item(text or "", signature or "")] if text or signature else []
        if part.get("inlineData"):
            data = part["inlineData"]
            url = f"data:{data['mimeType']};base64,{data['data']}"
            return [{"type": "image_url", "image_url": {"url": url}}]
        if part.get("executableCode") or part.get("codeExecutionResult"):
            return [{"type": "text", "text": _code(part)}]
        found = [{"type": "text", "text": text}] if text else []
        if signature and self.thought and not part.get("functionCall"):
            found.append(middle.reasoning_item("", signature))
        return found

    def call(self, part: Mapping[str, Any]) -> dict[str, Any]:
        """The call in a part. Gemini's have no ids on Vertex AI: theirs are made of the answer's."""
        said = part["functionCall"]
        call_id = said.get("id") or f"call_{self._answer_id}_{self._index}_{self.calls}"
        self.calls += 1
        call = middle.tool_call(call_id, said["name"], said.get("args") or {})
        if part.get("thoughtSignature"):
            call["extra_content"] = {"google": {"thought_signature": part["thoughtSignature"]}}
        return call


def _joined(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbours of one kind in one: texts, and thoughts with the signature after them."""
    found: list[dict[str, Any]] = []
    for item in items:
        if found and item["type"] == found[-1]["type"] == "text":
            found[-1] = {"type": "text", "text": found[-1]["text"] + item["text"]}
        else:
            found.append(item)
    return found


def _code(part: Mapping[str, Any]) -> str:
    """What Gemini ran, and what came out, as it would be written in a text."""
    if part.get("executableCode"):
        said = part["executableCode"]
        return f"\n```{str(said.get('language') or '').lower()}\n{said.get('code') or ''}\n```\n"
    return f"\n```\n{part['codeExecutionResult'].get('output') or ''}\n```\n"


def logprobs(candidate: Mapping[str, Any]) -> dict[str, Any] | None:
    """Log probabilities of the tokens chosen, each with those it was chosen from."""
    said = candidate.get("logprobsResult")
    if not said:
        return None
    chosen, top = said.get("chosenCandidates") or [], said.get("topCandidates") or []
    others = [[_token(one) for one in at.get("candidates") or ()] for at in top]
    others += [[]] * (len(chosen) - len(others))
    return {
        "content": [{**_token(one), "top_logprobs": tops} for one, tops in zip(chosen, others, strict=False)],
        "refusal": None,
    }


def _token(said: Mapping[str, Any]) -> dict[str, Any]:
    token = str(said.get("token") or "")
    return {"token": token, "logprob": said.get("logProbability") or 0.0, "bytes": list(token.encode())}


def usage(said: Mapping[str, Any]) -> Usage:
    """Gemini counts thoughts beside the answer, and what its own tools read beside the prompt; here they are parts of them."""
    thought = said.get("thoughtsTokenCount") or 0
    return Usage(
        prompt_tokens=(said.get("promptTokenCount") or 0) + (said.get("toolUsePromptTokenCount") or 0),
        completion_tokens=(said.get("candidatesTokenCount") or 0) + thought,
        cached_tokens=said.get("cachedContentTokenCount") or 0,
        reasoning_tokens=thought,
    )

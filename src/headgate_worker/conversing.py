"""Requests by the routes of language models (`chat/completions` …): what the model's input takes of one, and its answer as OpenAI's clients read it.

Called by `scoring` for such requests only; `invocations` stay as MLflow has them. Knows nothing of MLflow but the model's metadata.
"""

from __future__ import annotations

import base64
import sys
import time
import uuid
from array import array
from typing import Any, Callable, Dict, FrozenSet, Iterator, List, Optional

CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES = "chat/completions", "completions", "embeddings", "responses"
_FORMS = {CHAT: "messages", COMPLETIONS: "prompt", EMBEDDINGS: "input", RESPONSES: "input"}
_API_OF_TASK = {
    "llm/v1/chat": CHAT,
    "agent/v1/chat": CHAT,
    "agent/v2/chat": CHAT,
    "agent/v1/responses": RESPONSES,
    "llm/v1/completions": COMPLETIONS,
    "llm/v1/embeddings": EMBEDDINGS,
}
"""By what a model says of itself."""
_OF_THE_ROUTE = frozenset({"model", "stream_options", "encoding_format"})
"""Names the endpoint, or says how to send the answer."""
_ENDS = ("response.completed", "response.failed", "response.incomplete", "responses.completed", "error")
_ROWS = "Send rows to POST /serving-endpoints/{name}/invocations."


class Unfit(Exception):
    """What was asked is nothing for this model, or what it answered nothing for this route: a 400 that says so."""


class Conversation:
    """Of one model. Methods raise Unfit."""

    def __init__(self, metadata: Any) -> None:
        schema = metadata.get_input_schema()
        params = getattr(metadata, "get_params_schema", lambda: None)()
        self._inputs: Optional[FrozenSet[str]] = None if schema is None else frozenset(_names(schema.inputs))
        """None: the model does not say what it takes."""
        self._params = frozenset(_names(getattr(params, "params", ())))
        said = getattr(metadata, "metadata", None)
        self._task = str(said.get("task") or "") if isinstance(said, dict) else ""

    def asked(self, api: str, body: Dict[str, Any]) -> Dict[str, Any]:
        """A body as this model takes it by `invocations`."""
        form = _FORMS.get(api)
        if form is None:
            raise Unfit(f"The route {api} is unknown to this replica. Deploy the endpoint again.")
        meant = _API_OF_TASK.get(self._task)
        if meant is not None and meant != api:
            raise Unfit(
                f"This endpoint serves {self._task}: send it POST /serving-endpoints/{meant} with '{_FORMS[meant]}'."
            )
        if meant is None and self._inputs is not None and form not in self._inputs:
            takes = ", ".join(sorted(self._inputs)) or "one tensor"
            raise Unfit(f"This model is no language model: it takes {takes}, not '{form}'. {_ROWS}")
        if body.get(form) is None:
            raise Unfit(f"The request has no '{form}', which POST /serving-endpoints/{api} needs.")
        data = {name: value for name, value in body.items() if value is not None and self._takes(name)}
        if self._takes("max_tokens") and not self._takes_itself("max_completion_tokens"):
            most = data.pop("max_completion_tokens", body.get("max_completion_tokens"))
            if most is not None:
                data.setdefault("max_tokens", most)
        if api == CHAT and meant == CHAT:
            data["messages"] = _texts_joined(data["messages"])
            if isinstance(data.get("stop"), str):
                data["stop"] = [data["stop"]]
        elif api == RESPONSES and meant == RESPONSES and isinstance(data["input"], str):
            data["input"] = [{"role": "user", "content": data["input"]}]
        return data

    def answered(self, api: str, raw: Any, body: Dict[str, Any]) -> Any:
        """What the model answered to this body, with what clients of that route need beside it."""
        raw = _plain(raw)
        made = _MAKERS[api](raw)
        if made is None:
            raise Unfit(
                f"The model answered {type(raw).__name__}, which is no answer to POST /serving-endpoints/{api}. "
                "Let it return what OpenAI's API returns there, or ask it at POST /serving-endpoints/{name}/invocations."
            )
        if api == EMBEDDINGS and body.get("encoding_format") == "base64":
            made["data"] = [_packed(each) for each in made["data"]]
        return made

    def pieces(self, api: str, came: Iterator[Any]) -> Iterator[Any]:
        """The same for a stream."""
        if api == RESPONSES:
            return _events(came)
        if api != CHAT:
            return came
        return self._chunks(came)

    def _chunks(self, came: Iterator[Any]) -> Iterator[Any]:
        beside = {
            "id": _new_id("chatcmpl"),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": "",
        }
        finished = True
        try:
            for piece in came:
                piece = _plain(piece)
                if isinstance(piece, str):
                    piece = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": piece}}]}
                elif isinstance(piece, dict) and "choices" not in piece and isinstance(piece.get("delta"), dict):
                    choice = {"index": 0, "delta": piece["delta"], "finish_reason": piece.get("finish_reason")}
                    piece = {**piece, "choices": [choice]}
                elif not isinstance(piece, dict):
                    raise Unfit(f"The model streamed {type(piece).__name__}, which is no part of a chat.")
                finished = _finishes(piece, finished)
                yield {**beside, **piece}
            if not finished:
                yield {**beside, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        finally:
            close = getattr(came, "close", None)
            if close is not None:
                close()

    def _takes(self, name: str) -> bool:
        """Whether it goes to the model: what a signature does not have, MLflow would leave out with a warning for every request."""
        if self._inputs is None:
            return name not in _OF_THE_ROUTE
        return name == "stream" or self._takes_itself(name)

    def _takes_itself(self, name: str) -> bool:
        return self._inputs is None or name in self._inputs or name in self._params


def _names(columns: Any) -> List[str]:
    return [str(each.name) for each in columns or () if getattr(each, "name", None) is not None]


def _texts_joined(messages: Any) -> Any:
    """Messages whose content is a list of texts, which OpenAI's clients may send, with one text: MLflow's own types take nothing else."""
    if not isinstance(messages, list):
        return messages
    return [_text_joined(message) if isinstance(message, dict) else message for message in messages]


def _text_joined(message: Dict[str, Any]) -> Dict[str, Any]:
    parts = message.get("content")
    if not isinstance(parts, list) or not all(isinstance(part, dict) and part.get("type") == "text" for part in parts):
        return message
    return {**message, "content": "\n".join(str(part.get("text") or "") for part in parts)}


def _plain(raw: Any) -> Any:
    """Objects of MLflow and pydantic as dicts, a single text without its list."""
    for method in ("model_dump", "to_dict"):
        if hasattr(raw, method) and not hasattr(raw, "columns"):
            return getattr(raw, method)()
    if hasattr(raw, "tolist"):
        raw = raw.tolist()
    return raw[0] if isinstance(raw, list) and len(raw) == 1 and isinstance(raw[0], (str, dict)) else raw


def _completion(raw: Any) -> Optional[Dict[str, Any]]:
    """A chat completion; of a ChatAgent's answer, which is messages, the assistant's last, beside what it answered."""
    if isinstance(raw, str):
        raw = {"choices": [{"index": 0, "message": {"role": "assistant", "content": raw}, "finish_reason": "stop"}]}
    if not isinstance(raw, dict):
        return None
    if "choices" not in raw and isinstance(raw.get("messages"), list):
        said = [each for each in raw["messages"] if isinstance(each, dict) and each.get("role") == "assistant"]
        message = said[-1] if said else {"role": "assistant", "content": ""}
        reason = raw.get("finish_reason") or ("tool_calls" if message.get("tool_calls") else "stop")
        raw = {**raw, "choices": [{"index": 0, "message": message, "finish_reason": reason}]}
    if "choices" not in raw:
        return None
    return {"id": _new_id("chatcmpl"), "object": "chat.completion", "created": int(time.time()), "model": "", **raw}


def _text_completion(raw: Any) -> Optional[Dict[str, Any]]:
    if isinstance(raw, str):
        raw = {"choices": [{"index": 0, "text": raw, "finish_reason": "stop", "logprobs": None}]}
    if not isinstance(raw, dict) or "choices" not in raw:
        return None
    return {"id": _new_id("cmpl"), "object": "text_completion", "created": int(time.time()), "model": "", **raw}


def _embeddings(raw: Any) -> Optional[Dict[str, Any]]:
    if isinstance(raw, dict) and "data" in raw:
        return {"object": "list", **raw}
    vectors = [raw] if isinstance(raw, list) and raw and isinstance(raw[0], float) else raw
    if not isinstance(vectors, list) or not all(isinstance(vector, list) for vector in vectors):
        return None
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "model": "", "usage": {"prompt_tokens": 0, "total_tokens": 0}}


def _packed(said: Any) -> Any:
    """A vector as OpenAI packs it: 32-bit floats, little endian. What is none stays what it is."""
    try:
        vector = array("f", said["embedding"])
    except (TypeError, KeyError):
        return said
    if sys.byteorder == "big":
        vector.byteswap()
    return {**said, "embedding": base64.b64encode(vector).decode()}


def _response(raw: Any) -> Optional[Dict[str, Any]]:
    if not isinstance(raw, dict) or "output" not in raw:
        return None
    beside = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    begun = {"id": _new_id("resp"), "object": "response", "created_at": int(time.time()), "model": ""}
    return {**begun, "status": "completed", **beside, **raw}


_MAKERS: Dict[str, Callable[[Any], Optional[Dict[str, Any]]]] = {
    CHAT: _completion,
    COMPLETIONS: _text_completion,
    EMBEDDINGS: _embeddings,
    RESPONSES: _response,
}


def _events(came: Iterator[Any]) -> Iterator[Any]:
    """Events of an agent; one that does not say that it was done (MLflow asks for its items only) is completed with its items."""
    items: List[Any] = []
    ended = False
    try:
        for piece in came:
            piece = _plain(piece)
            kind = piece.get("type") if isinstance(piece, dict) else None
            ended = ended or kind in _ENDS
            if kind == "response.output_item.done":
                items.append(piece.get("item"))
            yield piece
        if not ended:
            yield {"type": "response.completed", "response": _response({"output": items})}
    finally:
        close = getattr(came, "close", None)
        if close is not None:
            close()


def _finishes(piece: Dict[str, Any], finished: bool) -> bool:
    """Whether the choices are over, after this piece of a stream."""
    choices = piece.get("choices")
    if not isinstance(choices, list) or not choices:
        return finished
    return all(isinstance(choice, dict) and choice.get("finish_reason") is not None for choice in choices)


def _new_id(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex}" if kind != "resp" else f"resp_{uuid.uuid4().hex}"

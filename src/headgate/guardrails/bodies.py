"""Which texts of each kind of request and answer are checked, and the conversation a judge is shown. Pure.

Checked for personal data is all that goes to the vendor or comes from it and that somebody wrote: every role, every text part, tools'
arguments and results. Not: images and files, names and ids, descriptions of tools, and reasoning a client gives back (the vendor signed it).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import orjson

from headgate.errors import BadRequest
from headgate.guardrails import texts
from headgate.guardrails.texts import Path, Text

CHAT = "llm/v1/chat"
COMPLETIONS = "llm/v1/completions"
EMBEDDINGS = "llm/v1/embeddings"
RESPONSES = "openai/v1/responses"
KINDS = (CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES)

_ASKED = {
    CHAT: ("messages",),
    COMPLETIONS: ("prompt", "suffix"),
    EMBEDDINGS: ("input", "instruction"),
    RESPONSES: ("input", "instructions"),
}
_SETTINGS = frozenset(
    (
        "model", "user", "safety_identifier", "prompt_cache_key", "metadata", "client_request_id", "usage_context", "databricks_options",
        "tools", "tool_choice", "functions", "function_call", "response_format", "text", "stop", "include", "modalities", "audio",
        "reasoning", "reasoning_effort", "thinking", "service_tier", "truncation", "verbosity", "encoding_format", "stream_options",
    )
)  # fmt: skip
"""Members of a request beside what is asked: names, ids, switches and descriptions. All others may say something, vendors' own ones too."""
_SAID = frozenset(("message", "text", "delta"))
"""Members of a choice: some vendors' answers have more than the one they should."""
_AUTHORS = frozenset(("system", "developer", "assistant"))
"""Roles whose words are the application's or the model's."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A text of a request. `by_user`: a user or a tool said it, so that it counts for keywords."""

    text: Text
    by_user: bool


def asked(kind: str, body: bytes) -> list[Asked]:
    """The texts of a request. Raises BadRequest where there are token ids in place of texts, and for what is nested absurdly: nobody can check
    those."""
    try:
        found = list(_written(kind, body))
    except texts.TooDeep as error:
        raise BadRequest(
            f"This endpoint has guardrails, which read lists and objects up to {texts.MOST_DEEP} deep inside one another. Send what is flatter."
        ) from error
    roles: dict[Path, set[str]] = {}
    written: set[Path] = set()
    """Sources that are texts: documents as Anthropic writes them, whose `data` is no file."""
    for text in found:
        if len(text.path) == 3 and text.path[2] == "role":
            roles.setdefault(text.path[:2], set()).add(text.value)
        elif text.path[-1] == "type" and text.value == "text":
            written.add(text.path[:-1])
    return [
        Asked(text, by_user=text.path[0] != "instructions" and not (roles.get(text.path[:2]) or {"user"}) <= _AUTHORS)
        for text in found
        if _is_said(text.path, written) and "summary" not in text.path
    ]


def _written(kind: str, body: bytes) -> Iterator[Text]:
    """All strings of a request but its settings."""
    members = _ASKED[kind]
    for text in texts.walk(body):
        if not text.path or text.path[0] in _SETTINGS:
            continue
        if not text.number:
            yield text
        elif kind in (COMPLETIONS, EMBEDDINGS) and text.path[0] in members:
            raise BadRequest(
                f"This endpoint has guardrails, which read text: give '{members[0]}' as strings, not as token ids."
            )


def _is_said(path: Path, written: Set[Path]) -> bool:
    return texts.spoken(path) or (path[-1] == "data" and path[:-1] in written)


def answered(kind: str, body: bytes) -> list[Text]:
    """The texts of an answer; of embeddings there are none."""
    if kind == EMBEDDINGS:
        return []
    return [
        text for text in texts.walk(body) if not text.number and is_answer(kind, text.path) and texts.spoken(text.path)
    ]


def is_answer(kind: str, path: Path) -> bool:
    """Whether the model's words stand there."""
    if kind == RESPONSES:
        return path[:1] in (("output",), ("output_text",))
    return len(path) > 2 and path[0] == "choices" and path[2] in _SAID


def conversation(kind: str, body: bytes) -> list[dict[str, str]]:
    """What was asked as messages of `user` and `assistant` by turns, the last one a user's: what a judge reads."""
    tree = orjson.loads(body)
    if kind == CHAT:
        turns = _turns(tree.get("messages"))
    elif kind == RESPONSES and isinstance(tree.get("input"), list):
        turns = _turns(tree["input"])
    else:
        turns = [("user", one) for one in _strings(tree.get(_ASKED[kind][0]))]
    return by_turns(turns)


def by_turns(turns: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """One after another: Llama Guard's template takes nothing else. A conversation does not begin with the assistant."""
    found: list[dict[str, str]] = []
    for role, content in turns:
        if not content or (not found and role == "assistant"):
            continue
        if found and found[-1]["role"] == role:
            found[-1]["content"] += "\n\n" + content
        else:
            found.append({"role": role, "content": content})
    return found


def said(kind: str, body: bytes) -> list[str]:
    """What each choice of an answer says, as one text each."""
    spoken: dict[Any, list[str]] = {}
    for text in answered(kind, body):
        spoken.setdefault(text.path[1] if kind != RESPONSES else 0, []).append(text.value)
    return ["\n\n".join(parts) for parts in spoken.values() if any(parts)]


def last_question(kind: str, body: bytes) -> str:
    """What the user asks now, for the topics."""
    tree = orjson.loads(body)
    if kind == CHAT or (kind == RESPONSES and isinstance(tree.get("input"), list)):
        messages = tree.get("messages" if kind == CHAT else "input")
        for message in reversed(messages if isinstance(messages, list) else []):
            if isinstance(message, Mapping) and message.get("role") == "user" and (content := _content(message)):
                return content
        return ""
    return "\n".join(_strings(tree.get(_ASKED[kind][0])))


def anonymized(kind: str, masked_body: bytes) -> list[dict[str, Any]]:
    """The messages of a request in which everything found is masked, as a refusal shows them."""
    tree = orjson.loads(masked_body)
    if kind == CHAT:
        messages = [message for message in tree.get("messages") or () if isinstance(message, Mapping)]
        return [{"role": message.get("role"), "content": message.get("content")} for message in messages]
    return conversation(kind, masked_body)


def _turns(messages: Any) -> list[tuple[str, str]]:
    if not isinstance(messages, list):
        return []
    known = [message for message in messages if isinstance(message, Mapping)]
    return [
        ("assistant" if message.get("role") == "assistant" else "user", _content(message))
        for message in known
        if message.get("role") not in ("system", "developer")
    ]


def _content(message: Mapping[str, Any]) -> str:
    """All it says, tools' arguments too."""
    body = orjson.dumps({name: value for name, value in message.items() if name != "role"})
    return "\n".join(
        text.value for text in texts.walk(body) if not text.number and texts.spoken(text.path) and text.value
    )


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []

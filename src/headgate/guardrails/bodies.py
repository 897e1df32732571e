"""Which texts of each kind of request and answer are checked, and the conversation a judge is shown. Pure.

Checked for personal data is all that goes to the vendor or comes from it and that somebody wrote: every role, every text part, tools'
arguments and results. Not: images and files, names and ids, descriptions of tools, and reasoning a client gives back (the vendor signed it).
Keywords, a judge and topics are about what users and tools say, wherever it stands in the body.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
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
USER, ASSISTANT, SYSTEM = "user", "assistant", "system"
_SYSTEMS = frozenset((SYSTEM, "developer"))


@dataclass(frozen=True, slots=True)
class Asked:
    """A text of a request. `role`: SYSTEM's words are the application's, ASSISTANT's the model's; all others are USER's, a tool's too."""

    text: Text
    role: str

    @property
    def by_user(self) -> bool:
        """Whether it counts for keywords."""
        return self.role == USER


def asked(kind: str, body: bytes) -> list[Asked]:
    """The texts of a request. Raises BadRequest where there are token ids in place of texts, and for what is nested absurdly: nobody can check
    those."""
    try:
        strings, has_tokens = _strings_of(kind, body)
    except texts.TooDeep as error:
        raise BadRequest(
            f"This endpoint has guardrails, which read lists and objects up to {texts.MOST_DEEP} deep inside one another. Send what is flatter."
        ) from error
    if has_tokens:
        raise BadRequest(
            f"This endpoint has guardrails, which read text: give '{_ASKED[kind][0]}' as strings, not as token ids."
        )
    return _written(strings)


def _strings_of(kind: str, body: bytes) -> tuple[list[Text], bool]:
    """All strings of a request but its settings, and whether there are token ids. Raises TooDeep."""
    found = []
    has_tokens = False
    for text in texts.walk(body):
        if not text.path or text.path[0] in _SETTINGS:
            continue
        if not text.number:
            found.append(text)
        elif kind in (COMPLETIONS, EMBEDDINGS) and text.path[0] in _ASKED[kind]:
            has_tokens = True
    return found, has_tokens


def _written(strings: Sequence[Text]) -> list[Asked]:
    roles: dict[Path, set[str]] = {}
    written: set[Path] = set()
    """Sources that are texts: documents as Anthropic writes them, whose `data` is no file."""
    for text in strings:
        if len(text.path) == 3 and text.path[2] == "role":
            roles.setdefault(text.path[:2], set()).add(text.value)
        elif text.path[-1] == "type" and text.value == "text":
            written.add(text.path[:-1])
    return [
        Asked(text, _role(text.path, roles))
        for text in strings
        if _is_said(text.path, written) and "summary" not in text.path
    ]


def _role(path: Path, roles: Mapping[Path, Set[str]]) -> str:
    """Whoever gives several gives the user's."""
    said = {SYSTEM} if path[0] == "instructions" else roles.get(path[:2], {USER})
    return SYSTEM if said <= _SYSTEMS else ASSISTANT if said <= {ASSISTANT, *_SYSTEMS} else USER


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
    """What was asked as messages of `user` and `assistant` by turns: what a judge reads, who judges the last one. What users say elsewhere in the
    body belongs to that; system prompts are left out, unless there is nothing else. Empty: nothing that can be read."""
    try:
        found = _written(_strings_of(kind, body)[0])
    except texts.TooDeep:
        return []
    main = _ASKED[kind][0]
    turns = [(one.role, one.text.value) for one in found if one.text.path[0] == main and one.role != SYSTEM]
    elsewhere = [(USER, one.text.value) for one in found if one.text.path[0] != main and one.by_user]
    # Before what the user says last: a question stands at the end.
    at = len(turns) - 1 if turns and turns[-1][0] == USER else len(turns)
    return by_turns([*turns[:at], *elsewhere, *turns[at:]]) or by_turns([(USER, one.text.value) for one in found])


def by_turns(turns: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """One after another: Llama Guard's template takes nothing else. A conversation does not begin with the assistant."""
    found: list[tuple[str, list[str]]] = []
    for role, content in turns:
        if not content or (not found and role == ASSISTANT):
            continue
        if found and found[-1][0] == role:
            found[-1][1].append(content)
        else:
            found.append((role, [content]))
    return [{"role": role, "content": "\n\n".join(contents)} for role, contents in found]


def answering(
    asked_before: Sequence[Mapping[str, str]], said: Sequence[str]
) -> tuple[tuple[Mapping[str, str], ...], ...]:
    """That conversation with each of these answers as its last message, which what the client put into the model's mouth belongs to."""
    before = [(turn["role"], turn["content"]) for turn in asked_before] or [(USER, "…")]
    return tuple(tuple(by_turns([*before, (ASSISTANT, one)])) for one in said)


def said(kind: str, body: bytes) -> list[str]:
    """What each choice of an answer says, as one text each."""
    spoken: dict[Any, list[str]] = {}
    for text in answered(kind, body):
        spoken.setdefault(text.path[1] if kind != RESPONSES else 0, []).append(text.value)
    return ["\n\n".join(parts) for parts in spoken.values() if any(parts)]


def last_question(kind: str, body: bytes) -> str:
    """What the user asks now, for the topics; where no user does, all that is said."""
    tree = orjson.loads(body)
    messages = tree.get(_ASKED[kind][0])
    if kind in (COMPLETIONS, EMBEDDINGS) or isinstance(messages, str):
        found = "\n".join(_strings(messages))
    else:
        users = (
            _content(message)
            for message in reversed(messages if isinstance(messages, list) else [])
            if isinstance(message, Mapping) and message.get("role") == USER
        )
        found = next((content for content in users if content), "")
    return found or "\n".join(turn["content"] for turn in conversation(kind, body))


def anonymized(kind: str, masked_body: bytes) -> list[dict[str, Any]]:
    """The messages of a request in which everything found is masked, as a refusal shows them."""
    tree = orjson.loads(masked_body)
    if kind == CHAT:
        messages = [message for message in tree.get("messages") or () if isinstance(message, Mapping)]
        return [{"role": message.get("role"), "content": message.get("content")} for message in messages]
    return conversation(kind, masked_body)


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

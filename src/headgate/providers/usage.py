"""`usage` objects of the middle language, read. Asked by the OpenAI-compatible vendors; the others know their own."""

from __future__ import annotations

from typing import Any

from headgate.domain.usage import Usage


def usage_of(said: Any) -> Usage | None:
    """A `usage` object, of chat, completions, embeddings (`prompt_tokens`) or Responses (`input_tokens`); None for anything else.

    Cached tokens stand in `prompt_tokens_details`, or beside (`cache_read_input_tokens`), depending on who speaks.
    """
    if not isinstance(said, dict):
        return None
    prompt = _count(said, "prompt_tokens", "input_tokens")
    completion = _count(said, "completion_tokens", "output_tokens")
    if not prompt and not completion and not _count(said, "total_tokens"):
        return None
    into = said.get("prompt_tokens_details") or said.get("input_tokens_details")
    out_of = said.get("completion_tokens_details") or said.get("output_tokens_details")
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=_count(into, "cached_tokens") or _count(said, "cache_read_input_tokens"),
        cache_creation_tokens=_count(said, "cache_creation_input_tokens"),
        reasoning_tokens=_count(out_of, "reasoning_tokens"),
    )


def _count(said: Any, *names: str) -> int:
    """The first of these that is a number, 0 when none is."""
    for name in names if isinstance(said, dict) else ():
        value = said.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**53:
            return int(value)
    return 0

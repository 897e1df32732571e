"""How many tokens a request took. Pure; providers report it, limits settle by it, the warehouse records and prices it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request, as the vendor counts them."""

    prompt_tokens: int
    """All input tokens, those read from or written to the vendor's cache among them."""
    completion_tokens: int
    """All output tokens, reasoning among them."""
    cached_tokens: int = 0
    """Of the input, read from the vendor's cache."""
    cache_creation_tokens: int = 0
    """Of the input, written to the vendor's cache."""
    reasoning_tokens: int = 0
    """Of the output, thought and not shown."""

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.prompt_tokens + self.completion_tokens


def estimated_tokens(characters: int) -> int:
    """Tokens of a text when nobody counted them, as the API documents it."""
    return (characters + 1) // 4

"""How many tokens a request took. Pure; providers report it, limits settle by it, the warehouse records and prices it."""

from __future__ import annotations

from dataclasses import dataclass

_COUNTS = ("prompt_tokens", "completion_tokens", "cached_tokens", "cache_creation_tokens", "reasoning_tokens")
_MOST = 2**53


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

    def __post_init__(self) -> None:
        """Vendors are not trusted: a count that is none is 0, so that nobody who adds, settles or stores it has to look."""
        for name in _COUNTS:
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value < _MOST:
                usable = isinstance(value, float) and 0 <= value < _MOST
                object.__setattr__(self, name, int(value) if usable else 0)

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.prompt_tokens + self.completion_tokens


def estimated_tokens(characters: int) -> int:
    """Tokens of a text when nobody counted them, as the API documents it."""
    return (characters + 1) // 4

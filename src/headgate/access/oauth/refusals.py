"""What an authorization server refuses, in OAuth's own words (RFC 6749 §5.2, RFC 9396 §5). `api.oauth` puts them on the wire."""

from __future__ import annotations


class Refusal(Exception):
    """`error` is OAuth's code, `description` says what was wrong and what to do."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status

    def body(self) -> dict[str, str]:
        """The wire form."""
        return {"error": self.error, "error_description": self.description}


def invalid_request(description: str) -> Refusal:
    """Something is missing or malformed."""
    return Refusal("invalid_request", description)


def invalid_client(description: str) -> Refusal:
    """Who asks is not who they say they are."""
    return Refusal("invalid_client", description, 401)


def invalid_grant(description: str) -> Refusal:
    """What was shown is good for nothing (any more)."""
    return Refusal("invalid_grant", description)


def invalid_details(description: str) -> Refusal:
    """`authorization_details` are not understood, or ask for what the caller may not."""
    return Refusal("invalid_authorization_details", description)

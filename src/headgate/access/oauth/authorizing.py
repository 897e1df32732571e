"""Whether a program may log somebody in (`/oidc/v1/authorize`): which program, where the answer goes, and how it proves itself later. Pure.

Only public clients that wait for the answer on the person's own computer (RFC 8252), each with a PKCE challenge (RFC 7636).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from headgate.access.oauth.issuing import check_scope
from headgate.access.oauth.refusals import Refusal, invalid_request

_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the answer goes. Only once this is sound may anything, an error too, be sent there."""

    client_id: str
    redirect_uri: str
    state: str

    def with_answer(self, answer: Mapping[str, str]) -> str:
        """The URL to send the browser to."""
        told = {**answer, **({"state": self.state} if self.state else {})}
        return f"{self.redirect_uri}{'&' if '?' in self.redirect_uri else '?'}{urlencode(told)}"

    @property
    def web_origin(self) -> str:
        """Scheme, host and port of it."""
        parts = urlsplit(self.redirect_uri)
        return f"{parts.scheme}://{parts.netloc}"


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A sound one."""

    destination: Destination
    challenge: str
    scope: str

    def fields(self) -> dict[str, str]:
        """The parameters it came with, to be sent once more."""
        return {
            "response_type": "code",
            "client_id": self.destination.client_id,
            "redirect_uri": self.destination.redirect_uri,
            "state": self.destination.state,
            "scope": self.scope,
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
        }


def destination(given: Mapping[str, str], public_clients: frozenset[str]) -> Destination:
    """Raises Refusal, which the person is told and nobody else."""
    client_id, redirect_uri = given.get("client_id", ""), given.get("redirect_uri", "")
    if client_id not in public_clients:
        raise invalid_request(
            f"The program {client_id[:100]!r} may not log people in here. Known are {', '.join(sorted(public_clients))}; "
            "the setting oauth.public_clients names them."
        )
    if not _is_loopback(redirect_uri) or len(given.get("state", "")) > _LONGEST:
        raise invalid_request("redirect_uri must be an http address on this computer, such as http://localhost:8020.")
    return Destination(client_id, redirect_uri, given.get("state", ""))


def request(given: Mapping[str, str], to: Destination) -> AuthorizationRequest:
    """Raises Refusal, which goes to the program."""
    if given.get("response_type") != "code":
        raise Refusal("unsupported_response_type", "response_type must be code.")
    if given.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(given.get("code_challenge", "")):
        raise invalid_request("A code_challenge with code_challenge_method=S256 is needed (PKCE).")
    scope = given.get("scope", "").split() or ["all-apis"]
    check_scope(scope)
    return AuthorizationRequest(to, given["code_challenge"], " ".join(scope))


def _is_loopback(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    sound = uri.isascii() and uri.isprintable() and " " not in uri and "\\" not in uri and len(uri) <= _LONGEST
    return sound and parts.scheme == "http" and host in _LOOPBACK and "@" not in parts.netloc and not parts.fragment

"""The authorization server of one process, put together: keys, tokens, grants, sessions and logins. Built by `web`, used by `api.oauth`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from headgate.access import sealing
from headgate.access.directory import Directory
from headgate.access.oauth.browser_login import BrowserLogin, LoginNeeds
from headgate.access.oauth.client_secrets import Secrets
from headgate.access.oauth.issuing import IssuerNeeds, Issuing, Terms
from headgate.access.oauth.people import People
from headgate.access.oauth.provider import Provider
from headgate.access.oauth.sessions import SessionNeeds, Sessions
from headgate.access.oauth.tokens import Tokens
from headgate.access.oauth.trust import KeyTerms, Trust
from headgate.access.principals import Authenticator, Principal
from headgate.clock import Clock
from headgate.settings import Settings
from headgate.store import leases
from headgate.store.database import Database
from headgate.store.identities import Identities
from headgate.store.oauth.client_secrets import ClientSecrets
from headgate.store.oauth.logins import Logins
from headgate.store.oauth.signing_keys import SigningKeys

_LOGIN_SECRET = "login_client_secret"


@dataclass(frozen=True, slots=True)
class Verification:
    """What the authenticator needs of it, before there is one."""

    trust: Trust
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class Place:
    """Where it stands."""

    settings: Settings
    database: Database
    sealer: sealing.Sealer
    clock: Clock
    workspace_id: str
    key: bytes = field(default=b"", repr=False)
    """Of the keyed hashes of tokens."""


@dataclass(frozen=True, slots=True)
class Others:
    """Whom it asks."""

    authenticator: Authenticator
    """Made with `Verification.tokens.verify`."""
    directory: Callable[[], Directory]
    """The newest that is at hand."""
    refresh: Callable[[], Directory]
    """With everything that is written by now."""
    level: Callable[[Principal, str], str | None]
    """(caller, endpoint id) -> what they have on it; None: nothing, or there is none."""


@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """All of it."""

    trust: Trust
    secrets: Secrets
    issuing: Issuing
    sessions: Sessions
    login: BrowserLogin
    issuer: str
    """The only one there is; empty: the address that was asked."""
    public_clients: frozenset[str]

    def issuer_at(self, base_url: str) -> str:
        """What tokens asked for there name as their issuer."""
        return self.issuer or f"{base_url}/oidc"


def verification(place: Place) -> Verification:
    """Reads the keys, and makes the first one. Raises whatever the store does."""
    settings = place.settings
    terms = KeyTerms(
        rotation_ms=int(settings.oauth.key_rotation_s * 1000),
        lead_ms=int(settings.oauth.key_lead_s * 1000),
        longest_life_ms=int(max(settings.oauth.token_life_s, settings.login.session_life_s) * 1000),
    )
    trust = Trust(SigningKeys(place.database), place.sealer, place.clock, terms)
    trust.refresh()
    return Verification(trust, Tokens(trust.now, place.workspace_id, place.clock, issuer_of(settings)))


def build(place: Place, verified: Verification, others: Others) -> AuthorizationServer:
    """The rest."""
    settings, clock, tokens = place.settings, place.clock, verified.tokens
    authenticator, directory = others.authenticator, others.directory
    # A key that is gone takes what it proved with it.
    verified.trust.swapped = authenticator.forget
    logins = Logins(place.database)
    secrets = Secrets(ClientSecrets(place.database), place.key, clock, settings.oauth.secrets_per_principal)
    terms = Terms(settings.oauth.token_life_s, settings.oauth.refresh_life_s)
    issuing = Issuing(
        IssuerNeeds(
            tokens, secrets, logins, directory, authenticator.authenticate, others.level, place.key, clock, terms
        )
    )
    sessions = Sessions(
        SessionNeeds(tokens, verified.trust, authenticator.admit, directory, clock, settings.login.session_life_s)
    )
    people = People(settings.login, Identities(place.database), logins, others.refresh)
    provider = None
    if settings.login.issuer:
        secret = sealing.sealed_fact(place.database, place.sealer, _LOGIN_SECRET, lambda: "")
        provider = Provider(settings.login, secret, clock)
    login = BrowserLogin(
        LoginNeeds(
            provider, people, sessions, place.sealer, authenticator.authenticate, authenticator.admit, place.key, clock
        )
    )
    public = frozenset(word.strip() for word in settings.oauth.public_clients.split(",") if word.strip())
    return AuthorizationServer(verified.trust, secrets, issuing, sessions, login, issuer_of(settings), public)


def issuer_of(settings: Settings) -> str:
    """The one issuer of this installation; empty when it has no address of its own."""
    external = settings.external_url.rstrip("/")
    return settings.oauth.issuer or (f"{external}/oidc" if external else "")


def prepare(place: Place) -> None:
    """Once at start, before there is any server: the first key, and the login provider's secret, sealed."""
    given = place.settings.login.client_secret
    if given:
        seal = place.sealer.seal
        leases.settle_fact(
            place.database, _LOGIN_SECRET, lambda _: seal(given.encode(), f"fact:{_LOGIN_SECRET}"), sealing.TOPIC
        )
    verification(place)

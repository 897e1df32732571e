"""Who somebody is here whom the login provider has vouched for: their user, made at the first login, and their groups."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from headgate import errors
from headgate.access.directory import Directory
from headgate.access.oauth.provider import LoginFailed
from headgate.domain.identity import ADMINISTRATOR_ID, ADMINS_ID, BUILT_IN, User
from headgate.settings import LoginSettings
from headgate.store.identities import Identities
from headgate.store.oauth.logins import ExternalAccount, Logins

logger = logging.getLogger(__name__)

_MOST_GROUPS = 2000


class People:
    """`admit` turns claims into a user's id."""

    def __init__(
        self, settings: LoginSettings, identities: Identities, logins: Logins, refresh: Callable[[], Directory]
    ) -> None:
        """`refresh` gives the directory with everything that is written by now."""
        self._settings = settings
        self._identities = identities
        self._logins = logins
        self._refresh = refresh
        self._mapping = _pairs(settings.group_mapping)
        self._admin_groups = frozenset(_words(settings.admin_groups))

    @property
    def wanted(self) -> frozenset[str]:
        """The claims that are needed."""
        return frozenset(name for name in (self._settings.user_claim, self._settings.groups_claim) if name)

    def admit(self, claims: Mapping[str, Any]) -> str:
        """The id of their user, who is in the right groups from now on. Raises LoginFailed."""
        subject = str(claims["sub"])
        digest = hashlib.sha256(f"{self._settings.issuer}\0{subject}".encode()).hexdigest()
        directory = self._refresh()
        account = self._logins.account(digest)
        user = directory.by_id(account.principal_id) if account is not None else None
        if not isinstance(user, User):
            user = self._of_name(directory, self._name(claims), claims)
        if not user.active:
            raise LoginFailed(f"The user {user.user_name} is deactivated. Ask an administrator.")
        known = account or ExternalAccount(digest, user.id, self._settings.issuer, subject)
        self._settle_groups(dataclasses.replace(known, principal_id=user.id), user, self._groups(directory, claims))
        return user.id

    def _name(self, claims: Mapping[str, Any]) -> str:
        claim = self._settings.user_claim
        name = claims.get(claim)
        if not isinstance(name, str) or not name.strip():
            raise LoginFailed(
                f"The login provider did not tell your {claim!r}, which is your name here. The administrator can ask for it (login.scopes) "
                "or take another claim (login.user_claim)."
            )
        if claim == "email" and claims.get("email_verified") is False:
            raise LoginFailed(
                "The login provider has not verified your e-mail address. Verify it there, then log in again."
            )
        return name.strip()

    def _of_name(self, directory: Directory, name: str, claims: Mapping[str, Any]) -> User:
        known = directory.by_user_name(name)
        if known is None:
            return self._new(name, claims)
        if self._logins.account_of(known.id, self._settings.issuer) is not None:
            raise LoginFailed(
                f"The user {name} belongs to another account of the login provider. If it is yours too, ask an administrator."
            )
        logger.info("the user %s is, from now on, an account of the login provider", known.id)
        return known

    def _new(self, name: str, claims: Mapping[str, Any]) -> User:
        if not self._settings.create_users:
            raise LoginFailed(f"There is no user {name} here. Ask an administrator to create it.")
        display, given, family = (_text(claims.get(claim)) for claim in ("name", "given_name", "family_name"))
        new = User(str(10**15 + secrets.randbelow(9 * 10**15)), name, display or name, given, family)
        try:
            self._identities.add(new)
        except errors.ResourceAlreadyExists:
            # Two first logins at once.
            found = self._refresh().by_user_name(name)
            if found is None:
                raise LoginFailed(
                    f"{name} is the name of a group or service principal here. Ask an administrator."
                ) from None
            return found
        except errors.InvalidParameterValue as error:
            raise LoginFailed(
                f"The login provider's name for you cannot be a user's name here: {error.message}"
            ) from None
        return new

    def _groups(self, directory: Directory, claims: Mapping[str, Any]) -> frozenset[str]:
        """Ids of the groups that the claim puts them into."""
        told = claims.get(self._settings.groups_claim) if self._settings.groups_claim else None
        names = [told] if isinstance(told, str) else told if isinstance(told, list) else []
        found = set()
        for name in names[:_MOST_GROUPS]:
            if not isinstance(name, str):
                continue
            if name in self._admin_groups:
                found.add(ADMINS_ID)
            ours = self._mapping.get(name) if self._mapping else name
            group = directory.by_group_name(ours) if ours else None
            # What is built in is nobody's own by its name: administrators are named in the settings.
            if group is not None and group.id not in BUILT_IN:
                found.add(group.id)
        return frozenset(found)

    def _settle_groups(self, account: ExternalAccount, user: User, after: frozenset[str]) -> None:
        """Out of groups that only an earlier login put them into, and into those of this one; the account remembers which logins gave."""
        before = frozenset(account.group_ids)
        inside = frozenset(group.id for group in self._refresh().groups if user.id in group.members)
        into, out_of = after - inside, (before - after) & inside
        if user.id == ADMINISTRATOR_ID:
            out_of -= {ADMINS_ID}
        if into or out_of:
            # Before they change: what a login gave without its being known would stay for ever.
            self._logins.keep_account(_with_groups(account, before | into))
            self._identities.change(User, user.id, lambda one, groups: (one, (groups - out_of) | into))
            self._refresh()
        self._logins.keep_account(_with_groups(account, (before & after) | into))


def _with_groups(account: ExternalAccount, group_ids: frozenset[str]) -> ExternalAccount:
    return dataclasses.replace(account, group_ids=tuple(sorted(group_ids)))


def _text(value: Any) -> str:
    return value.strip()[:256] if isinstance(value, str) and value.isprintable() else ""


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _pairs(text: str) -> Mapping[str, str]:
    """`theirs=ours` pairs; the last `=` counts, since directory names (`cn=x,dc=y`) have some too."""
    found = {}
    for word in _words(text):
        theirs, _, ours = word.rpartition("=")
        found[theirs.strip()] = ours.strip()
    return found

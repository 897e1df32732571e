"""Everybody there is, in memory: an immutable snapshot (`Directory`) and what keeps the newest at hand (`Follower`).

Asked by the authenticator on every request and by whoever shows or checks names. Never writes. When the store is away the last
snapshot stays in use.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from headgate.access.principals import SERVICE_PRINCIPAL, TOKEN, USER, Principal
from headgate.clock import within
from headgate.domain import identity
from headgate.domain.identity import AccessToken, Group, Population, ServicePrincipal, User, folded
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics

logger = logging.getLogger(__name__)

TOPIC = "identity"
POLL_S = 1.0
_BETWEEN_LOOKS_S = 0.01
"""Least time between two looks, however many notices come."""


class Directory:
    """A population with its indices. Does not change."""

    def __init__(self, population: Population) -> None:
        self.revision = population.revision
        self.users = population.users
        """By user name."""
        self.service_principals = population.service_principals
        """By application id."""
        self.groups = population.groups
        """By name."""
        self._ids: dict[str, User | ServicePrincipal | Group] = {
            one.id: one for kind in (self.users, self.service_principals, self.groups) for one in kind
        }
        self._users = {folded(one.user_name): one for one in self.users}
        self._applications = {folded(one.application_id): one for one in self.service_principals}
        self._groups = {folded(one.display_name): one for one in self.groups}
        self._tokens = {one.digest: one for one in population.tokens}
        self._above = identity.groups_above(self.groups)

    def by_id(self, identity_id: str) -> User | ServicePrincipal | Group | None:
        """Whoever has that id."""
        return self._ids.get(identity_id)

    def by_user_name(self, name: str) -> User | None:
        """The user of that name, whatever its case."""
        return self._users.get(folded(name))

    def by_application_id(self, application_id: str) -> ServicePrincipal | None:
        """The service principal of that application id."""
        return self._applications.get(folded(application_id))

    def by_group_name(self, name: str) -> Group | None:
        """The group of that name, whatever its case."""
        return self._groups.get(folded(name))

    def token(self, digest: str) -> AccessToken | None:
        """The token whose keyed hash this is."""
        return self._tokens.get(digest)

    def groups_of(self, identity_id: str) -> frozenset[str]:
        """Ids of the groups somebody is in, also through others; everybody but a group is in `users`."""
        above = self._above.get(identity_id, frozenset())
        return above if isinstance(self._ids.get(identity_id), Group) else above | {identity.USERS_ID}

    def members(self, group: Group) -> frozenset[str]:
        """Ids of those directly in it; of `users`, everybody but groups."""
        if group.id == identity.USERS_ID:
            return frozenset(one.id for kind in (self.users, self.service_principals) for one in kind)
        return group.members

    def entitlements_of(self, identity_id: str) -> frozenset[str]:
        """Its own and those of its groups."""
        holders = [self._ids[one] for one in (identity_id, *self.groups_of(identity_id)) if one in self._ids]
        return frozenset(entitlement for holder in holders for entitlement in holder.entitlements)

    def principal(self, identity_id: str, credential: str = TOKEN, endpoint_id: str | None = None) -> Principal | None:
        """Somebody as a caller; None when there is nobody of that id who may call."""
        one = self._ids.get(identity_id)
        if one is None or isinstance(one, Group) or not one.active:
            return None
        groups = self.groups_of(identity_id)
        is_user = isinstance(one, User)
        return Principal(
            id=one.id,
            user_name=one.user_name if isinstance(one, User) else one.application_id,
            admin=identity.ADMINS_ID in groups,
            kind=USER if is_user else SERVICE_PRINCIPAL,
            display_name=one.display_name,
            groups=groups,
            keys=groups | {one.id},
            credential=credential,
            endpoint_id=endpoint_id,
            entitlements=self.entitlements_of(identity_id),
        )


@dataclass(frozen=True, slots=True)
class DirectorySource:
    """Where directories come from and who is told which is in use. All calls block and may raise anything."""

    revision: Callable[[], int]
    """`Identities.revision`."""
    read: Callable[[], Population]
    """`Identities.read`."""
    report: Callable[[int], bool] = lambda _: True
    """This process uses that revision; False when that could not be noted yet. Called in threads."""


class Follower:
    """Has the newest directory (`directory`), swapped whole. `refresh` before the first request, then `run`."""

    def __init__(self, source: DirectorySource, counted: Metrics | None = None) -> None:
        self.directory = Directory(Population())
        self._source = source
        self._revision = None if counted is None else counted.number(metrics.DIRECTORY_REVISION, counted.process)
        self._failures = None if counted is None else counted.number(metrics.DIRECTORY_FAILURES)
        self._hinted = asyncio.Event()
        self._failing = False
        self._reported = -1
        self._refreshing = threading.Lock()

    def now(self) -> Directory:
        """The one in use."""
        return self.directory

    def hint(self, topic: str) -> None:
        """A change notice was heard."""
        if topic == TOPIC:
            self._hinted.set()

    def refresh(self) -> Directory:
        """Looks at the store, and swaps when it has a newer one. Raises whatever the store does."""
        # One thread at a time: a slow reader must not put an older directory back, in which a revoked token is good.
        with self._refreshing:
            if self._source.revision() != self.directory.revision:
                self.directory = Directory(self._source.read())
                if self._revision is not None:
                    self._revision.set(self.directory.revision)
            if self._reported != self.directory.revision and self._source.report(self.directory.revision):
                self._reported = self.directory.revision
            return self.directory

    async def run(self) -> None:
        """Follows the store until cancelled."""
        while True:
            self._hinted.clear()
            await self._look()
            await asyncio.sleep(_BETWEEN_LOOKS_S)
            try:
                await within(POLL_S, self._hinted.wait())
            except asyncio.TimeoutError:
                pass

    async def _look(self) -> None:
        try:
            await asyncio.to_thread(self.refresh)
        except Exception as error:  # whatever ails the store, those who are known may go on
            if self._failures is not None:
                self._failures.add()
            if not self._failing:
                self._failing = True
                logger.exception("the directory of users cannot be read (%s); the last one stays in use", error)
            return
        if self._failing:
            self._failing = False
            logger.info("the directory of users can be read again")

"""Short-lived tokens of vendors (Microsoft Entra, Google's service accounts, an instance profile): fetched once for all who wait, kept until shortly
before they end, dropped when a vendor refuses them. Asked by `attempts`; lives as long as a vendor with that config does.
"""

from __future__ import annotations

import asyncio
import dataclasses
import weakref
from typing import Any

from headgate.clock import Clock
from headgate.errors import HeadgateError
from headgate.gateway.vendors import judging
from headgate.gateway.vendors.judging import Failed
from headgate.gateway.vendors.vendor import Opened
from headgate.providers import failures
from headgate.providers.port import CHAT, BadAnswer, Credential, Outgoing
from headgate.upstream.port import Lane, Patience, Upstream, UpstreamFailed

MARGIN_S = 300.0
"""So long before its end the next one is fetched, while this one is still used."""
LAST_S = 30.0
"""So long before its end it is used no more."""
BETWEEN_S = 5.0
"""Least time between two attempts to fetch the next one early."""
_PATIENCE = Patience(connect_s=5.0, first_byte_s=10.0, idle_s=10.0, total_s=15.0)
_METADATA = Lane("instance metadata", Patience(1.0, 2.0, 2.0, 5.0), metadata_service=True)


class Tokens:
    """All of one server process."""

    def __init__(self, upstream: Upstream, clock: Clock) -> None:
        self._upstream = upstream
        self._clock = clock
        self._sources: weakref.WeakValueDictionary[Any, Source] = weakref.WeakValueDictionary()

    def of(self, opened: Opened) -> Source:
        """Where its tokens come from: one source for all vendors of the same kind and config, for as long as one of them keeps it."""
        name = (opened.provider.name, frozenset(opened.config.items()))
        source = self._sources.get(name)
        if source is None:
            source = self._sources[name] = Source(opened, self._upstream, self._clock)
        return source

    async def close(self) -> None:
        """Ends what is being fetched."""
        for source in list(self._sources.values()):
            await source.close()


class Source:
    """Tokens of one config."""

    __slots__ = (
        "__weakref__", "_clock", "_credential", "_fresh_until_s", "_good_until_s", "_next_s", "_opened", "_task", "_upstream",
    )  # fmt: skip

    def __init__(self, opened: Opened, upstream: Upstream, clock: Clock) -> None:
        self._opened = opened
        self._upstream = upstream
        self._clock = clock
        self._credential: Credential | None = None
        self._fresh_until_s = 0.0
        self._good_until_s = 0.0
        self._next_s = 0.0
        self._task: asyncio.Task[Credential] | None = None

    def held(self) -> Credential | None:
        """The one in use; the next one is on its way once this is not fresh any more."""
        if self._credential is None:
            return None
        now_s = self._clock.now_ms() / 1000.0
        if now_s < self._fresh_until_s:
            return self._credential
        if now_s >= self._good_until_s:
            return None
        if now_s >= self._next_s:
            self._next_s = now_s + BETWEEN_S
            self._begun()
        return self._credential

    async def fetched(self) -> Credential:
        """A new one. Raises Failed."""
        try:
            return await asyncio.shield(self._begun())
        except Failed as failed:
            raise failed.again() from None

    def drop(self, credential: Credential) -> None:
        """The vendor refused it."""
        if self._credential is credential:
            self._credential = None

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _begun(self) -> asyncio.Task[Credential]:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._fetch(), name="vendor token")
            self._task.add_done_callback(_looked_at)
        return self._task

    async def _fetch(self) -> Credential:
        now_s = self._clock.now_ms() / 1000.0
        target = self._opened.targets[CHAT]
        try:
            credential = await self._ask(now_s)
        except UpstreamFailed as error:
            raise judging.unreached(error) from None
        except BadAnswer as error:
            raise judging.garbage(error.message, target) from None
        except HeadgateError as error:
            raise judging.keyless(error, judging.NO_TOKEN) from None
        # Of one that lives for minutes half its life is the margin.
        lives_s = max(0.0, credential.expires_at_s - now_s)
        self._fresh_until_s = credential.expires_at_s - min(MARGIN_S, lives_s / 2)
        self._good_until_s = credential.expires_at_s - min(LAST_S, lives_s / 4)
        self._credential = credential
        return credential

    async def _ask(self, now_s: float) -> Credential:
        provider, target = self._opened.provider, self._opened.targets[CHAT]
        # Only one vendor's tokens take more than one question.
        walk = provider.walk(target) if hasattr(provider, "walk") else None
        if walk is None:
            outgoing = provider.token_request(target, now_s)
            assert outgoing is not None, "asked of vendors that need a token"
            # Not on the vendor's own lane: one that hangs there would keep tokens from those who are well.
            lane = Lane(f"{target.provider} tokens", _PATIENCE)
            return provider.credential(await self._answer(outgoing, lane), now_s)
        step: Outgoing | Credential = walk.first()
        while isinstance(step, Outgoing):
            step = walk.next(await self._answer(step, _METADATA))
        return step

    async def _answer(self, outgoing: Outgoing, lane: Lane) -> bytes:
        response = await self._upstream.send(outgoing, lane)
        try:
            body = await response.body()
        finally:
            response.close()
        if response.status != 200:
            provider, target = self._opened.provider, self._opened.targets[CHAT]
            said = provider.failure(response.status, response.headers, body)
            # Whatever it is, it is nothing the client could do better, and another entity may be well.
            said = dataclasses.replace(failures.without_secrets(said, target), retryable=True)
            raise Failed(said, response.status, judging.NO_TOKEN)
        return body


def _looked_at(task: asyncio.Task[Credential]) -> None:
    """Who waited for it is told; when nobody did, asyncio need not complain."""
    if not task.cancelled():
        task.exception()

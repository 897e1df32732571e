"""Names into addresses that may be reached: looked up off the event loop, judged by `domain.outbound`, remembered shortly.

Called by `dialling` before every connection, which is made to exactly the addresses judged here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from headgate.clock import Clock
from headgate.domain import outbound
from headgate.errors import InvalidParameterValue
from headgate.upstream.port import CONNECT, FORBIDDEN, UpstreamFailed
from headgate.upstream.targets import Origin

logger = logging.getLogger(__name__)

REMEMBERED_S = 10.0
"""A vendor that moves is followed after this time."""
MOST_NAMES = 256
MOST_LOOKUPS = 16
"""At the same time; each has a thread, since a name server that is away holds one for half a minute."""
MOST_ADDRESSES = 16
_METADATA = frozenset(["169.254.169.254", "fd00:ec2::254", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"])
"""Where AWS gives machines, containers and pods their credentials."""

_INSIDE = re.compile(r"(^|\.)(localhost|internal|local|0x[0-9a-f]*|[0-9]+)\.?$|^[^.]*$")
"""Names that no public server has, and addresses as only a resolver reads them (`127.1`, `0x7f.1`, one with a dot behind it)."""

Lookup = Callable[[str, int], list[str]]


def look_up(host: str, port: int) -> list[str]:
    """A name's addresses, best first, without doubles. Blocks. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, slots=True)
class _Known:
    addresses: tuple[str, ...]
    until_s: float


class Resolver:
    """Of one server process."""

    def __init__(self, clock: Clock, allow_private: bool, lookup: Lookup = look_up) -> None:
        self._clock, self._allow_private, self._lookup = clock, allow_private, lookup
        self._known: dict[str, _Known] = {}
        self._asked: dict[str, asyncio.Future[list[str]]] = {}
        self._turns = asyncio.Semaphore(MOST_LOOKUPS)

    async def addresses(self, origin: Origin) -> Sequence[str]:
        """Where its connection may be made to, best first. Raises UpstreamFailed."""
        literal = _literal(origin.host)
        found = (literal,) if literal else await self._look_up(origin.host, origin.port)
        self.judge(origin, found)
        return found[:MOST_ADDRESSES]

    async def of_proxy(self, host: str, port: int) -> Sequence[str]:
        """The administrator's own choice: not judged. Raises UpstreamFailed."""
        literal = _literal(host)
        return (literal,) if literal else await self._look_up(host, port)

    def judge_unseen(self, origin: Origin) -> None:
        """Of an origin that the proxy looks up: what can be known here. Raises UpstreamFailed."""
        literal = _literal(origin.host)
        if literal:
            self.judge(origin, (literal,))
        elif not self._allow_private and (not origin.secure or _INSIDE.search(origin.host)):
            raise UpstreamFailed(FORBIDDEN, "The provider's address may not be reached from here.")

    def judge(self, origin: Origin, found: Sequence[str]) -> None:
        """Raises UpstreamFailed when one of them may not be reached."""
        if origin.metadata_service and found and _METADATA.issuperset(found):
            return
        try:
            outbound.check_addresses(origin.url, found, allow_private=self._allow_private)
        except (InvalidParameterValue, ValueError) as error:
            # The log names the address, the client does not get to know it.
            logger.warning("a provider's address is off limits: %s", error)
            raise UpstreamFailed(FORBIDDEN, "The provider's address may not be reached from here.") from None

    async def _look_up(self, host: str, port: int) -> tuple[str, ...]:
        known = self._known.get(host)
        if known is not None and self._clock.monotonic_s() < known.until_s:
            return known.addresses
        asked = self._asked.get(host)
        if asked is None:
            asked = self._asked[host] = asyncio.ensure_future(self._ask(host, port))
            asked.add_done_callback(partial(self._answered, host))
        try:
            # Shielded: others wait for the same answer.
            addresses = tuple(await asyncio.shield(asked))
        except OSError:
            raise UpstreamFailed(CONNECT, "The provider's host name has no address.") from None
        return addresses

    def _answered(self, host: str, asked: asyncio.Future[list[str]]) -> None:
        self._asked.pop(host, None)
        if not asked.cancelled():
            asked.exception()  # whoever waited may have left

    async def _ask(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        async with self._turns:
            answered: asyncio.Future[list[str]] = loop.create_future()

            def ask() -> None:
                try:
                    outcome: list[str] | Exception = self._lookup(host, port)
                except (OSError, UnicodeError) as error:
                    outcome = OSError(str(error))
                try:
                    loop.call_soon_threadsafe(_settle, answered, outcome)
                except RuntimeError:
                    pass  # the loop is closed: nobody waits

            # Not in a pool: the interpreter would wait for a hanging look-up at its end.
            threading.Thread(target=ask, name="lookup", daemon=True).start()
            addresses = await answered
        if len(self._known) >= MOST_NAMES:
            self._known.clear()
        self._known[host] = _Known(tuple(addresses), self._clock.monotonic_s() + REMEMBERED_S)
        return addresses

    async def close(self) -> None:
        """Nobody waits for a look-up any more."""
        asked = list(self._asked.values())
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


def _settle(answered: asyncio.Future[list[str]], outcome: list[str] | Exception) -> None:
    if answered.done():
        return
    if isinstance(outcome, Exception):
        answered.set_exception(outcome)
    else:
        answered.set_result(outcome)


def _literal(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ""

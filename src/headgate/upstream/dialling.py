"""New connections: addresses judged, TCP to one of them, through the proxy if there is one, then TLS. Called by `client`."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence

from headgate.clock import within
from headgate.language_settings import ProviderSettings
from headgate.upstream.addresses import Resolver
from headgate.upstream.connection import Connection
from headgate.upstream.port import CONNECT, UpstreamFailed
from headgate.upstream.targets import Origin, Proxy, proxy_of

STAGGER_S = 0.25
"""An address that has not answered by then gets company by the next one."""
_KEEP_ALIVE = ((socket.TCP_KEEPIDLE, 45), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
"""A model may think for minutes: what forgets silent connections on the way must not forget this one."""
_PROXY_HEAD_BYTES = 16 * 1024


def tls_context(ca_file: str) -> ssl.SSLContext:
    """Certificates and host names are verified; `ca_file` is believed beside the system's. Raises OSError."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


class Dialler:
    """Makes connections for one server process."""

    def __init__(self, settings: ProviderSettings, resolver: Resolver) -> None:
        """Raises OSError or ValueError for settings that cannot be."""
        self._resolver = resolver
        self._tls = tls_context(settings.ca_file)
        self.proxy = proxy_of(settings.proxy_url)

    async def dial(self, origin: Origin, connect_s: float, make: Callable[[], Connection]) -> Connection:
        """A connection that `make` made, ready for its first request. Raises UpstreamFailed of kind CONNECT or FORBIDDEN."""
        made: list[Connection] = []

        def remember() -> Connection:
            made.append(make())
            return made[-1]

        try:
            await within(connect_s, self._dial(origin, remember))
            if made[-1].usable:
                return made.pop()
            raise UpstreamFailed(CONNECT, "The provider closed the connection at once.")
        except asyncio.TimeoutError:
            raise UpstreamFailed(CONNECT, f"The provider took no connection within {connect_s:g} s.") from None
        except ssl.SSLError:
            raise UpstreamFailed(CONNECT, "No secure connection to the provider could be made.") from None
        except OSError:
            raise UpstreamFailed(CONNECT, "The provider takes no connection.") from None
        finally:
            for unused in made:
                unused.drop()

    async def _dial(self, origin: Origin, make: Callable[[], Connection]) -> None:
        loop = asyncio.get_running_loop()
        proxy = None if origin.metadata_service else self.proxy
        if proxy is None:
            opened = await connect(await self._resolver.addresses(origin), origin.port)
        else:
            self._resolver.judge_unseen(origin)
            opened = await connect(await self._resolver.of_proxy(proxy.host, proxy.port), proxy.port)
        try:
            if proxy is not None and origin.secure:
                await _tunnel(opened, origin, proxy)
            tls = {"ssl": self._tls, "server_hostname": origin.host} if origin.secure else {}
            await loop.create_connection(make, sock=opened, **tls)  # type: ignore[call-overload]
        except BaseException:
            opened.close()
            raise


async def connect(addresses: Sequence[str], port: int) -> socket.socket:
    """A connected socket to the first that takes it: each gets STAGGER_S before the next is tried beside it. Raises OSError."""
    if len(addresses) == 1:
        return await _connect(addresses[0], port)
    left, failure = list(addresses), OSError("no address")
    running: set[asyncio.Task[socket.socket]] = set()
    try:
        while left or running:
            if left:
                running.add(asyncio.create_task(_connect(left.pop(0), port)))
            done, _ = await asyncio.wait(
                running, timeout=STAGGER_S if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                running.discard(task)
                error = task.exception()
                if error is None:
                    running |= done - {task}
                    return task.result()
                if not isinstance(error, OSError):
                    raise error
                failure = error
        raise failure
    finally:
        await _forget(running)


async def _forget(running: set[asyncio.Task[socket.socket]]) -> None:
    for task in running:
        task.cancel()
    for outcome in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(outcome, socket.socket):
            outcome.close()


async def _connect(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEP_ALIVE:
            opened.setsockopt(socket.IPPROTO_TCP, option, value)
        await asyncio.get_running_loop().sock_connect(opened, (address, port))
    except BaseException:
        opened.close()
        raise
    return opened


async def _tunnel(opened: socket.socket, origin: Origin, proxy: Proxy) -> None:
    """Asks the proxy for a way to the vendor. Raises UpstreamFailed, OSError."""
    loop = asyncio.get_running_loop()
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    place = f"{host}:{origin.port}".encode()
    await loop.sock_sendall(opened, b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (place, place, proxy.authorization))
    said = b""
    while b"\r\n\r\n" not in said:
        piece = await loop.sock_recv(opened, 4096)
        said += piece
        if not piece or len(said) > _PROXY_HEAD_BYTES:
            raise UpstreamFailed(CONNECT, "The proxy to the provider did not answer.")
    status = said.split(b"\r\n", 1)[0].split(b" ", 2)[1:2]
    if not status or not status[0].startswith(b"2") or not said.startswith(b"HTTP/1."):
        code = status[0][:3].decode("ascii", "replace") if status else "?"
        raise UpstreamFailed(CONNECT, f"The proxy to the provider refused ({code}).")
    if not said.endswith(b"\r\n\r\n"):
        raise UpstreamFailed(CONNECT, "The proxy to the provider said too much.")

"""Certificates are verified, and proxies are gone through."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from tests.contract.upstream.conftest import Run
from tests.contract.upstream.raw_vendor import (
    CHUNKED,
    END,
    LANE,
    Clients,
    RawVendor,
    Reader,
    Writer,
    body_of,
    failure_of,
    framed,
    post,
    read_request,
    saying,
    whole,
)
from tests.fakes import listening

from headgate.language_settings import ProviderSettings
from headgate.telemetry import metrics
from headgate.upstream.port import CONNECT, FORBIDDEN


def to_vendor(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def served(certificates: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "vendor.pem")
    return context


def trusting(certificates: Path, proxy_url: str = "") -> ProviderSettings:
    return ProviderSettings(allow_private_addresses=True, ca_file=str(certificates / "ca.pem"), proxy_url=proxy_url)


class Proxy:
    """An HTTP proxy that leads everything to one port of this machine. `heard`: what it was asked."""

    def __init__(self, port: int, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self._port, self._answer = port, answer
        self.heard: list[tuple[str, dict[str, str]]] = []

    async def __aenter__(self) -> Proxy:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://us%3Aer:p%40ss@127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await listening.close(self._server)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connected(self, reader: Reader, writer: Writer) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)

    async def _serve(self, reader: Reader, writer: Writer) -> None:
        heard = await read_request(reader)
        assert heard is not None
        self.heard.append((heard.line, heard.headers))
        if not heard.line.startswith("CONNECT"):
            writer.write(whole(b"by proxy"))
            writer.close()
            return
        writer.write(self._answer)
        if b" 200 " not in self._answer:
            writer.close()
            return
        vendor_reader, vendor_writer = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(_copied(reader, vendor_writer), _copied(vendor_reader, writer))


async def _copied(reader: Reader, writer: Writer) -> None:
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()


def test_a_vendor_is_known_by_its_certificate(run: Run, clients: Clients, certificates: Path) -> None:
    async def main() -> None:
        async with RawVendor(saying(whole(b"one"), CHUNKED + framed(b"two") + END), served(certificates)) as vendor:
            async with clients.opened(trusting(certificates), to_vendor) as client:
                url = f"https://vendor.test:{vendor.port}/"
                assert await body_of(client, url) == b"one"
                assert await body_of(client, url) == b"two"
                assert await body_of(client, f"https://127.0.0.1:{vendor.port}/") == b"two"
                assert (vendor.connections, vendor.named) == (2, ["vendor.test", None])

    run(main())


def test_certificates_of_others_are_refused(run: Run, clients: Clients, certificates: Path) -> None:
    async def main() -> None:
        async with RawVendor(saying(whole(b"one")), served(certificates)) as vendor:
            async with clients.opened(trusting(certificates), to_vendor) as client:
                failed = await failure_of(client.send(post(f"https://other.test:{vendor.port}/"), LANE))
                assert (failed.kind, failed.message) == (
                    CONNECT,
                    "No secure connection to the provider could be made.",
                )
            # Nor does anybody believe an authority that the administrator did not name.
            async with clients.opened(lookup=to_vendor) as client:
                failed = await failure_of(client.send(post(f"https://vendor.test:{vendor.port}/"), LANE))
                assert failed.kind == CONNECT
            assert vendor.heard == []
            assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "in_use") == 0

    run(main())


def test_a_client_that_leaves_a_secure_stream_ends_it(run: Run, clients: Clients, certificates: Path) -> None:
    async def answer(heard: object, writer: Writer) -> None:
        writer.write(CHUNKED + framed(b"one"))
        await asyncio.Event().wait()

    async def main() -> None:
        async with RawVendor(answer, served(certificates)) as vendor:
            async with clients.opened(trusting(certificates), to_vendor) as client:
                stream = await client.send(post(f"https://vendor.test:{vendor.port}/"), LANE)
                assert await stream.chunk() == b"one"
                stream.close()
                assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "in_use") == 0

    run(main())


def test_a_proxy_makes_a_tunnel_for_what_is_secure(run: Run, clients: Clients, certificates: Path) -> None:
    async def main() -> None:
        async with RawVendor(saying(whole(b"one")), served(certificates)) as vendor, Proxy(vendor.port) as proxy:
            async with clients.opened(trusting(certificates, proxy.url)) as client:
                url = f"https://vendor.test:{vendor.port}/v1"
                assert [await body_of(client, url) for _ in range(2)] == [b"one", b"one"]
                line, headers = proxy.heard[0]
                assert line == f"CONNECT vendor.test:{vendor.port} HTTP/1.1"
                assert headers["proxy-authorization"] == "Basic dXM6ZXI6cEBzcw=="
                assert "authorization" not in headers
                assert "proxy-authorization" not in vendor.heard[0].headers
                assert (len(proxy.heard), vendor.named) == (1, ["vendor.test"])
                assert proxy.url not in repr(client._dialler.proxy)
                assert "cEBz" not in repr(client._dialler.proxy)

    run(main())


def test_a_proxy_is_given_the_whole_address_of_what_is_not_secure(
    run: Run, clients: Clients, certificates: Path
) -> None:
    async def main() -> None:
        async with Proxy(0) as proxy, clients.opened(trusting(certificates, proxy.url)) as client:
            assert await body_of(client, "http://vendor.test:8080/v1?a=1") == b"by proxy"
            line, headers = proxy.heard[0]
            assert line == "POST http://vendor.test:8080/v1?a=1 HTTP/1.1"
            assert headers["host"] == "vendor.test:8080"
            assert headers["proxy-authorization"] == "Basic dXM6ZXI6cEBzcw=="

    run(main())


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nmore",
        b"",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 20_000,
    ],
)
def test_a_proxy_that_refuses_is_told(run: Run, clients: Clients, certificates: Path, said: bytes) -> None:
    async def main() -> None:
        async with RawVendor(saying(whole(b"one")), served(certificates)) as vendor, Proxy(vendor.port, said) as proxy:
            async with clients.opened(trusting(certificates, proxy.url)) as client:
                failed = await failure_of(client.send(post(f"https://vendor.test:{vendor.port}/"), LANE))
                assert failed.kind == CONNECT
                assert failed.message.startswith("The proxy to the provider")
                assert vendor.heard == []

    run(main())


def test_a_proxy_is_no_way_inside(run: Run, clients: Clients, certificates: Path) -> None:
    """Names are the proxy's to look up, but what is known here to be inside is refused here."""

    async def main() -> None:
        async with Proxy(0) as proxy:
            settings = ProviderSettings(proxy_url=proxy.url)
            async with clients.opened(settings) as client:
                for url in (
                    "https://10.0.0.1/",
                    "https://169.254.169.254/",
                    "https://localhost/",
                    "https://intranet/",
                    "https://metadata.google.internal/",
                    "https://127.1/",
                    "https://0x7f.1/",
                    "https://169.254.169.254./",
                    "http://vendor.test/",
                ):
                    assert (await failure_of(client.send(post(url), LANE))).kind == FORBIDDEN
            assert proxy.heard == []

    run(main())


def test_settings_that_cannot_be_are_refused_at_the_start(run: Run, clients: Clients, certificates: Path) -> None:
    async def main() -> None:
        for settings in (ProviderSettings(ca_file="/nowhere.pem"), ProviderSettings(proxy_url="https://proxy:1")):
            with pytest.raises((OSError, ValueError)):
                async with clients.opened(settings):
                    pass

    run(main())

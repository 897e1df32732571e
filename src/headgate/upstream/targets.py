"""What a URL means on the wire: where to connect, and how a request begins. Called by `client`; the URL itself is sent as it stands."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes, urlsplit

from headgate.domain import outbound
from headgate.errors import InvalidParameterValue
from headgate.upstream.port import FORBIDDEN, UpstreamFailed

_PORTS = {"http": 80, "https": 443}
_OURS = frozenset(
    [b"host", b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"upgrade", b"te", b"trailer", b"expect", b"accept-encoding"]
)  # fmt: skip
"""Headers that say how a message is framed: nobody else may."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whoever a connection leads to; connections are shared by what has the same."""

    secure: bool
    host: str
    """Without brackets, in ASCII."""
    port: int
    url: str = field(compare=False)
    """One whose host this is, for `domain.outbound`."""
    metadata_service: bool = False
    """Whether the connection may lead there: others must not share it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL, taken apart."""

    origin: Origin
    start: bytes
    """What stands behind the method: the rest of the request line, and the headers that are ours."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """Through whom vendors are reached."""

    host: str
    port: int
    authorization: bytes = field(repr=False)
    """The header with its credentials and line end; empty when it wants none."""


def proxy_of(url: str) -> Proxy | None:
    """The setting `providers.proxy_url`; None when it is empty. Raises ValueError for what is none."""
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("providers.proxy_url: write e.g. http://user:password@proxy:3128")
    authorization = b""
    if parts.username is not None:
        secret = unquote_to_bytes(parts.username) + b":" + unquote_to_bytes(parts.password or "")
        authorization = b"proxy-authorization: Basic %b\r\n" % base64.b64encode(secret)
    return Proxy(parts.hostname, parts.port or 3128, authorization)


def target_of(url: str, metadata_service: bool, proxy: Proxy | None) -> Target:
    """Raises UpstreamFailed for what cannot be asked."""
    try:
        outbound.check_url(url, "The provider's address")
        sent = url.encode("ascii")
    except (InvalidParameterValue, UnicodeEncodeError):
        raise UpstreamFailed(FORBIDDEN, "The provider's address is not a URL that can be asked.") from None
    parts = urlsplit(url)
    assert parts.hostname is not None
    secure = parts.scheme == "https"
    origin = Origin(secure, parts.hostname, parts.port or _PORTS[parts.scheme], url, metadata_service)
    authority = parts.netloc.removesuffix(f":{_PORTS[parts.scheme]}").encode()
    path = sent[len(parts.scheme) + 3 + len(parts.netloc) :]
    if not path.startswith(b"/"):
        path = b"/" + path
    ours = b" HTTP/1.1\r\nhost: %b\r\naccept-encoding: identity\r\n" % authority
    if proxy is not None and not secure and not metadata_service:
        return Target(origin, b" http://%b%b%b%b" % (authority, path, ours, proxy.authorization))
    return Target(origin, b" " + path + ours)


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as they are sent, without those that are ours to say. Raises UpstreamFailed for what would be more than headers."""
    lines = [b"%b: %b\r\n" % header for header in headers if header[0].lower() not in _OURS]
    block = b"".join(lines)
    if block.count(b"\n") != len(lines) or block.count(b"\r") != len(lines) or b"\0" in block:
        raise UpstreamFailed(FORBIDDEN, "A header for the provider has a line break in it.")
    return block

"""Where an address that a user chose may lead: nowhere inside. Pure; asked when it is written, and on every connection.

A name is judged by the addresses it has at that moment, and the connection is made to exactly those: a name that answered well when it was
configured may answer 127.0.0.1 later.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from headgate.errors import InvalidParameterValue

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NEVER = tuple(
    ipaddress.ip_network(network)
    for network in ("0.0.0.0/8", "169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fe80::/10", "::/128", "fd00:ec2::/32")
)  # fmt: skip
"""This machine by its oddest name, and where clouds tell whoever asks who they are: not even with private addresses allowed."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def check_url(url: str, field: str) -> None:
    """Whether a text is an address to call at all. Raises InvalidParameterValue naming `field`."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidParameterValue(f"{field} is not a URL: write e.g. https://host/v1.") from None
    if parts.scheme not in ("http", "https") or not host or any(character.isspace() for character in url):
        raise InvalidParameterValue(f"{field} is not a URL: write e.g. https://host/v1.")
    if parts.username is not None or parts.password is not None:
        raise InvalidParameterValue(f"{field} has credentials in it: they go into fields of their own.")
    if parts.fragment:
        raise InvalidParameterValue(f"{field} has a fragment (#…), which no server would see: leave it out.")


def check_addresses(url: str, addresses: Iterable[str], *, allow_private: bool) -> None:
    """All addresses that the host of `url` has now, as text. Raises InvalidParameterValue if one of them is off limits.

    Public addresses are reached by https only: keys are sent there.
    """
    parts = urlsplit(url)
    found = [ipaddress.ip_address(address.partition("%")[0]) for address in addresses]
    if not found:
        raise InvalidParameterValue(f"{parts.hostname} has no address.")
    for address in found:
        inside = embedded(address)
        if any(inside.version == network.version and inside in network for network in _NEVER) or inside.is_multicast:
            raise InvalidParameterValue(f"{parts.hostname} leads to {address}, where no model is served.")
        if not inside.is_global and not allow_private:
            raise InvalidParameterValue(
                f"{parts.hostname} leads to {address}, a private address. The administrator can allow those: "
                "setting providers.allow_private_addresses."
            )
        if inside.is_global and parts.scheme != "https":
            raise InvalidParameterValue(f"{parts.hostname} is public: use https, keys are sent there.")


def embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 one leads to (mapped, 6to4, NAT64, Teredo), or itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address

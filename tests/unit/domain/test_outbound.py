"""Addresses that users choose lead nowhere inside, however they are written."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.domain import outbound
from headgate.errors import InvalidParameterValue

PUBLIC = ["8.8.8.8", "2606:4700::1111"]
PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "::1", "fd12::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1",
    "2002:7f00:1::", "64:ff9b::a00:1", "198.18.0.1", "240.0.0.1", "::10.0.0.1",
]  # fmt: skip
NEVER = [
    "169.254.169.254", "169.254.170.2", "0.0.0.0", "0.1.2.3", "::", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "100.100.100.200",
    "168.63.129.16", "224.0.0.1", "ff02::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reached_by_https(address: str):
    for allow in (False, True):
        outbound.check_addresses("https://host/v1", [address], allow_private=allow)
        with pytest.raises(InvalidParameterValue, match="use https"):
            outbound.check_addresses("http://host/v1", [address], allow_private=allow)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_need_the_administrators_word(address: str):
    with pytest.raises(InvalidParameterValue, match=r"providers\.allow_private_addresses"):
        outbound.check_addresses("https://host/v1", [address], allow_private=False)
    outbound.check_addresses("http://host/v1", [address], allow_private=True)


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_off_limits_always(address: str):
    for allow in (False, True):
        with pytest.raises(InvalidParameterValue):
            outbound.check_addresses("https://host/v1", [address], allow_private=allow)
    with pytest.raises(InvalidParameterValue, match="no model is served"):
        outbound.check_addresses("https://host/v1", [address], allow_private=True)


def test_one_bad_address_among_good_ones_is_enough():
    with pytest.raises(InvalidParameterValue):
        outbound.check_addresses("https://host/v1", ["8.8.8.8", "10.0.0.1"], allow_private=False)
    with pytest.raises(InvalidParameterValue, match="no address"):
        outbound.check_addresses("https://host/v1", [], allow_private=True)


@given(st.ip_addresses(v=4))
def test_no_ipv6_clothing_makes_an_address_public(address: ipaddress.IPv4Address):
    number = int(address)
    dressed = [
        f"::ffff:{address}",
        str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80))),
        str(ipaddress.IPv6Address((0x0064FF9B << 96) | number)),
    ]
    for allow in (False, True):
        for one in dressed:
            assert _fits(one, allow) == _fits(str(address), allow)


def _fits(address: str, allow_private: bool) -> bool:
    try:
        outbound.check_addresses("https://host", [address], allow_private=allow_private)
    except InvalidParameterValue:
        return False
    return True


@pytest.mark.parametrize("url", ["https://h", "https://h:8443/v1?x=1", "http://127.0.0.1:8000/v1", "https://[::1]/v1"])
def test_urls(url: str):
    outbound.check_url(url, "custom_provider_url")


@pytest.mark.parametrize(
    "url",
    ["", "h/v1", "ftp://h", "file:///x", "https://", "https:///x", "https://u:p@h", "https://u@h", "https://h:99999", "https://h/#f",
     "https://h /x", "https://[::1", "javascript:alert(1)", "https://h\n.x"],
)  # fmt: skip
def test_what_is_no_url_is_refused_with_the_fields_name(url: str):
    with pytest.raises(InvalidParameterValue, match="custom_provider_url"):
        outbound.check_url(url, "custom_provider_url")

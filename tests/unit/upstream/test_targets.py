from __future__ import annotations

import pytest

from headgate.upstream.port import UpstreamFailed
from headgate.upstream.targets import header_lines, proxy_of, target_of


@pytest.mark.parametrize(
    ("url", "start"),
    [
        ("https://api.vendor.test/v1/chat", b" /v1/chat HTTP/1.1\r\nhost: api.vendor.test\r\n"),
        ("https://api.vendor.test:443/v1", b" /v1 HTTP/1.1\r\nhost: api.vendor.test\r\n"),
        ("https://api.vendor.test:80/v1", b" /v1 HTTP/1.1\r\nhost: api.vendor.test:80\r\n"),
        ("https://api.vendor.test", b" / HTTP/1.1\r\nhost: api.vendor.test\r\n"),
        ("https://api.vendor.test?a=1", b" /?a=1 HTTP/1.1\r\nhost: api.vendor.test\r\n"),
        ("https://[2001:db8::1]:8443/x?y=%2f", b" /x?y=%2f HTTP/1.1\r\nhost: [2001:db8::1]:8443\r\n"),
    ],
)
def test_a_url_is_sent_as_it_stands(url: str, start: bytes) -> None:
    assert target_of(url, False, None).start.startswith(start)


def test_one_origin_is_what_may_share_connections() -> None:
    one = target_of("https://api.vendor.test/a", False, None).origin
    assert one == target_of("https://API.vendor.test:443/b", False, None).origin
    for url in ("https://api.vendor.test:444/a", "http://api.vendor.test:443/a", "https://other.test/a"):
        assert one != target_of(url, False, None).origin
    assert one != target_of("https://api.vendor.test/a", True, None).origin


def test_credentials_of_a_proxy_are_in_no_text() -> None:
    proxy = proxy_of("http://user:secret@proxy.test:3128")
    assert proxy is not None
    assert (proxy.host, proxy.port) == ("proxy.test", 3128)
    assert "secret" not in repr(proxy)
    assert proxy_of("") is None
    for wrong in ("proxy.test:3128", "https://proxy.test", "socks5://proxy.test"):
        with pytest.raises(ValueError, match="proxy_url"):
            proxy_of(wrong)


def test_headers_that_frame_a_message_are_ours_to_say() -> None:
    given = ((b"a", b"1"), (b"Content-Length", b"5"), (b"Accept-Encoding", b"br"), (b"b", b"2"))
    assert header_lines(given) == b"a: 1\r\nb: 2\r\n"
    with pytest.raises(UpstreamFailed):
        header_lines(((b"a", b"1\r\n\r\nGET / HTTP/1.1"),))

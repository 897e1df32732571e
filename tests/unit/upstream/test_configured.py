from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headgate.language_settings import ProviderSettings
from headgate.upstream.configured import refusal


def test_settings_as_they_come_can_be_used() -> None:
    assert refusal(ProviderSettings()) is None
    assert refusal(ProviderSettings(proxy_url="http://user:secret@proxy.test:3128")) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"connections": 0}, "providers.connections is 0; it must be at least 1"),
        ({"idle_s": 0.0}, "providers.idle_s is 0.0; it must be at least 0.001"),
        ({"proxy_url": "socks5://user:secret@proxy.test"}, "providers.proxy_url is no address of an HTTP proxy"),
        ({"proxy_url": "http://user:secret@proxy.test:port"}, "providers.proxy_url is no address of an HTTP proxy"),
        ({"ca_file": "/nowhere/ca.pem"}, "/nowhere/ca.pem cannot be read as certificates"),
    ],
)
def test_what_cannot_be_used_is_named(changes: dict[str, object], reason: str) -> None:
    refused = refusal(replace(ProviderSettings(), **changes))  # type: ignore[arg-type]
    assert refused is not None
    assert reason in refused
    assert "secret" not in refused


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    assert "cannot be read as certificates" in (refusal(ProviderSettings(ca_file=str(tmp_path / "ca.pem"))) or "")

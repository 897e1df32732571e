"""What is secret reaches processes of the house through memory only."""

from __future__ import annotations

from headgate import house, settings


def test_no_variable_that_holds_a_secret_is_handed_on() -> None:
    secret = {f"HEADGATE_{section}_{name}".upper() for section, name in settings._secrets()}
    assert "HEADGATE_RATE_LIMITS_REDIS_URL" in secret
    assert secret <= house._NOT_HANDED_ON


def test_the_address_of_redis_is_in_no_file_and_reaches_the_servers(tmp_path: object) -> None:
    found = settings.load({"data_dir": tmp_path, "rate_limits.redis_url": "redis://:hush@host/0"}, environ={})
    assert "hush" not in str(found.to_json()) and "hush" not in repr(found)
    assert settings.from_json(found.to_json(), found.secrets()).rate_limits.redis_url == "redis://:hush@host/0"

"""Signed URLs and paths of the Files API."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from headgate import errors
from headgate.registry import paths, signing
from headgate.registry.signing import UrlSigner

PATH = "/Models/main/default/churn/3/data/a b?%.bin"


def opened(url: str) -> tuple[str, dict[str, str]]:
    """Path and query as the server sees them."""
    split = urlsplit(url)
    return unquote(split.path).removeprefix(signing.PREFIX), dict(parse_qsl(split.query))


def test_a_signed_url_is_good_for_its_method_and_path_until_it_expires(room: Any) -> None:
    signer = UrlSigner(b"key", room.clock)
    path, query = opened(signer.url("http://host:1", "PUT", PATH))
    assert path == PATH
    signer.check("PUT", path, query)
    room.clock.ms += signing.LIFETIME_MS
    signer.check("PUT", path, query)
    room.clock.ms += 1
    with pytest.raises(errors.PermissionDenied, match="expired"):
        signer.check("PUT", path, query)


def test_a_url_to_read_is_good_for_head_but_not_to_write(room: Any) -> None:
    signer = UrlSigner(b"key", room.clock)
    path, query = opened(signer.url("http://host", "GET", PATH))
    signer.check("HEAD", path, query)
    with pytest.raises(errors.PermissionDenied, match="not for PUT"):
        signer.check("PUT", path, query)


@pytest.mark.parametrize("changed", ["method", "expires", "signature"])
@pytest.mark.parametrize("value", [None, "", "PUT", "99999999999999", "é\ud800"])
def test_whatever_is_changed_breaks_the_signature(room: Any, changed: str, value: str | None) -> None:
    signer = UrlSigner(b"key", room.clock)
    path, query = opened(signer.url("http://host", "GET", PATH))
    forged = {name: found for name, found in query.items() if name != changed}
    if value is not None:
        forged[changed] = value
    with pytest.raises(errors.PermissionDenied):
        signer.check("GET", path, forged)
    with pytest.raises(errors.PermissionDenied):
        signer.check("GET", path + "x", query)
    with pytest.raises(errors.PermissionDenied):
        UrlSigner(b"other key", room.clock).check("GET", path, query)


def test_paths_name_a_file_of_a_version() -> None:
    found = paths.parse("/Models/Main/default/churn/3/data/model.pkl")
    assert (found.name.full, found.version, found.path) == ("main.default.churn", 3, "data/model.pkl")
    assert found.text == "/Models/Main/default/churn/3/data/model.pkl"
    assert paths.parse("Models/main/default/churn/3/").path == ""


@pytest.mark.parametrize("text", ["", "/", "/Volumes/a/b/c/d", "/Models", "/Models/main/default/churn"])
def test_other_paths_are_not_found(text: str) -> None:
    with pytest.raises(errors.NotFound):
        paths.parse(text)


@pytest.mark.parametrize(
    "rest", ["..", "a/../b", "./a", "a//b", "a\\b", "a\x00b", "a\nb", "x" * 256, "\ud800", "/".join(["d" * 100] * 31)]
)
def test_paths_that_lead_elsewhere_are_refused(rest: str) -> None:
    with pytest.raises(errors.InvalidParameterValue):
        paths.parse(f"/Models/main/default/churn/3/{rest}")


def test_a_version_is_not_a_file() -> None:
    with pytest.raises(errors.InvalidParameterValue, match="not a file"):
        paths.parse_file("/Models/main/default/churn/3")

"""Through each door once, each on another event loop."""

from __future__ import annotations

from tests.contract.gateway.vendors.conftest import run  # noqa: F401

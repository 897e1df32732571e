"""Through each door once, each on another event loop: guardrails know neither."""

from __future__ import annotations

from tests.contract.gateway.vendors.conftest import run as run

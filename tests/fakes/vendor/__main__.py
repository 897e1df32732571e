"""`python -m tests.fakes.vendor [port]`: prints where it listens, then speaks every dialect until it is ended."""

from __future__ import annotations

import asyncio
import sys

from tests.fakes.vendor import dialects
from tests.fakes.vendor.server import FakeVendor


async def main() -> None:
    vendor = FakeVendor(dialects.all_of_them())
    await vendor.start(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    print(vendor.url, flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
